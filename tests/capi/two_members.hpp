#pragma once

#include <array>
#include <cstddef>
#include <hawser/hawser.hpp>
#include <thread>
#include <utility>

#include "catch.hpp"

/// Two members of one run.
struct TwoMembers {
  hawser::Master master;
  std::array<hawser::Communicator, 2> comms;

  TwoMembers() : master(start_master()), comms{make_peer(), make_peer()} {
    run([&](std::size_t who) {
      auto joined = comms[who].connect();
      while (joined && comms[who].info() && comms[who].info()->world_size < 2) joined = comms[who].update_topology();
    });
    for (auto& comm : comms) REQUIRE(comm.info()->world_size == 2);
  }
  template <class Body>
  void run(Body body) {
    std::thread other([&] { body(std::size_t{1}); });
    body(std::size_t{0});
    other.join();
  }

 private:
  static hawser::Master start_master() {
    auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200});
    REQUIRE(master);
    REQUIRE(master->start());
    return std::move(*master);
  }
  hawser::Communicator make_peer() const {
    auto comm = hawser::Communicator::create({.master = master.address(), .connect_ms = 20000});
    REQUIRE(comm);
    return std::move(*comm);
  }
};
