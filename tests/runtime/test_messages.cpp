#include <cstring>

#include "catch.hpp"
#include "run_fixture.hpp"

/// Messages between members, over sockets. What they do in which order is for tests/engine/test_message_exchange.cpp.
namespace hawser::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes pattern(std::size_t bytes, unsigned salt) {
  Bytes made(bytes);
  for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>((i * 31 + salt) & 255);
  return made;
}

std::uint32_t rank_of(Communicator& peer) {
  const auto info = *peer.info();
  return *info->view.rank_of(info->self);
}

MessageArguments to_rank(std::uint32_t rank, const Bytes& data, std::uint64_t tag = 0) {
  return {.rank = rank, .tag = tag, .data = data};
}
MessageArguments from_rank(std::uint32_t rank, Bytes& into, std::uint64_t tag = 0) {
  return {.receives = true, .rank = rank, .tag = tag, .into = into};
}

constexpr std::size_t kSizes[] = {0, 1, 1000, 64 << 10, 3'000'001};

}  // namespace

TEST_CASE("everybody sends to everybody while a collective is under way, and links break") {
  TestRun run;
  const std::optional<unsigned> lanes = GENERATE(std::optional<unsigned>(), std::optional<unsigned>(2));
  const Peers peers = run.assemble(3, [&](std::size_t, CommunicatorConfig& config) { config.lanes = lanes; });
  std::vector<std::string> failures(peers.size());
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    const std::uint32_t rank = rank_of(peer);
    std::vector<Bytes> sent;
    std::vector<Bytes> received;
    std::vector<AsyncCollective> calls;
    const auto begin = [&](const MessageArguments& arguments) {
      auto call = peer.start(arguments);
      if (call.ok())
        calls.push_back(std::move(*call));
      else
        failures[who] = call.error().sentence;
    };
    sent.reserve(64);
    received.reserve(64);
    for (std::uint32_t other = 0; other < peers.size(); ++other) {
      if (other == rank) continue;
      for (const std::size_t bytes : kSizes) {
        sent.push_back(pattern(bytes, rank * 16 + other));
        begin(to_rank(other, sent.back(), 7));
        received.push_back(Bytes(bytes));
        begin(from_rank(other, received.back(), 7));
      }
    }
    if (who == 0) peer.shut_down_links();
    const Outcome outcome = reduce_once(who, peer, {.count = 500'000});
    if (outcome.status != Status::success) failures[who] = outcome.sentence;
    for (const AsyncCollective& call : calls)
      if (const auto done = call.wait(); !done.ok()) failures[who] = done.error().sentence;
    std::size_t number = 0;
    for (std::uint32_t other = 0; other < peers.size(); ++other) {
      if (other == rank) continue;
      for (const std::size_t bytes : kSizes)
        if (received[number++] != pattern(bytes, other * 16 + rank)) failures[who] = "wrong bytes";
    }
  });
  for (const std::string& failure : failures) CHECK(failure == "");
}

TEST_CASE("what a member had sent is received after it has left, by its peer id; then it is lost") {
  TestRun run;
  Peers peers = run.assemble(2);
  const PeerId leaver = (*peers[1]->info())->self;
  const Bytes small = pattern(1000, 1);
  const auto sent = peers[1]->start(to_rank(rank_of(*peers[0]), small));
  REQUIRE(sent.ok());
  REQUIRE(sent->wait().ok());
  REQUIRE(peers[1]->close().ok());
  while ((*peers[0]->info())->view.size() > 1)
    (void)peers[0]->wait({.other_than = (*peers[0]->info())->view.epoch}, std::chrono::milliseconds(100));
  Bytes into(1000);
  MessageArguments arguments{.receives = true, .peer = leaver, .into = into};
  const auto received = peers[0]->start(arguments);
  REQUIRE(received.ok());
  const auto done = received->wait();
  REQUIRE(done.ok());
  CHECK((*done)->contributors == std::vector{leaver});
  CHECK((*done)->bytes_received == 1000);
  CHECK(into == small);
  CHECK(peers[0]->start(arguments)->wait().status() == Status::peer_lost);
  CHECK(peers[0]->start({.receives = true, .any = true, .into = into})->wait().status() == Status::too_few_peers);
}

TEST_CASE("a member that dies ends the messages to and from it, with its name") {
  TestRun run;
  Peers peers = run.assemble(3);
  const std::string name = (*peers[1]->info())->view.find((*peers[1]->info())->self)->name;
  const std::uint32_t victim = rank_of(*peers[1]);
  const Bytes large = pattern(1 << 20, 1);
  Bytes into(100);
  const auto sends = peers[0]->start(to_rank(victim, large));
  const auto receives = peers[0]->start(from_rank(victim, into));
  REQUIRE(sends.ok());
  REQUIRE(receives.ok());
  peers[1]->vanish();
  for (const auto* call : {&sends, &receives}) {
    const auto done = (*call)->wait();
    CHECK(done.status() == Status::peer_lost);
    CHECK(done.error().sentence.find(name + " was lost") == 0);
  }
}

TEST_CASE("a message that nobody receives times out, and closing ends the others") {
  TestRun run;
  Peers peers = run.assemble(2);
  const std::uint32_t other = rank_of(*peers[1]);
  const Bytes large = pattern(1 << 20, 1);
  MessageArguments bounded = to_rank(other, large);
  bounded.bound = std::chrono::milliseconds(50);
  const auto late = peers[0]->start(bounded)->wait();
  CHECK(late.status() == Status::timeout);
  CHECK(late.error().sentence.find("timed out after") == 0);
  const auto unbounded = peers[0]->start(to_rank(other, large));
  REQUIRE(unbounded.ok());
  REQUIRE(peers[0]->close().ok());
  CHECK(unbounded->wait().status() == Status::closed);
  CHECK(peers[0]->start(to_rank(other, large)).status() == Status::closed);
}

TEST_CASE("messages that cannot be are refused with a sentence") {
  TestRun run;
  Peers peers = run.assemble(2);
  const Bytes data(10);
  const auto refused = [&](const MessageArguments& arguments) {
    const auto call = peers[0]->start(arguments);
    const Error error = call.ok() ? call->wait().error() : call.error();
    CHECK(error.sentence.size() > 20);
    return error.status;
  };
  CHECK(refused(to_rank(2, data)) == Status::invalid_argument);
  CHECK(refused(to_rank(rank_of(*peers[0]), data)) == Status::invalid_argument);
  CHECK(refused({.rank = 1, .data = std::span<const std::byte>(static_cast<const std::byte*>(nullptr), 4)}) ==
        Status::invalid_argument);
  CHECK(refused({.peer = PeerId{12345}, .data = data}) == Status::peer_lost);
  CHECK(refused({.rank = rank_of(*peers[1]), .epoch = Epoch{77}, .data = data}) == Status::peer_lost);
  CHECK(refused({.rank = 0, .data = data, .bound = std::chrono::milliseconds(1)}) != Status::success);
}

}  // namespace hawser::test
