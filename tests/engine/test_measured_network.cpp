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

TEST_CASE("measures in which no rate is known are no network") {
  Measures measures = two_regions();
  for (LinkRow& row : measures.rows) {
    row.bytes_per_second.assign(8, 0);
    row.uplink_bytes_per_second = row.downlink_bytes_per_second = 0;
  }
  const auto network = make_network(matrix_of(measures));
  REQUIRE(network.ok());
  CHECK(*network == nullptr);
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
