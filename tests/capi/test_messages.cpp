/// Messages through the C face and the C++ face.
#include <hawser.h>

#include <array>
#include <cstdint>
#include <hawser/hawser.hpp>
#include <numeric>
#include <vector>

#include "catch.hpp"
#include "two_members.hpp"

TEST_CASE("members send each other messages in C++") {
  TwoMembers members;
  std::array<std::vector<double>, 2> received{std::vector<double>(1000), std::vector<double>(1000)};
  std::array<bool, 2> fine{};
  members.run([&](std::size_t who) {
    hawser::Communicator& comm = members.comms[who];
    const std::uint32_t other = 1 - comm.info()->rank;
    std::vector<double> sent(1000);
    std::iota(sent.begin(), sent.end(), static_cast<double>(comm.info()->rank));
    const auto send = comm.send(sent, other, {.tag = 3});
    const auto receive = comm.receive(received[who], who == 0 ? other : HAWSER_ANY_RANK, {.tag = 3});
    fine[who] = send && receive && receive->bytes_received == 8000 && send->bytes_sent == 8000 &&
                receive->contributors.size() == 1 && send->contributors == receive->contributors;
  });
  for (std::size_t who = 0; who < 2; ++who) {
    CHECK(fine[who]);
    CHECK(received[who][7] == 7.0 + members.comms[1 - who].info()->rank);
  }
}

TEST_CASE("messages in the background have handles, and bad arguments are told") {
  TwoMembers members;
  hawserComm_t comm = members.comms[0].handle();
  hawserComm_t far = members.comms[1].handle();
  const std::uint32_t rank = members.comms[0].info()->rank;
  const std::vector<float> sent(100'000, 1.5F);
  std::vector<float> received(100'000);
  hawserOp_t send = nullptr;
  hawserOp_t receive = nullptr;
  REQUIRE(hawserSendAsync(comm, sent.data(), sent.size(), hawserFloat32, 1 - rank, nullptr, &send) == hawserSuccess);
  CHECK(hawserOpWait(send, 0, nullptr) == hawserErrorTimeout);
  REQUIRE(hawserReceiveAsync(far, received.data(), received.size(), hawserFloat32, rank, nullptr, &receive) ==
          hawserSuccess);
  hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
  CHECK(hawserOpWait(receive, UINT64_MAX, &info) == hawserSuccess);
  CHECK(info.bytes_received == 400'000);
  CHECK(hawserOpWait(send, UINT64_MAX, nullptr) == hawserSuccess);
  CHECK(received == sent);
  CHECK(hawserOpDestroy(send) == hawserSuccess);
  CHECK(hawserOpDestroy(receive) == hawserSuccess);

  CHECK(hawserSend(nullptr, sent.data(), 1, hawserFloat32, 0, nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSend(comm, nullptr, 1, hawserFloat32, 1 - rank, nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSend(comm, sent.data(), 1, hawserFloat32, HAWSER_ANY_RANK, nullptr, nullptr) ==
        hawserErrorInvalidArgument);
  CHECK(hawserSend(comm, sent.data(), UINT64_MAX / 2, hawserFloat32, 1 - rank, nullptr, nullptr) ==
        hawserErrorInvalidArgument);
  CHECK(hawserSendAsync(comm, sent.data(), 1, hawserFloat32, 1 - rank, nullptr, nullptr) ==
        hawserErrorInvalidArgument);
  hawserMessageOptions_t options = HAWSER_MESSAGE_OPTIONS_INIT;
  options.size = 3;
  CHECK(hawserReceive(comm, received.data(), 1, hawserFloat32, 1 - rank, &options, nullptr) ==
        hawserErrorInvalidArgument);
  options = HAWSER_MESSAGE_OPTIONS_INIT;
  options.timeout_ms = 20;
  CHECK(hawserReceive(comm, received.data(), 1, hawserFloat32, 1 - rank, &options, nullptr) == hawserErrorTimeout);
}
