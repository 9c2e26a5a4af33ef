#include "topology/probe_order.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <set>

#include "base/random.hpp"
#include "catch.hpp"

using namespace hawser;
using namespace hawser::topology;

namespace {

std::vector<ProbePair> all_pairs(std::uint32_t members, std::uint64_t duration_us) {
  std::vector<ProbePair> pairs;
  for (std::uint32_t a = 0; a < members; ++a)
    for (std::uint32_t b = a + 1; b < members; ++b) pairs.push_back({.a = a, .b = b, .duration_us = duration_us});
  return pairs;
}

/// All pairs of members with all-distinct round trips, in no order.
std::vector<ProbePair> distinct_pairs(std::uint32_t members, std::uint64_t seed) {
  auto pairs = all_pairs(members, 0);
  Random random(seed);
  std::set<std::uint64_t> taken;
  for (ProbePair& pair : pairs)
    do pair.duration_us = random.between(200'000, 500'000);
    while (!taken.insert(pair.duration_us).second);
  return pairs;
}

/// No order is shorter.
std::uint64_t busiest_us(std::uint32_t members, const std::vector<ProbePair>& pairs) {
  std::vector<std::uint64_t> load(members);
  for (const ProbePair& pair : pairs) {
    load[pair.a] += pair.duration_us;
    load[pair.b] += pair.duration_us;
  }
  return *std::max_element(load.begin(), load.end());
}

/// Each member has its pairs, and each once.
void check_orders(std::uint32_t members, const std::vector<ProbePair>& pairs,
                  const std::vector<std::vector<std::uint32_t>>& orders) {
  REQUIRE(orders.size() == members);
  std::size_t listed = 0;
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    const std::set<std::uint32_t> once(orders[rank].begin(), orders[rank].end());
    REQUIRE(once.size() == orders[rank].size());
    for (const std::uint32_t one : once) REQUIRE((pairs[one].a == rank || pairs[one].b == rank));
    listed += once.size();
  }
  REQUIRE(listed == 2 * pairs.size());
}

}  // namespace

TEST_CASE("all pairs of N members take N - 1 rounds, or N if that is odd") {
  for (std::uint32_t members = 2; members <= 40; ++members) {
    const auto pairs = all_pairs(members, 1000);
    const auto orders = order_probes(members, pairs);
    check_orders(members, pairs, orders);
    CHECK(probes_last_us(pairs, orders) == 1000 * (members - 1 + members % 2));
  }
}

TEST_CASE("two regions are probed without a member that waits") {
  auto pairs = all_pairs(8, 0);
  for (ProbePair& pair : pairs) pair.duration_us = pair.a / 4 == pair.b / 4 ? 200 : 500;
  const auto orders = order_probes(8, pairs);
  check_orders(8, pairs, orders);
  // Three near ones and four far ones each.
  CHECK(probes_last_us(pairs, orders) == 3 * 200 + 4 * 500);
}

TEST_CASE("any pairs are put in an order that ends, the same every time") {
  Random random(17);
  for (int times = 0; times < 300; ++times) {
    const auto members = static_cast<std::uint32_t>(random.between(2, 24));
    std::vector<ProbePair> pairs;
    for (ProbePair pair : all_pairs(members, 0)) {
      if (random.chance(1, 3)) continue;
      pair.duration_us = random.below(1000);
      pairs.push_back(pair);
    }
    const auto orders = order_probes(members, pairs);
    check_orders(members, pairs, orders);
    CHECK(orders == order_probes(members, pairs));
    // Nobody is idle longer than it is busy: Graham's bound for lists, and the tournament is taken only if better.
    CHECK(probes_last_us(pairs, orders) <= 2 * busiest_us(members, pairs) + 1000);
  }
}

TEST_CASE("128 members whose round trips all differ are in order soon, and nearly as short as can be") {
  const auto pairs = distinct_pairs(128, 5);
  const std::clock_t before = std::clock();
  const auto orders = order_probes(128, pairs);
  const auto cpu_seconds = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  check_orders(128, pairs, orders);
  CHECK(static_cast<double>(probes_last_us(pairs, orders)) < 1.05 * static_cast<double>(busiest_us(128, pairs)));
  // For a debug build with sanitizers; the I/O thread does this.
  CHECK(cpu_seconds < 5);
}

TEST_CASE("measure: how long ordering probes takes", "[.measure]") {
  for (const std::uint32_t members : {32U, 64U, 128U, 256U})
    for (const bool distinct : {true, false}) {
      const auto pairs = distinct ? distinct_pairs(members, 5) : all_pairs(members, 300'000);
      const auto before = std::chrono::steady_clock::now();
      const auto orders = order_probes(members, pairs);
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
      const auto shortest = static_cast<double>(busiest_us(members, pairs));
      std::cout << "N = " << members << (distinct ? ", distinct: " : ", equal: ") << took.count() << " ms, "
                << static_cast<double>(probes_last_us(pairs, orders)) / shortest << " of the lower bound\n";
    }
}

TEST_CASE("nothing to probe is in order") {
  CHECK(order_probes(3, {}) == std::vector<std::vector<std::uint32_t>>(3));
  CHECK(probes_last_us({}, order_probes(3, {})) == 0);
}
