/// A communicator that is closed while others use it.
#include <hawser.h>

#include <array>
#include <cstddef>
#include <hawser/hawser.hpp>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "two_members.hpp"

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

TEST_CASE("a call has a bound of its own, and an operation is cancelled") {
  TwoMembers members;
  hawserComm_t comm = members.comms[0].handle();
  CHECK(hawserOpCancel(nullptr) == hawserErrorInvalidArgument);
  hawserCollectiveOptions_t barrier = HAWSER_COLLECTIVE_OPTIONS_INIT;
  barrier.timeout_ms = 20;
  CHECK(hawserBarrier(comm, &barrier, nullptr) == hawserErrorTimeout);
  std::vector<float> values(100, 2.0F);
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  options.timeout_ms = 20;
  CHECK(hawserAllReduce(comm, values.data(), values.data(), values.size(), hawserFloat32, &options, nullptr) ==
        hawserErrorTimeout);
  CHECK(values == std::vector<float>(100, 2.0F));
  auto started = members.comms[1].all_reduce_async(values, {.tag = 4});
  REQUIRE(started);
  CHECK(started->cancel());
  const auto ended = started->wait();
  REQUIRE(!ended);
  CHECK(ended.error().code == hawserErrorTimeout);
  std::array<bool, 2> fine{};
  // What was called before the end of the other call had come ended with it.
  members.run([&](std::size_t who) {
    auto done = members.comms[who].barrier({.timeout_ms = 60'000});
    if (!done && done.error().can_retry()) done = members.comms[who].barrier({.timeout_ms = 60'000});
    fine[who] = bool(done);
  });
  CHECK(fine == std::array{true, true});
}

TEST_CASE("infos of members have the size that the caller says") {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 100});
  REQUIRE(master);
  REQUIRE(master->start());
  auto comm = hawser::Communicator::create({.master = master->address(), .name = "alone", .connect_ms = 20000});
  REQUIRE(comm);
  REQUIRE(comm->connect());

  hawserCommInfo_t info{};
  CHECK(hawserCommGetInfo(comm->handle(), &info) == hawserErrorInvalidArgument);
  // Of an older caller: it knew the first two fields.
  info.size = offsetof(hawserCommInfo_t, world_size);
  info.world_size = 77;
  CHECK(hawserCommGetInfo(comm->handle(), &info) == hawserSuccess);
  CHECK(info.epoch != 0);
  CHECK(info.world_size == 77);
  CHECK(info.size == offsetof(hawserCommInfo_t, world_size));

  std::uint32_t count = 0;
  CHECK(hawserCommGetMembers(comm->handle(), nullptr, 0, &count) == hawserSuccess);
  CHECK(count == 1);
  std::array<hawserMember_t, 2> members{};
  CHECK(hawserCommGetMembers(comm->handle(), members.data(), 2, &count) == hawserErrorInvalidArgument);
  members[0].size = sizeof(hawserMember_t) - 4;  // Entries so far apart could not be aligned.
  CHECK(hawserCommGetMembers(comm->handle(), members.data(), 2, &count) == hawserErrorInvalidArgument);
  // Of a newer caller, whose entries have fields that are unknown here.
  struct Newer {
    hawserMember_t known;
    std::uint64_t unknown = 5;
  };
  std::array<Newer, 2> newer{};
  newer[0].known.size = sizeof(Newer);
  CHECK(hawserCommGetMembers(comm->handle(), &newer[0].known, 2, &count) == hawserSuccess);
  CHECK(std::string(newer[0].known.name) == "alone");
  CHECK(newer[0].known.size == sizeof(Newer));
  CHECK(newer[0].unknown == 5);
  CHECK(newer[1].known.size == 0);
}

TEST_CASE("an operation is looked at, waited for without end, and outlives its communicator") {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 100});
  REQUIRE(master);
  REQUIRE(master->start());
  std::array<hawserComm_t, 2> comms{};
  for (hawserComm_t& comm : comms) {
    hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
    const std::string address = master->address();
    config.master = address.c_str();
    config.connect_ms = 20000;
    REQUIRE(hawserCommCreate(&config, &comm) == hawserSuccess);
  }
  std::thread other([&] { (void)hawserCommConnect(comms[1]); });
  REQUIRE(hawserCommConnect(comms[0]) == hawserSuccess);
  other.join();

  std::vector<float> values(1000, 3.0F);
  hawserOp_t op = nullptr;
  REQUIRE(hawserAllReduceAsync(comms[0], values.data(), values.data(), values.size(), hawserFloat32, nullptr, &op) ==
          hawserSuccess);
  CHECK(hawserOpWait(op, 0, nullptr) == hawserErrorTimeout);
  CHECK(hawserCommDestroy(comms[0]) == hawserSuccess);
  // The largest that is not "without end" by name, the smallest that is, and what overflows the clock.
  for (const std::uint64_t timeout : {std::uint64_t{0}, (std::uint64_t{1} << 40) - 1, std::uint64_t{1} << 40,
                                      UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX})
    CHECK(hawserOpWait(op, timeout, nullptr) == hawserErrorClosed);
  CHECK(values == std::vector<float>(1000, 3.0F));
  CHECK(hawserOpDestroy(op) == hawserSuccess);
  CHECK(hawserCommDestroy(comms[1]) == hawserSuccess);
}
