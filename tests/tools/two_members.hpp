#pragma once

#include <hawser/hawser.hpp>
#include <string>
#include <thread>
#include <utility>

#include "catch.hpp"

namespace hawser::test {

/// A master and two members.
class TwoMembers {
 public:
  TwoMembers() : master_(std::move(*hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200}))) {
    REQUIRE(master_.start());
    std::thread other([&] { join(grace_); });
    join(ada_);
    other.join();
    REQUIRE(ada_.info()->group_size == 2);
    REQUIRE(grace_.info()->group_size == 2);
  }
  std::string address() const { return master_.address(); }

 private:
  hawser::Communicator make(const std::string& name) const {
    auto comm = hawser::Communicator::create({.master = address(), .name = name, .connect_ms = 20'000});
    REQUIRE(comm);
    return std::move(*comm);
  }
  static void join(hawser::Communicator& comm) {
    auto joined = comm.connect();
    while (joined && comm.info()->world_size < 2) joined = comm.update_topology();
  }

  hawser::Master master_;
  hawser::Communicator ada_ = make("Ada");
  hawser::Communicator grace_ = make("Grace \"G\" Hopper");
};

}  // namespace hawser::test
