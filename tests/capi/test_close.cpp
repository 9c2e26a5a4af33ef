/// A communicator that is closed while others use it.
#include <hawser.h>

#include <array>
#include <hawser/hawser.hpp>
#include <thread>
#include <vector>

#include "catch.hpp"

TEST_CASE("closing ends the calls of other threads and all later ones, and the handle stays") {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 100});
  REQUIRE(master);
  REQUIRE(master->start());
  const std::string address = master->address();
  std::vector<hawser::Communicator> comms;
  for (int i = 0; i < 2; ++i) {
    auto comm = hawser::Communicator::create({.master = address, .connect_ms = 20000});
    REQUIRE(comm);
    comms.push_back(std::move(*comm));
  }
  std::thread other([&] { (void)comms[1].connect(); });
  REQUIRE(comms[0].connect());
  other.join();
  for (auto& comm : comms) REQUIRE(comm.info());

  // One member alone waits in barriers, from several threads, while it is closed.
  std::array<hawserResult_t, 4> results{};
  std::vector<std::thread> waiting;
  for (std::size_t i = 0; i < results.size(); ++i)
    waiting.emplace_back([&, i] {
      hawserCollectiveOptions_t options = HAWSER_COLLECTIVE_OPTIONS_INIT;
      options.tag = i;
      do results[i] = hawserBarrier(comms[0].handle(), &options, nullptr);
      while (results[i] != hawserErrorClosed);
    });
  CHECK(hawserCommClose(comms[0].handle()) == hawserSuccess);
  for (std::thread& one : waiting) one.join();
  for (const hawserResult_t result : results) CHECK(result == hawserErrorClosed);
  hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
  CHECK(hawserCommGetInfo(comms[0].handle(), &info) == hawserErrorClosed);
  CHECK(hawserCommConnect(comms[0].handle()) == hawserErrorClosed);
  CHECK(hawserCommUpdateTopology(comms[0].handle()) == hawserErrorClosed);
  CHECK(hawserCommClose(comms[0].handle()) == hawserSuccess);
  CHECK(hawserCommClose(nullptr) == hawserErrorInvalidArgument);
}
