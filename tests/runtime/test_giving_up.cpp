#include <chrono>
#include <vector>

#include "catch.hpp"
#include "run_fixture.hpp"

/// Calls that a member gives up, over sockets: they end for all, and the group stays as it is.
namespace hawser::test {
namespace {

CollectiveArguments all_reduce_of(std::vector<float>& values, std::uint64_t tag) {
  auto* const bytes = reinterpret_cast<std::byte*>(values.data());
  CollectiveArguments arguments;
  arguments.call = {.signature = {.count = values.size()}, .send = bytes, .receive = bytes};
  arguments.tag = tag;
  return arguments;
}

void check_that_all_reduce(const Peers& peers) {
  std::vector<Outcome> outcomes(peers.size());
  std::vector<std::size_t> all;
  for (std::size_t who = 0; who < peers.size(); ++who) all.push_back(who);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    // Who has not heard of the end of the call yet is told by this one.
    do outcomes[who] = reduce_once(who, peer, {.tag = 1});
    while (outcomes[who].status == Status::timeout);
  });
  for (const Outcome& outcome : outcomes) {
    REQUIRE(outcome.status == Status::success);
    CHECK(is_sum_of(outcome.result, all));
  }
}

/// When this returns, `from` has begun what it was asked to do before.
void send_a_word(Communicator& from, Communicator& to) {
  const std::vector<std::byte> word(1);
  std::vector<std::byte> got(1);
  const auto sent = from.start(MessageArguments{.peer = (*to.info())->self, .data = word});
  const auto received = to.start(MessageArguments{.receives = true, .peer = (*from.info())->self, .into = got});
  REQUIRE(sent.ok());
  REQUIRE(received.ok());
  REQUIRE(received->wait().ok());
  REQUIRE(sent->wait().ok());
}

}  // namespace

TEST_CASE("a call whose bound passes, or that is cancelled, ends for all who wait in it, and nobody is lost") {
  TestRun run;
  const Peers peers = run.assemble(3);
  const bool cancels = GENERATE(false, true);
  constexpr std::uint64_t kCount = 300'000;
  std::vector<std::vector<float>> values{contribution_of(0, kCount), contribution_of(1, kCount)};
  // The third one never calls: without a bound the others would wait for 20 s.
  auto patient = peers[0]->start(all_reduce_of(values[0], 1));
  send_a_word(*peers[0], *peers[1]);
  CollectiveArguments bounded = all_reduce_of(values[1], 1);
  if (!cancels) bounded.bound = std::chrono::milliseconds(50);
  auto impatient = peers[1]->start(bounded);
  REQUIRE(patient.ok());
  REQUIRE(impatient.ok());
  if (cancels) {
    CHECK(impatient->wait(std::chrono::milliseconds(20)).status() == Status::timeout);
    impatient->cancel();
  }
  for (const AsyncCollective* const call : {&*patient, &*impatient}) {
    const auto ended = call->wait();
    REQUIRE(ended.status() == Status::timeout);
    CHECK(ended.error().sentence.find(cancels ? "cancelled the" : "gave up the") != std::string::npos);
    CHECK(ended.error().sentence.find("not called by") != std::string::npos);
  }
  CHECK(values[0] == contribution_of(0, kCount));
  CHECK(values[1] == contribution_of(1, kCount));
  impatient->cancel();
  check_that_all_reduce(peers);
}

TEST_CASE("a bound that does not pass changes nothing") {
  TestRun run;
  const Peers peers = run.assemble(2);
  std::vector<Status> ended(2);
  std::vector<std::vector<float>> values{contribution_of(0, 1000), contribution_of(1, 1000)};
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    CollectiveArguments arguments = all_reduce_of(values[who], 3);
    arguments.bound = std::chrono::milliseconds(60'000);
    ended[who] = peer.run(arguments).status();
  });
  CHECK(ended == std::vector{Status::success, Status::success});
  CHECK(values[0] == sum_of({0, 1}, 1000));
}

TEST_CASE("a message that is cancelled ends at once, and the next one of its tag arrives") {
  TestRun run;
  const Peers peers = run.assemble(2);
  const std::vector<std::byte> large(1 << 20, std::byte{5});
  std::vector<std::byte> into(large.size());
  const std::uint32_t rank = *(*peers[0]->info())->view.rank_of((*peers[0]->info())->self);
  const auto sent = peers[0]->start(MessageArguments{.rank = 1 - rank, .tag = 2, .data = large});
  const auto received = peers[0]->start(MessageArguments{.receives = true, .rank = 1 - rank, .into = into});
  REQUIRE(sent.ok());
  REQUIRE(received.ok());
  for (const AsyncCollective* const call : {&*sent, &*received}) {
    call->cancel();
    const auto ended = call->wait();
    REQUIRE(ended.status() == Status::timeout);
    CHECK(ended.error().sentence.rfind("cancelled after", 0) == 0);
  }
  const std::vector<std::byte> next(1000, std::byte{9});
  std::vector<std::byte> got(next.size());
  const auto again = peers[0]->start(MessageArguments{.rank = 1 - rank, .tag = 2, .data = next});
  REQUIRE(again.ok());
  // Until the receiver hears that it is cancelled, the first one is the next, and of another size.
  Status taken = Status::mismatch;
  while (taken == Status::mismatch) {
    const auto call = peers[1]->start(MessageArguments{.receives = true, .rank = rank, .tag = 2, .into = got});
    REQUIRE(call.ok());
    taken = call->wait().status();
  }
  CHECK(taken == Status::success);
  CHECK(again->wait().ok());
  CHECK(got == next);
}

TEST_CASE("what is cancelled after its communicator has closed stays as it ended") {
  TestRun run;
  Peers peers = run.assemble(2);
  std::vector<float> values = contribution_of(0, 10);
  const auto call = peers[0]->start(all_reduce_of(values, 0));
  REQUIRE(call.ok());
  REQUIRE(peers[0]->close().ok());
  call->cancel();
  CHECK(call->wait().status() == Status::closed);
  peers[0].reset();
  call->cancel();
}

}  // namespace hawser::test
