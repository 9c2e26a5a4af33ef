/// From what members measured to what is planned from.
#include "../catch.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "engine/measured_network.hpp"

using namespace hawser;

namespace {

constexpr std::uint64_t kMegabit = 125'000;

/// Two regions of four: 1 Gbit/s and 1 ms inside; 16 pairs share a cable of 300 Mbit/s and 40 ms, as a direct plan
/// shows them.
Measures two_regions() {
  Measures measures{.view = {1}, .version = 3, .rows = {}};
  for (int from = 0; from < 8; ++from) {
    LinkRow& row = measures.rows.emplace_back();
    for (int to = 0; to < 8; ++to) {
      const bool inside = from / 4 == to / 4;
      row.bytes_per_second.push_back(from == to ? 0 : inside ? 300 * kMegabit : 300 * kMegabit / 16);
      row.delay_ns.push_back(from == to ? 0 : inside ? 1'000'000 : 40'000'000);
    }
    row.uplink_bytes_per_second = row.downlink_bytes_per_second = 1000 * kMegabit;
  }
  return measures;
}

}  // namespace

TEST_CASE("what passed between two regions together is what their cable carries") {
  const topology::Matrix matrix = matrix_of(two_regions());
  REQUIRE(topology::check(matrix).ok());
  CHECK(matrix.version == 3);
  REQUIRE(matrix.cables.size() == 2);
  CHECK(matrix.cables[0].from == std::vector<std::uint32_t>{0, 1, 2, 3});
  CHECK(matrix.cables[0].to == std::vector<std::uint32_t>{4, 5, 6, 7});
  CHECK(matrix.cables[0].bytes_per_second == 300 * kMegabit);
  const auto network = make_network(matrix);
  REQUIRE(network.ok());
  REQUIRE(*network != nullptr);
  const Plan plan = make_plan({.world_size = 8, .elements = 16 << 20, .network = network->get()});
  CHECK(plan.kind == PlanKind::hierarchical);
  CHECK(plan_check(plan).ok());
}

TEST_CASE("a cable is as wide as what passed at one time, not with what passed when other pairs were used") {
  Measures measures = two_regions();
  // Later only four pairs were used each way, and had all of it.
  for (std::uint32_t from = 0; from < 8; ++from) {
    const std::uint32_t to = (from + 4) % 8;
    measures.rows[from].bytes_per_second[to] = 300 * kMegabit / 4;
    measures.rows[from].together = {to};
  }
  const topology::Matrix matrix = matrix_of(measures);
  REQUIRE(matrix.cables.size() == 2);
  CHECK(matrix.cables[0].bytes_per_second == 300 * kMegabit);
  CHECK(matrix.cables[1].bytes_per_second == 300 * kMegabit);
  // Alone, a pair could have the cable.
  CHECK(matrix.pair(0, 5).bytes_per_second == 300 * kMegabit);
}

TEST_CASE("measures in which no rate is known are a network only if delays part regions") {
  const bool has_regions = GENERATE(true, false);
  Measures measures = two_regions();
  for (LinkRow& row : measures.rows) {
    row.bytes_per_second.assign(8, 0);
    row.uplink_bytes_per_second = row.downlink_bytes_per_second = 0;
    if (!has_regions) row.delay_ns.assign(8, 20'000'000);
  }
  const auto network = make_network(matrix_of(measures));
  REQUIRE(network.ok());
  CHECK((*network != nullptr) == has_regions);
  if (has_regions) CHECK_FALSE((*network)->estimates.knows_rates());
}

TEST_CASE("members that have told nothing yet, and absurd values, do no harm") {
  Measures measures = two_regions();
  measures.rows[2] = {};
  measures.rows[3].bytes_per_second.assign(8, ~std::uint64_t{0});
  measures.rows[3].delay_ns.assign(8, ~std::uint64_t{0});
  measures.rows[3].uplink_bytes_per_second = ~std::uint64_t{0};
  const topology::Matrix matrix = matrix_of(measures);
  REQUIRE(topology::check(matrix).ok());
  const auto network = make_network(matrix);
  REQUIRE(network.ok());
  REQUIRE(*network != nullptr);
  CHECK(plan_check(make_plan({.world_size = 8, .elements = 1000, .network = network->get()})).ok());
}

TEST_CASE("what was probed one pair at a time is no measure of a cable by its sum") {
  Measures measures = two_regions();
  for (LinkRow& row : measures.rows)
    for (std::uint32_t to = 0; to < 8; ++to) row.probed.push_back(to);
  const topology::Matrix matrix = matrix_of(measures);
  REQUIRE(matrix.cables.size() == 2);
  // Four pairs at a time.
  CHECK(matrix.cables[0].bytes_per_second == 4 * (300 * kMegabit / 16));
}

TEST_CASE("a lower bound is taken for unknown where both ends are known to do more") {
  Measures measures = two_regions();
  measures.rows[0].probed = {1, 5};
  measures.rows[0].lower_bounds = {1, 5};
  measures.rows[0].bytes_per_second[1] = 10 * kMegabit;
  measures.rows[0].bytes_per_second[5] = 2000 * kMegabit;
  const topology::Matrix matrix = matrix_of(measures);
  CHECK(matrix.pair(0, 1).bytes_per_second == 0);
  CHECK(matrix.pair(0, 5).bytes_per_second == 2000 * kMegabit);
  // Nobody's access is slower than what passed over it.
  CHECK(matrix.members[0].uplink_bytes_per_second == 2000 * kMegabit);
  CHECK(matrix.members[5].downlink_bytes_per_second == 2000 * kMegabit);
}

TEST_CASE("a pair has no way of its own where one of its ends says so, and nothing measured of it counts") {
  Measures measures = two_regions();
  measures.rows[1].detours = {{.to = 0, .by = 7}, {.to = 5, .by = 4}};
  // The other end knows the go-between, or another one: the lower rank's is taken.
  measures.rows[0].detours = {{.to = 1, .by = LinkDetour::kByAnyone}, {.to = 2, .by = LinkDetour::kByAnyone}};
  measures.rows[5].detours = {{.to = 1, .by = 2}};
  // Not of ranks that there are.
  measures.rows[3].detours = {{.to = 9, .by = 1}, {.to = 4, .by = 3}};
  const topology::Matrix matrix = matrix_of(measures);
  CHECK(topology::check(matrix).ok());
  CHECK(matrix.pair(0, 1).through == 7);
  CHECK(matrix.pair(1, 0).through == 7);
  CHECK(matrix.pair(5, 1).through == 4);
  CHECK(matrix.pair(2, 0).through == topology::kByAnyone);
  CHECK(matrix.pair(4, 3).through == topology::kByAnyone);
  CHECK(matrix.pair(1, 2).through == topology::kStraight);
  CHECK(matrix.pair(1, 5) == topology::PairMeasure{.through = 4});
  const auto network = make_network(matrix);
  REQUIRE(network.ok());
  const Plan plan = make_plan({.world_size = 8, .elements = 1 << 20, .network = network->get()});
  CHECK(plan_check(plan, **network).ok());
  CHECK(plan.along_links);
}

TEST_CASE("what members know of ways alone is enough to plan from") {
  Measures measures{.view = {1}, .version = 1, .rows = {}};
  for (std::uint32_t from = 0; from < 3; ++from)
    measures.rows.push_back({.bytes_per_second = {0, 0, 0}, .delay_ns = {0, 0, 0}});
  measures.rows[2].detours = {{.to = 1, .by = 0}};
  const auto network = make_network(matrix_of(measures));
  REQUIRE(network.ok());
  REQUIRE(*network != nullptr);
  const Plan plan = make_plan({.world_size = 3, .elements = 1 << 20, .network = network->get()});
  CHECK(plan_check(plan, **network).ok());
  CHECK(plan.predicted_seconds == 0);
}

TEST_CASE("where pairs are missing, a pair's share of an access is no limit of its own") {
  Measures measures{.view = {1}, .version = 1, .rows = {}};
  for (std::uint32_t from = 0; from < 4; ++from) {
    LinkRow& row = measures.rows.emplace_back();
    row.bytes_per_second.assign(4, 35 * kMegabit);
    row.bytes_per_second[from] = 0;
    row.delay_ns.assign(4, 5'000'000);
    row.delay_ns[from] = 0;
    row.uplink_bytes_per_second = row.downlink_bytes_per_second = 100 * kMegabit;
    for (std::uint32_t to = 0; to < 4; ++to)
      if (to != from) row.together.push_back(to);
  }
  // Far less than its share: it is narrow.
  measures.rows[0].bytes_per_second[1] = measures.rows[1].bytes_per_second[0] = 5 * kMegabit;
  CHECK(matrix_of(measures).pair(0, 2).bytes_per_second == 35 * kMegabit);
  measures.rows[2].detours = {{.to = 3, .by = 0}};
  const topology::Matrix matrix = matrix_of(measures);
  CHECK(matrix.pair(0, 2).bytes_per_second == 0);
  CHECK(matrix.pair(0, 1).bytes_per_second == 5 * kMegabit);
  const topology::Estimates estimates(matrix);
  CHECK(estimates.rate(0, 2) == 100.0 * kMegabit);
  CHECK(estimates.rate(0, 1) == 5.0 * kMegabit);
}
