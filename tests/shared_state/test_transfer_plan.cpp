#include "shared_state/transfer_plan.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "base/bug_found.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "kernels/content_digest.hpp"

namespace hawser {
namespace {

constexpr std::uint64_t kSlice = kDigestSliceBytes;

struct Traffic {
  std::map<std::uint32_t, std::uint64_t> slices_from;   ///< By source.
  std::map<std::uint32_t, std::uint64_t> relayed_by;    ///< Slices, by relay.
  std::map<std::uint32_t, std::uint64_t> source_bytes;  ///< Sent as a source.
  std::map<std::uint32_t, std::uint64_t> relay_bytes;   ///< Sent as a relay.
};

/// Checks every route, and that everybody gets what it misses once and nothing else.
Traffic check_plan(const std::vector<TransferDemand>& demands) {
  const TransferPlan plan(demands);
  Traffic traffic;
  using Delivery = std::tuple<std::uint32_t, std::uint64_t, std::uint32_t>;  // tensor, slice, receiver
  std::set<Delivery> owed;
  std::map<std::uint32_t, const TransferDemand*> demand_of;
  for (const TransferDemand& demand : demands) {
    demand_of[demand.tensor] = &demand;
    for (const SliceReceiver& receiver : demand.receivers)
      for (std::uint64_t slice = 0; slice < slice_count(demand.bytes); ++slice)
        if (slice >= receiver.has.size() || !receiver.has[slice])
          owed.insert({demand.tensor, slice, receiver.rank});
  }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const SliceRoute route = plan.route(i);
    const TransferDemand& demand = *demand_of.at(route.tensor);
    REQUIRE(route.bytes == slice_bytes(demand.bytes, route.slice));
    REQUIRE(std::count(demand.holders.begin(), demand.holders.end(), route.source) == 1);
    REQUIRE(owed.erase({route.tensor, route.slice, route.relay}) == 1);
    for (const std::uint32_t rank : route.rest) REQUIRE(owed.erase({route.tensor, route.slice, rank}) == 1);
    ++traffic.slices_from[route.source];
    traffic.source_bytes[route.source] += route.bytes;
    ++traffic.relayed_by[route.relay];
    traffic.relay_bytes[route.relay] += route.bytes * route.rest.size();
  }
  REQUIRE(owed.empty());
  return traffic;
}

TransferDemand demand(std::uint32_t tensor, std::uint64_t bytes, std::vector<std::uint32_t> holders,
                      const std::vector<std::uint32_t>& receivers) {
  TransferDemand made{.tensor = tensor, .bytes = bytes, .holders = std::move(holders)};
  for (const std::uint32_t rank : receivers) made.receivers.push_back({.rank = rank});
  return made;
}

std::vector<std::uint32_t> ranks(std::uint32_t first, std::uint32_t count) {
  std::vector<std::uint32_t> all(count);
  for (std::uint32_t i = 0; i < count; ++i) all[i] = first + i;
  return all;
}

}  // namespace

TEST_CASE("nothing missing needs no routes") {
  CHECK(TransferPlan({}).size() == 0);
  CHECK(TransferPlan({demand(3, 0, {0}, {1})}).size() == 0);
}

TEST_CASE("one slice goes from a holder through a relay to the rest") {
  const TransferPlan plan({demand(7, 100, {1, 4}, {0, 2, 3})});
  REQUIRE(plan.size() == 1);
  CHECK(plan.route(0) ==
        SliceRoute{.tensor = 7, .slice = 0, .bytes = 100, .source = 1, .relay = 0, .rest = {2, 3}});
}

TEST_CASE("the last slice is shorter") {
  const TransferPlan plan({demand(0, 2 * kSlice + 5, {0}, {1})});
  REQUIRE(plan.size() == 3);
  CHECK(plan.route(1).bytes == kSlice);
  CHECK(plan.route(2).bytes == 5);
  CHECK(plan.route(2).rest.empty());
}

TEST_CASE("sources and relays share the slices evenly") {
  for (const std::uint32_t holders : {1U, 2U, 3U, 5U, 16U})
    for (const std::uint32_t receivers : {1U, 2U, 3U, 7U, 20U})
      for (const std::uint64_t slices : {1U, 2U, 17U, 240U}) {
        INFO(holders << " holders, " << receivers << " receivers, " << slices << " slices");
        const Traffic traffic =
            check_plan({demand(0, slices * kSlice, ranks(0, holders), ranks(holders, receivers))});
        const std::uint64_t from_each = (slices + holders - 1) / holders;
        for (const auto& [rank, count] : traffic.slices_from) CHECK(count <= from_each);
        const std::uint64_t through_each = (slices + receivers - 1) / receivers;
        // A single receiver relays to nobody.
        for (const auto& [rank, count] : traffic.relayed_by) CHECK(count <= through_each);
      }
}

TEST_CASE("a lone holder sends one copy, however many receive") {
  for (const std::uint32_t receivers : {1U, 2U, 4U, 9U, 50U}) {
    std::vector<TransferDemand> demands;
    std::uint64_t total = 0;
    Random random(receivers);
    for (std::uint32_t tensor = 0; tensor < 60; ++tensor) {
      demands.push_back(demand(tensor, 1 + random.below(5 * kSlice), {0}, ranks(1, receivers)));
      total += demands.back().bytes;
    }
    const Traffic traffic = check_plan(demands);
    CHECK(traffic.source_bytes.at(0) == total);
    for (const auto& [rank, bytes] : traffic.relay_bytes)
      CHECK(bytes <= total * (receivers - 1) / receivers + (receivers - 1) * kSlice);
  }
}

TEST_CASE("many small tensors are shared as evenly as one large one") {
  std::vector<TransferDemand> demands;
  for (std::uint32_t tensor = 0; tensor < 1000; ++tensor)
    demands.push_back(demand(tensor, 4096, {0, 1, 2}, {3, 4}));
  const Traffic traffic = check_plan(demands);
  for (const auto& [rank, count] : traffic.slices_from) CHECK(count <= 334);
  for (const auto& [rank, count] : traffic.relayed_by) CHECK(count == 500);
}

TEST_CASE("shares count bytes, not slices") {
  // A large slice and a small one in turn would give one holder all large ones if slices were counted.
  std::vector<TransferDemand> demands;
  for (std::uint32_t tensor = 0; tensor < 100; ++tensor)
    demands.push_back(demand(tensor, tensor % 2 == 0 ? kSlice : 16, {0, 1}, {2}));
  const Traffic traffic = check_plan(demands);
  CHECK(traffic.source_bytes.at(0) <= 25 * kSlice + kSlice);
  CHECK(traffic.source_bytes.at(1) <= 25 * kSlice + kSlice);
}

TEST_CASE("who must send as the only holder of one tensor is spared for the others") {
  const Traffic traffic = check_plan({demand(0, 30 * kSlice, {0}, {2}), demand(1, 30 * kSlice, {0, 1}, {2})});
  CHECK(traffic.slices_from.at(0) == 30);
  CHECK(traffic.slices_from.at(1) == 30);
}

TEST_CASE("what a receiver has already is not sent again") {
  TransferDemand resumed = demand(0, 10 * kSlice, {0, 1}, {2, 3, 4});
  resumed.receivers[0].has = std::vector<bool>(10, true);
  resumed.receivers[1].has = std::vector<bool>{true, true, true, true, true};
  const Traffic traffic = check_plan({resumed});
  CHECK(traffic.relayed_by.count(2) == 0);
  CHECK(traffic.relayed_by.at(4) >= 5);
  const TransferPlan plan({resumed});
  CHECK(plan.size() == 10);
  CHECK(plan.route(0).relay == 4);
  CHECK(plan.route(0).rest.empty());

  for (SliceReceiver& receiver : resumed.receivers) receiver.has = std::vector<bool>(10, true);
  CHECK(TransferPlan({resumed}).size() == 0);
}

TEST_CASE("random demands deliver everything once") {
  Random random(20265);
  for (int round = 0; round < 400; ++round) {
    const std::uint64_t world = 2 + random.below(9);
    std::vector<TransferDemand> demands;
    for (std::uint32_t tensor = 0; tensor < 1 + random.below(8); ++tensor) {
      TransferDemand made{.tensor = tensor, .bytes = random.below(6 * kSlice)};
      for (std::uint32_t rank = 0; rank < world; ++rank) {
        const std::uint64_t role = random.below(3);
        if (role == 0) made.holders.push_back(rank);
        if (role != 1) continue;
        SliceReceiver receiver{.rank = rank};
        if (random.chance(1, 3)) {
          receiver.has.resize(slice_count(made.bytes));
          for (std::size_t i = 0; i < receiver.has.size(); ++i) receiver.has[i] = random.chance(1, 2);
        }
        made.receivers.push_back(std::move(receiver));
      }
      if (!made.holders.empty() && !made.receivers.empty()) demands.push_back(std::move(made));
    }
    check_plan(demands);
    const TransferPlan plan(demands);
    const TransferPlan again(demands);
    REQUIRE(plan.size() == again.size());
    for (std::size_t i = 0; i < plan.size(); ++i) REQUIRE(plan.route(i) == again.route(i));
  }
}

TEST_CASE("a large plan is made and kept at little cost") {
  const TransferPlan plan({demand(0, 200'000 * kSlice, ranks(0, 8), ranks(8, 4))});
  CHECK(plan.size() == 200'000);
  CHECK(plan.route(199'999).slice == 199'999);
}

TEST_CASE("an election's demands are what its members lack") {
  std::vector<SharedStateMember> members;
  for (std::uint64_t i = 0; i < 4; ++i) {
    Manifest manifest{.revision = i < 2 ? 5U : 0U,
                      .tensors = {{.name = "a", .type = DataType::bfloat16, .count = kSlice},
                                  {.name = "b", .count = 100},
                                  {.name = "c", .count = 0}}};
    if (i >= 2) manifest.tensors[0].digest = {1, i};
    if (i == 3) manifest.tensors[1].digest = {1, i};
    members.push_back({.peer = "peer", .manifest = std::move(manifest)});
  }
  const auto election = elect(members);
  REQUIRE(election.ok());
  const auto demands = demands_of(*election, members[3].manifest);
  REQUIRE(demands.size() == 2);
  CHECK(demands[0].tensor == 0);
  CHECK(demands[0].bytes == 2 * kSlice);
  CHECK(demands[0].holders == ranks(0, 2));
  REQUIRE(demands[0].receivers.size() == 2);
  CHECK(demands[0].receivers[0].rank == 2);
  CHECK(demands[0].receivers[1].rank == 3);
  CHECK(demands[1].tensor == 1);
  CHECK(demands[1].bytes == 400);
  CHECK(demands[1].holders == ranks(0, 3));
  REQUIRE(demands[1].receivers.size() == 1);
  CHECK(demands[1].receivers[0].rank == 3);
  check_plan(demands);
}

TEST_CASE("a demand without a holder is our own bug") {
  CHECK_THROWS_AS(TransferPlan({demand(0, 1, {}, {1})}), BugFound);
}

}  // namespace hawser
