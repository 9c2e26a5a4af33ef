/// Synchronisations over sockets: what is elected, who takes it, what is refused.
#include <algorithm>

#include "kernels/content_digest.hpp"
#include "shared_state_fixture.hpp"

namespace hawser::test {
namespace {

constexpr std::uint64_t kSlice = kDigestSliceBytes;

/// Something of every size: empty, small, several slices and a bit.
std::vector<Tensor> small_model() {
  return {floats("weights", 300'007), floats("bias", 3), raw("empty", 0), raw("tokens", 2 * kSlice + 17)};
}

std::vector<Tensor> one_tensor() { return {floats("weights", 1000)}; }

SyncOutcome sync_with(SyncStrategy strategy, Communicator& peer, Holding& holding) {
  return holding.state().sync(peer, {.settings = {.strategy = strategy}});
}

/// Peers in the order of their ranks, so that a place in the list is a rank.
Peers by_rank(Peers peers) {
  std::sort(peers.begin(), peers.end(), [](const auto& a, const auto& b) { return rank_of(*a) < rank_of(*b); });
  return peers;
}

}  // namespace

TEST_CASE("a newcomer takes the group's content, and only then differs nothing") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 0}, {1, 0}, {9, 0}}, small_model);
  const auto alike = sync_all(peers, holdings);
  check_success(alike);
  for (const SyncOutcome& outcome : alike) {
    CHECK(outcome.info.bytes_fetched == 0);
    CHECK(outcome.info.tensors == 4);
    CHECK(outcome.info.bytes == holdings[0].bytes());
    CHECK(outcome.info.supporters == 2);
    CHECK(outcome.info.attempts == 1);
    CHECK(outcome.info.bytes_from.empty());
  }

  admit(peers, run.peer());
  const auto joined = sync_all(peers, holdings);
  check_success(joined);
  for (Holding& holding : holdings) CHECK(holding.is_filled(1));
  const SyncInfo& newcomer = joined[2].info;
  CHECK(newcomer.supporters == 2);
  CHECK(newcomer.tensors_changed == 3);
  CHECK(newcomer.bytes_fetched == holdings[0].bytes());
  std::uint64_t from_all = 0;
  for (const auto& [peer, bytes] : newcomer.bytes_from) {
    CHECK((peer == id_of(*peers[0]) || peer == id_of(*peers[1])));
    from_all += bytes;
  }
  CHECK(from_all == newcomer.bytes_fetched);
  CHECK(joined[0].info.bytes_fetched == 0);
  CHECK(newcomer.rank == rank_of(*peers[2]));
  CHECK(newcomer.epoch == (*peers[2]->info())->view.epoch);
  CHECK(*holdings[0].state().digest() == *holdings[2].state().digest());
}

TEST_CASE("the content that most hold wins, whatever the ranks") {
  TestRun run;
  const Peers peers = by_rank(run.assemble(3));
  Holdings holdings = hold({{5, 0}, {2, 0}, {2, 0}}, small_model);
  const auto outcomes = sync_all(peers, holdings);
  check_success(outcomes);
  for (Holding& holding : holdings) CHECK(holding.is_filled(2));
  CHECK(outcomes[0].info.bytes_fetched == holdings[0].bytes());
  CHECK(outcomes[1].info.supporters == 2);
  CHECK(outcomes[1].info.bytes_fetched == 0);
}

TEST_CASE("among equally popular contents that of the lowest rank wins") {
  TestRun run;
  const Peers peers = by_rank(run.assemble(4));
  Holdings holdings = hold({{1, 0}, {2, 0}, {2, 0}, {1, 0}}, one_tensor);
  check_success(sync_all(peers, holdings));
  for (Holding& holding : holdings) CHECK(holding.is_filled(1));
}

TEST_CASE("send_only imposes its content, receive_only has no say") {
  TestRun run;
  const Peers peers = by_rank(run.assemble(3));
  Holdings holdings = hold({{1, 0}, {1, 0}, {2, 0}}, small_model);
  SECTION("one send_only against two") {
    check_success(sync_all(peers, holdings, [](std::size_t who, SyncArguments& arguments) {
      if (who == 2) arguments.settings.strategy = SyncStrategy::send_only;
    }));
  }
  SECTION("two receive_only against one") {
    const auto outcomes = sync_all(peers, holdings, [](std::size_t who, SyncArguments& arguments) {
      if (who != 2) arguments.settings.strategy = SyncStrategy::receive_only;
    });
    check_success(outcomes);
    CHECK(outcomes[0].info.supporters == 1);
    // What receive_only members have got they pass on, but nobody had it but one at the start.
    CHECK(outcomes[0].info.bytes_fetched == holdings[0].bytes());
  }
  for (Holding& holding : holdings) CHECK(holding.is_filled(2));
}

TEST_CASE("send_only members that contradict each other are an error that names them") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 0}, {2, 0}, {1, 0}}, small_model);
  const auto outcomes = sync_all(peers, holdings, [](std::size_t who, SyncArguments& arguments) {
    if (who != 2) arguments.settings.strategy = SyncStrategy::send_only;
  });
  check_failure(outcomes, Status::mismatch, "send_only");
  check_failure(outcomes, Status::mismatch, "peer0");
  check_failure(outcomes, Status::mismatch, "peer1");
  check_failure(outcomes, Status::mismatch, "as they were");
  CHECK(holdings[0].is_filled(1));
  CHECK(holdings[1].is_filled(2));
  check_success(sync_all(peers, holdings));
}

TEST_CASE("without an offer there is nothing to take") {
  TestRun run;
  const Peers peers = run.assemble(2);
  const std::uint64_t other = GENERATE(1U, 2U);
  Holdings holdings = hold({{1, 0}, {other, 0}}, one_tensor);
  const auto outcomes = sync_all(peers, holdings, [](std::size_t, SyncArguments& arguments) {
    arguments.settings.strategy = SyncStrategy::receive_only;
  });
  check_failure(outcomes, Status::mismatch, "nobody offers");
  CHECK(holdings[1].is_filled(other));
}

TEST_CASE("tensors that may differ stay as they are, but come with a new revision") {
  TestRun run;
  const Peers peers = by_rank(run.assemble(3));
  Holdings holdings = hold({{1, 4}, {1, 4}, {3, 3}}, [] {
    auto tensors = small_model();
    tensors.push_back(floats("own", 1000));
    tensors.back().may_differ = true;
    return tensors;
  });
  const auto own = content_of(7, 4, 4000);
  holdings[1][4].write(own);
  check_success(sync_all(peers, holdings));
  CHECK(holdings[0].is_filled(1));
  CHECK(holdings[1][4].read() == own);
  // From the member whose content was the model.
  CHECK(holdings[2].is_filled(1));
  CHECK(*holdings[1].state().digest() == *holdings[0].state().digest());
}

TEST_CASE("a revision grows by one, or goes back; newcomers from elsewhere have no say") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 0}, {1, 0}, {8, 50}}, one_tensor);
  check_success(sync_all(peers, holdings));
  const auto step = [&](const std::vector<Start>& to) {
    for (std::size_t who = 0; who < to.size(); ++who) {
      holdings[who].fill(to[who].seed);
      REQUIRE(holdings[who].state().set_revision(to[who].revision).ok());
    }
    return sync_all(peers, holdings);
  };
  // All have done the step.
  auto outcomes = step({{2, 1}, {2, 1}});
  check_success(outcomes);
  CHECK(outcomes[0].info.revision == 1);
  CHECK(outcomes[0].info.bytes_fetched + outcomes[1].info.bytes_fetched == 0);
  // One has missed it.
  outcomes = step({{2, 1}, {3, 2}});
  check_success(outcomes);
  CHECK(outcomes[0].info.revision == 2);
  CHECK(outcomes[0].info.supporters == 1);
  CHECK(holdings[0].is_filled(3));
  CHECK(*holdings[0].state().revision() == 2);
  // One counts by two.
  outcomes = step({{3, 2}, {4, 4}});
  check_failure(outcomes, Status::mismatch, "peer1 offers revision 4");
  check_failure(outcomes, Status::mismatch, "the last one agreed on is 2");
  CHECK(holdings[0].is_filled(3));
  CHECK(holdings[1].is_filled(4));
  CHECK(*holdings[1].state().revision() == 4);
  // So do both.
  outcomes = step({{4, 4}, {4, 4}});
  check_failure(outcomes, Status::mismatch, "offers revision 4");
  // Both go back.
  outcomes = step({{5, 1}, {5, 1}});
  check_success(outcomes);
  CHECK(outcomes[1].info.revision == 1);
  // A newcomer is far ahead.
  admit(peers, run.peer());
  outcomes = sync_all(peers, holdings);
  check_success(outcomes);
  CHECK(outcomes[2].info.revision == 1);
  CHECK(holdings[2].is_filled(5));
  CHECK(*holdings[2].state().revision() == 1);
}

TEST_CASE("a run that starts from checkpoints takes the best revision") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 3}, {2, 7}, {1, 3}}, small_model);
  const auto outcomes = sync_all(peers, holdings);
  check_success(outcomes);
  CHECK(outcomes[0].info.revision == 7);
  CHECK(outcomes[0].info.supporters == 1);
  for (Holding& holding : holdings) CHECK(holding.is_filled(2));
}

TEST_CASE("other tensors are a mismatch at all members that names the tensor and the peers") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 0}, {1, 0}}, small_model);
  std::vector<Tensor> other = small_model();
  std::string named;
  SECTION("one more") {
    other.push_back(raw("more", 5));
    named = "\"more\" is";
  }
  SECTION("one less") {
    other.erase(other.begin() + 1);
    named = "\"bias\" is";
  }
  SECTION("another name") {
    other[3].name = "Tokens";
    named = "\"Tokens\" is";
  }
  SECTION("another type of the same size") {
    other[1].type = DataType::int32;
    named = "\"bias\" is";
  }
  SECTION("another count") {
    other[0] = floats("weights", 300'006);
    named = "\"weights\" is";
  }
  SECTION("another flag") {
    other[3].may_differ = true;
    named = "\"tokens\" is";
  }
  holdings.emplace_back(std::move(other));
  const auto outcomes = sync_all(peers, holdings);
  check_failure(outcomes, Status::mismatch, named);
  check_failure(outcomes, Status::mismatch, "peer2");
  check_failure(outcomes, Status::mismatch, "as they were");
  CHECK(holdings[0].is_filled(1));
}

TEST_CASE("alone there is nobody to synchronise with") {
  TestRun run;
  const Peers peers = run.assemble(1);
  Holdings holdings = hold({{1, 0}}, one_tensor);
  const auto outcomes = sync_all(peers, holdings);
  check_failure(outcomes, Status::too_few_peers, "as they were");
  CHECK(outcomes[0].began);
  CHECK(holdings[0].is_filled(1));
}

TEST_CASE("before connect a synchronisation does not begin") {
  TestRun run;
  const auto peer = run.peer();
  Holdings holdings = hold({{1, 0}}, one_tensor);
  const SyncOutcome outcome = sync_with(SyncStrategy::enforce_popular, *peer, holdings[0]);
  CHECK(outcome.error.status == Status::invalid_usage);
  CHECK_FALSE(outcome.began);
}

TEST_CASE("a member that calls something else is a mismatch for both") {
  TestRun run;
  const Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 0}, {2, 0}}, small_model);
  SyncOutcome synced;
  Outcome reduced;
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    if (who == 0)
      synced = holdings[0].state().sync(peer, {.tag = 3});
    else
      reduced = reduce_once(who, peer, {.tag = 3});
  });
  CHECK(synced.error.status == Status::mismatch);
  CHECK(reduced.status == Status::mismatch);
  CHECK(reduced.input_intact);
  CHECK(holdings[0].is_filled(1));
  INFO(synced.error.sentence);
  CHECK(contains(reduced.sentence, "shared"));
  check_success(sync_all(peers, holdings));
}

TEST_CASE("an all-reduce with another tag runs beside a synchronisation") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 0}, {2, 0}, {1, 0}}, small_model);
  std::vector<std::vector<float>> values;
  std::vector<AsyncCollective> operations;
  for (std::size_t who = 0; who < 3; ++who) values.push_back(contribution_of(who, 1'000'003));
  for (std::size_t who = 0; who < 3; ++who) {
    auto started = peers[who]->start({.call = {.signature = {.count = values[who].size()},
                                               .send = reinterpret_cast<const std::byte*>(values[who].data()),
                                               .receive = reinterpret_cast<std::byte*>(values[who].data())},
                                      .tag = 5});
    REQUIRE(started.ok());
    operations.push_back(*started);
  }
  check_success(sync_all(peers, holdings));
  for (std::size_t who = 0; who < 3; ++who) {
    CHECK(operations[who].wait().ok());
    CHECK(is_sum_of(values[who], {0, 1, 2}));
    CHECK(holdings[who].is_filled(1));
  }
}

TEST_CASE("a state is used by one call at a time") {
  TestRun run;
  const Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 0}, {1, 0}}, one_tensor);
  SharedState& state = holdings[0].state();
  SyncOutcome first;
  std::thread call([&] { first = state.sync(*peers[0], {}); });
  CHECK(eventually([&] { return peers[0]->calls_under_way() > 0; }));
  const SyncOutcome second = state.sync(*peers[0], {.tag = 1});
  CHECK(second.error.status == Status::invalid_usage);
  CHECK_FALSE(second.began);
  CHECK(state.revision().status() == Status::invalid_usage);
  CHECK(state.set_revision(3).status() == Status::invalid_usage);
  CHECK(state.mark_changed("weights").status() == Status::invalid_usage);
  CHECK(state.mark_all_changed().status() == Status::invalid_usage);
  CHECK(state.digest().status() == Status::invalid_usage);
  CHECK(state.save("/nowhere").status() == Status::invalid_usage);
  CHECK(state.load("/nowhere").status() == Status::invalid_usage);
  CHECK(state.retire().status() == Status::invalid_usage);
  CHECK(holdings[1].state().sync(*peers[1], {}).error.status == Status::success);
  call.join();
  CHECK(first.error.status == Status::success);
  CHECK(state.retire().ok());
  CHECK(state.revision().status() == Status::invalid_usage);
}

TEST_CASE("only what is marked as changed is read again, where that is asked for") {
  TestRun run;
  const Peers peers = by_rank(run.assemble(3));
  Holdings holdings = hold({{1, 0}, {1, 0}, {1, 0}}, small_model);
  check_success(sync_all(peers, holdings));
  const auto only_marked = [](std::size_t, SyncArguments& arguments) { arguments.only_marked = true; };
  const auto before = holdings[0][0].read();

  // What is not marked is not seen.
  flip(holdings[0][0], 5);
  auto outcomes = sync_all(peers, holdings, only_marked);
  check_success(outcomes);
  CHECK(outcomes[0].info.bytes_fetched == 0);
  CHECK(holdings[0][0].read() != before);
  // What is marked is.
  REQUIRE(holdings[0].state().mark_changed("weights").ok());
  outcomes = sync_all(peers, holdings, only_marked);
  check_success(outcomes);
  CHECK(outcomes[0].info.tensors_changed == 1);
  CHECK(holdings[0].is_filled(1));

  // Who changed its content behind everybody's back has others send what it pretends to have.
  flip(holdings[0][0], 5);
  holdings[2].fill(3);
  SECTION("another one has it") {
    outcomes = sync_all(peers, holdings, only_marked);
    check_success(outcomes);
    CHECK(holdings[2].is_filled(1));
  }
  SECTION("nobody has it") {
    holdings[1].fill(3);
    const auto strategies = [&](std::size_t who, SyncArguments& arguments) {
      arguments.only_marked = true;
      if (who != 0) arguments.settings.strategy = SyncStrategy::receive_only;
    };
    outcomes = sync_all(peers, holdings, strategies);
    check_failure(outcomes, Status::mismatch, "the tensor \"weights\"");
    CHECK(contains(outcomes[0].error.sentence, "as they were"));
    CHECK(contains(outcomes[2].error.sentence, "INCOMPLETE"));
    CHECK(holdings[2].state().save("/tmp/never-written").status() == Status::invalid_usage);
    // With all read again, all is well.
    outcomes = sync_all(peers, holdings);
    check_success(outcomes);
    CHECK(holdings[1].content() == holdings[0].content());
    CHECK(holdings[2].content() == holdings[0].content());
  }
}

TEST_CASE("names that are none are told apart from tensors that are not there") {
  Holdings holdings = hold({{1, 0}}, one_tensor);
  SharedState& state = holdings[0].state();
  CHECK(state.mark_changed("weights").ok());
  CHECK(state.mark_changed("weight").status() == Status::invalid_argument);
  CHECK(state.mark_changed("").status() == Status::invalid_argument);
  CHECK(state.mark_changed("a\nb").status() == Status::invalid_argument);
}

TEST_CASE("no tensors at all are alike everywhere") {
  TestRun run;
  const Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 2}, {1, 1}}, [] { return std::vector<Tensor>{}; });
  const auto outcomes = sync_all(peers, holdings);
  check_success(outcomes);
  CHECK(outcomes[1].info.revision == 2);
}

TEST_CASE("a communicator that is destroyed ends the synchronisation with closed") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 0}, {2, 0}}, small_model);
  SyncOutcome outcome;
  std::thread call([&] { outcome = holdings[0].state().sync(*peers[0], {}); });
  // The synchronisation and its first collective.
  CHECK(eventually([&] { return peers[0]->calls_under_way() == 2; }));
  peers[0].reset();
  call.join();
  CHECK(outcome.error.status == Status::closed);
  CHECK(contains(outcome.error.sentence, "as they were"));
  CHECK(holdings[0].is_filled(1));
}

}  // namespace hawser::test
