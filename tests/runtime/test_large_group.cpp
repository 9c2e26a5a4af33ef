/// Groups without all links, over real sockets: of more than 3 members here, in rows of two.
#include <algorithm>
#include <numeric>

#include "run_fixture.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr LinkLayout kRows{.all_links_max = 3, .width = 2, .sponsors = 2};

TestRun::Options options() {
  TestRun::Options rows;
  rows.bounds.links = kRows;
  return rows;
}

/// Again and again, as long as somebody was lost.
Outcome reduce(std::size_t who, Communicator& peer, const ReduceOnce& what) {
  Outcome outcome;
  for (int attempt = 0; attempt < 20; ++attempt) {
    outcome = reduce_once(who, peer, what);
    if (outcome.status != Status::peer_lost || !outcome.input_intact) break;
  }
  return outcome;
}

void check_sum(const Peers& peers, const std::vector<std::size_t>& who, const ReduceOnce& what, PlanKind plan) {
  std::vector<Outcome> outcomes(peers.size());
  on_all(peers, [&](std::size_t at, Communicator& peer) { outcomes[at] = reduce(who[at], peer, what); });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    REQUIRE(outcome.status == Status::success);
    CHECK(outcome.info->plan == plan);
    CHECK(outcome.info->contributors.size() == who.size());
    CHECK(is_sum_of(outcome.result, who));
  }
}

}  // namespace

TEST_CASE("a group without all links reduces, takes newcomers in, loses members, and has all links again") {
  TestRun run(options());
  const auto in_rows = [](std::size_t, CommunicatorConfig& config) { config.engine.links = kRows; };
  Peers peers = run.assemble(6, in_rows);
  std::vector<std::size_t> who(6);
  std::iota(who.begin(), who.end(), 0);
  check_sum(peers, who, {.count = 100'000}, PlanKind::hierarchical);
  check_sum(peers, who, {.count = 10, .plan = PlanKind::direct}, PlanKind::hierarchical);
  check_sum(peers, who, {.count = 100'000, .in_place = true, .plan = PlanKind::ring}, PlanKind::ring);

  CommunicatorConfig config = run.config();
  config.engine.links = kRows;
  config.engine.name = "peer6";
  peers.push_back(run.peer(config));
  who.push_back(6);
  std::vector<Result<void>> updated(peers.size());
  on_all(peers, [&](std::size_t at, Communicator& peer) {
    if (at == 6) updated[at] = peer.connect();
    while (updated[at].ok() && (*peer.info())->world.size < 7) updated[at] = peer.update_topology();
  });
  for (const auto& one : updated) REQUIRE(one.ok());
  check_sum(peers, who, {.count = 100'000}, PlanKind::hierarchical);

  for (const std::size_t lost : {1, 0, 0, 0}) {
    peers[lost]->vanish();
    peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(lost));
    who.erase(who.begin() + static_cast<std::ptrdiff_t>(lost));
    const bool has_all = kRows.has_all_links(static_cast<std::uint32_t>(who.size()));
    check_sum(peers, who, {.count = 100'000}, has_all ? PlanKind::direct : PlanKind::hierarchical);
  }
}
