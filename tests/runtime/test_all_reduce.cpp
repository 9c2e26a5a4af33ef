#include <numeric>
#include <set>

#include "run_fixture.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

std::vector<std::size_t> everyone(std::size_t count) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

void check_reduce(const Peers& peers, const ReduceOnce& what) {
  std::vector<Outcome> outcomes(peers.size());
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, what); });
  auto expected = sum_of(everyone(peers.size()), what.count);
  if (what.op == ReduceOp::avg)
    for (float& value : expected) value /= static_cast<float>(peers.size());
  for (std::size_t who = 0; who < peers.size(); ++who) {
    INFO("peer " << who << " of " << peers.size() << ", " << what.count << " elements, "
                 << (what.in_place ? "in place" : "out of place") << ", plan " << static_cast<int>(what.plan)
                 << ": " << outcomes[who].sentence);
    REQUIRE(outcomes[who].status == Status::success);
    REQUIRE((what.in_place || outcomes[who].input_intact));
    REQUIRE(outcomes[who].info->contributors.size() == peers.size());
    // Bit for bit the same everywhere; the exact value where division leaves nothing over.
    REQUIRE((outcomes[who].result == outcomes[0].result));
    if (what.op == ReduceOp::sum) REQUIRE((outcomes[who].result == expected));
  }
  if (what.op == ReduceOp::avg)
    for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(outcomes[0].result[i] == Approx(expected[i]));
}

}  // namespace

TEST_CASE("all-reduce is right at every world size, count and way") {
  const std::size_t world_size = GENERATE(range<std::size_t>(2, 17));
  TestRun run;
  const Peers peers = run.assemble(world_size);
  for (const std::uint64_t count :
       {std::uint64_t{1}, std::uint64_t{world_size - 1}, std::uint64_t{world_size},
        std::uint64_t{world_size + 1}, std::uint64_t{1000}, std::uint64_t{65537}}) {
    for (const PlanKind plan : {PlanKind::automatic, PlanKind::ring, PlanKind::direct})
      for (const bool in_place : {false, true})
        check_reduce(peers, {.count = count, .in_place = in_place, .plan = plan});
    check_reduce(peers, {.count = count, .op = ReduceOp::avg});
  }
}

TEST_CASE("a payload of many chunks goes over all connections") {
  TestRun run;
  const Peers peers = run.assemble(3);
  for (const PlanKind plan : {PlanKind::ring, PlanKind::direct})
    for (const bool in_place : {false, true})
      check_reduce(peers, {.count = (24 << 20) / 4 + 3, .in_place = in_place, .plan = plan});
}

TEST_CASE("groups reduce apart and see each other's numbers") {
  TestRun run;
  const Peers peers = run.assemble(
      5, [](std::size_t who, CommunicatorConfig& config) { config.engine.group = who < 3 ? 0 : 1; });
  std::vector<Outcome> outcomes(peers.size());
  on_all(peers,
         [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {.count = 77}); });
  for (std::size_t who = 0; who < 5; ++who) {
    INFO(outcomes[who].sentence);
    REQUIRE(outcomes[who].status == Status::success);
    CHECK((who < 3 ? is_sum_of(outcomes[who].result, {0, 1, 2}) : is_sum_of(outcomes[who].result, {3, 4})));
    const auto info = peers[who]->info();
    REQUIRE(info.ok());
    CHECK((*info)->world == World{.size = 5, .group_count = 2, .largest_group_size = 3});
    CHECK((*info)->view.size() == (who < 3 ? 3 : 2));
  }
}

TEST_CASE("collectives with different tags run side by side") {
  TestRun run;
  const Peers peers = run.assemble(3);
  constexpr std::size_t kTags = 6;
  std::vector<std::vector<Outcome>> outcomes(peers.size(), std::vector<Outcome>(kTags));
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    std::vector<std::thread> threads;
    for (std::size_t tag = 0; tag < kTags; ++tag)
      threads.emplace_back([&, tag] {
        // Each peer begins with another tag, and calls each twice.
        const std::uint64_t mine = (tag + who) % kTags;
        for (int round = 0; round < 2; ++round)
          outcomes[who][mine] = reduce_once(who, peer, {.count = 20000 + mine, .tag = mine});
      });
    for (auto& thread : threads) thread.join();
  });
  for (std::size_t who = 0; who < peers.size(); ++who)
    for (std::size_t tag = 0; tag < kTags; ++tag) {
      INFO(outcomes[who][tag].sentence);
      REQUIRE(outcomes[who][tag].status == Status::success);
      CHECK(is_sum_of(outcomes[who][tag].result, {0, 1, 2}));
      CHECK(outcomes[who][tag].info->key.sequence == 1);
    }
}

TEST_CASE("links carry on when their connections break in mid-transfer") {
  TestRun run;
  const Peers peers =
      run.assemble(3, [](std::size_t, CommunicatorConfig& config) { config.connections_per_link = 4; });
  const bool in_place = GENERATE(false, true);
  std::atomic<bool> over{false};
  std::atomic<int> cuts{0};
  std::thread cutter([&] {
    while (!over) {
      Communicator& victim = *peers[static_cast<std::size_t>(cuts) % 3];
      const std::uint64_t enough = victim.payload_bytes_received() + (1 << 20);
      if (!eventually([&] { return over || victim.payload_bytes_received() >= enough; })) return;
      victim.shut_down_links();
      ++cuts;
    }
  });
  for (int round = 0; round < 5; ++round)
    check_reduce(
        peers,
        {.count = 3'000'001, .in_place = in_place, .plan = round % 2 ? PlanKind::ring : PlanKind::direct});
  over = true;
  cutter.join();
  CHECK(cuts > 5);
}
