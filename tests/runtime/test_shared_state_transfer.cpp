/// Synchronisations that move much, and those that lose members on the way.
#include <algorithm>
#include <chrono>

#include "kernels/content_digest.hpp"
#include "shared_state_fixture.hpp"

namespace hawser::test {
namespace {

constexpr std::uint64_t kSlice = kDigestSliceBytes;
constexpr std::uint64_t kBig = 64 * kSlice + 12345;

std::vector<Tensor> big_model() { return {raw("big", kBig), floats("bias", 7)}; }

}  // namespace

TEST_CASE("a big tensor comes from those who have it, and its way is told") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 1}, {1, 1}, {2, 0}}, big_model);
  std::vector<SyncProgress> told;
  const auto outcomes = sync_all(peers, holdings, [&](std::size_t who, SyncArguments& arguments) {
    if (who == 2) arguments.progress = [&](const SyncProgress& progress) { told.push_back(progress); };
  });
  check_success(outcomes);
  CHECK(holdings[2].is_filled(1));
  const SyncInfo& info = outcomes[2].info;
  CHECK(info.bytes_fetched == holdings[2].bytes());
  CHECK(info.bytes_again == 0);
  // How much from whom is a matter of who is ready when.
  std::uint64_t from_all = 0;
  for (const auto& [peer, bytes] : info.bytes_from) {
    CHECK((peer == id_of(*peers[0]) || peer == id_of(*peers[1])));
    from_all += bytes;
  }
  CHECK(from_all == info.bytes_fetched);
  REQUIRE_FALSE(told.empty());
  CHECK(told.back().bytes_done == holdings[2].bytes());
  CHECK(told.back().bytes_total == holdings[2].bytes());
}

TEST_CASE("compressed content comes whole, and is less on the way") {
  TestRun run;
  const Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 1}, {2, 0}}, big_model);
  holdings[0][0].write(std::vector(holdings[0][0].size(), std::byte{3}));
  const auto outcomes =
      sync_all(peers, holdings, [](std::size_t, SyncArguments& arguments) { arguments.settings.compress = true; });
  check_success(outcomes);
  CHECK(holdings[1].content() == holdings[0].content());
  CHECK(outcomes[1].info.bytes_fetched == holdings[1].bytes());
  // How much less depends on how busy this machine is: compression ends where it does not pay.
  CHECK(outcomes[1].info.bytes_received < holdings[1].bytes());
}

TEST_CASE("many small tensors and empty ones are synchronised") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 0}, {2, 0}, {1, 0}}, [] {
    std::vector<Tensor> tensors;
    for (std::uint64_t i = 0; i < 2000; ++i) tensors.push_back(floats("layer." + std::to_string(i), i % 37));
    return tensors;
  });
  const auto outcomes = sync_all(peers, holdings);
  check_success(outcomes);
  CHECK(holdings[1].is_filled(1));
  CHECK(outcomes[1].info.tensors == 2000);
  CHECK(outcomes[1].info.tensors_changed == 2000 - 2000 / 37 - 1);
  CHECK(outcomes[1].info.bytes_fetched == holdings[1].bytes());
}

TEST_CASE("only slices that differ are fetched") {
  TestRun run;
  const Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 1}, {1, 0}}, big_model);
  for (const std::uint64_t at : {std::uint64_t{0}, 17 * kSlice + 5, 40 * kSlice - 1, kBig - 1})
    flip(holdings[1][0], at);
  const auto outcomes = sync_all(peers, holdings);
  check_success(outcomes);
  CHECK(holdings[1].is_filled(1));
  CHECK(outcomes[1].info.bytes_fetched == 3 * kSlice + 12345);
  CHECK(outcomes[1].info.tensors_changed == 1);
}

TEST_CASE("a holder sends little more than one copy to three newcomers") {
  TestRun run;
  const Peers peers = run.assemble(4);
  Holdings holdings = hold({{1, 1}, {2, 0}, {3, 0}, {4, 0}}, big_model);
  const auto outcomes = sync_all(peers, holdings);
  check_success(outcomes);
  for (Holding& holding : holdings) CHECK(holding.is_filled(1));
  INFO(static_cast<double>(outcomes[0].info.bytes_sent) / static_cast<double>(holdings[0].bytes()) << " copies");
  // Three without spreading. One where the machine has time for all; late slices are asked for twice.
  CHECK(outcomes[0].info.bytes_sent <= 2 * holdings[0].bytes());
  // The rest they got from each other.
  std::uint64_t from_holder = 0;
  for (std::size_t who = 1; who < 4; ++who) {
    const auto& from = outcomes[who].info.bytes_from;
    if (const auto found = from.find(id_of(*peers[0])); found != from.end()) from_holder += found->second;
  }
  CHECK(from_holder >= holdings[0].bytes());
  CHECK(from_holder <= outcomes[0].info.bytes_sent);
}

TEST_CASE("a source that dies on the way is made up for by another") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 1}, {1, 1}, {2, 0}}, big_model);
  const PeerId dead = id_of(*peers[0]);
  const PeerId alive = id_of(*peers[1]);
  std::vector<SyncOutcome> outcomes;
  {
    const Killer killer(*peers[2], *peers[0], 8 * kSlice);
    outcomes = sync_all(peers, holdings);
  }
  CHECK(outcomes[0].error.status == Status::closed);
  outcomes.erase(outcomes.begin());
  check_success(outcomes);
  CHECK(holdings[2].is_filled(1));
  const SyncInfo& info = outcomes[1].info;
  CHECK(info.attempts == 2);
  CHECK(info.bytes_fetched == holdings[2].bytes());
  CHECK(info.bytes_from.at(alive) > 0);
  for (const auto& [peer, bytes] : info.bytes_from) CHECK((peer == dead || peer == alive));
  // What was on its way from the dead one, on each of its connections.
  CHECK(info.bytes_again <= 8 * kSlice);
  CHECK(info.revision == 1);
  // It was elected once more, by one if something was missing yet.
  CHECK((info.supporters == 1 || info.supporters == 2));
}

TEST_CASE("a receiver that dies on the way does not keep the others from it") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 1}, {2, 0}, {3, 0}}, big_model);
  std::vector<SyncOutcome> outcomes;
  {
    const Killer killer(*peers[2], *peers[2], 8 * kSlice);
    outcomes = sync_all(peers, holdings);
  }
  outcomes.pop_back();
  check_success(outcomes);
  CHECK(holdings[1].is_filled(1));
  CHECK(outcomes[1].info.attempts == 2);
}

TEST_CASE("the only source dies on the way: the state is incomplete, and can be made whole") {
  TestRun run;
  Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 1}, {2, 0}, {2, 0}}, big_model);
  std::vector<SyncOutcome> outcomes;
  {
    const Killer killer(*peers[1], *peers[0], 8 * kSlice);
    outcomes = sync_all(peers, holdings);
  }
  outcomes.erase(outcomes.begin());
  check_failure(outcomes, Status::mismatch, "nobody offers a complete shared state");
  check_failure(outcomes, Status::mismatch, "INCOMPLETE");
  CHECK(outcomes[0].began);
  CHECK(outcomes[0].info.attempts == 2);
  const std::uint64_t came = outcomes[0].info.bytes_fetched;
  CHECK(came > 0);
  CHECK(came < holdings[1].bytes());
  CHECK(holdings[1].state().save("/tmp/never-written").status() == Status::invalid_usage);
  peers.erase(peers.begin());
  Holding source = std::move(holdings.front());
  holdings.erase(holdings.begin());

  SECTION("filled anew") {
    for (Holding& holding : holdings) holding.fill(4);
    const auto later = sync_all(peers, holdings);
    check_success(later);
    CHECK(later[0].info.bytes_fetched == 0);
  }
  SECTION("by one of them only") {
    holdings[1].fill(4);
    check_success(sync_all(peers, holdings));
    CHECK(holdings[0].is_filled(4));
    CHECK(holdings[1].is_filled(4));
  }
  SECTION("from one that comes back, only what is missing") {
    admit(peers, run.peer());
    holdings.push_back(std::move(source));
    const auto later = sync_all(peers, holdings);
    check_success(later);
    for (Holding& holding : holdings) CHECK(holding.is_filled(1));
    CHECK(later[0].info.revision == 1);
    CHECK(later[0].info.bytes_fetched == holdings[0].bytes() - came);
  }
}

TEST_CASE("a restart of the master on the way does not end it") {
  TestRun run;
  const Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 1}, {2, 0}, {1, 1}}, big_model);
  std::vector<SyncOutcome> outcomes;
  std::thread restart([&] {
    CHECK(eventually([&] { return peers[1]->payload_bytes_received() >= 8 * kSlice; }));
    run.restart_master();
  });
  outcomes = sync_all(peers, holdings);
  restart.join();
  check_success(outcomes);
  CHECK(holdings[1].is_filled(1));
  CHECK(outcomes[1].info.attempts == 2);
  CHECK(outcomes[1].info.bytes_fetched == holdings[1].bytes());
}

TEST_CASE("what is overwritten is put back, where that is asked for") {
  TestRun run;
  Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 1}, {2, 0}, {3, 0}}, big_model);
  const auto keep = [](std::size_t who, SyncArguments& arguments) { arguments.settings.keep_old_bytes = who != 2; };
  std::vector<SyncOutcome> outcomes;
  {
    const Killer killer(*peers[1], *peers[0], 8 * kSlice);
    outcomes = sync_all(peers, holdings, keep);
  }
  outcomes.erase(outcomes.begin());
  check_failure(outcomes, Status::mismatch, "nobody offers a complete shared state");
  CHECK(contains(outcomes[0].error.sentence, "as they were"));
  CHECK(contains(outcomes[1].error.sentence, "INCOMPLETE"));
  CHECK(holdings[1].is_filled(2));
  CHECK(*holdings[1].state().revision() == 0);
  // So it has something to offer.
  peers.erase(peers.begin());
  holdings.erase(holdings.begin());
  check_success(sync_all(peers, holdings));
  CHECK(holdings[0].is_filled(2));
  CHECK(holdings[1].is_filled(2));
}

}  // namespace hawser::test
