#include "plan/root_shares.hpp"

#include <algorithm>
#include <numeric>

#include "catch.hpp"
#include "plan/packing_lp.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser {
namespace {

using topology::Estimates;
using topology::megabits;
using topology::random_matrix;
using topology::sample_of_rates;
using topology::sample_of_regions;

double sum(const Shares& shares) { return std::accumulate(shares.begin(), shares.end(), 0.0); }

/// The least time over all shares that are multiples of 1/steps.
double best_on_grid(const Estimates& estimates, Shares& shares, std::size_t next, int left, int steps) {
  if (next + 1 == shares.size()) {
    shares[next] = static_cast<double>(left) / steps;
    return direct_seconds_per_byte(estimates, shares);
  }
  double best = 1e300;
  for (int part = 0; part <= left; ++part) {
    shares[next] = static_cast<double>(part) / steps;
    best = std::min(best, best_on_grid(estimates, shares, next + 1, left - part, steps));
  }
  return best;
}

}  // namespace

TEST_CASE("a packing problem is solved") {
  // x + 2y <= 4, 3x + y <= 6: x = 1.6, y = 1.2.
  const std::vector<double> values = solve({.variables = 2, .rows = {{1, 2}, {3, 1}}, .limits = {4, 6}});
  CHECK(values[0] == Approx(1.6));
  CHECK(values[1] == Approx(1.2));
  // A limit of nothing keeps its variables at nothing.
  const std::vector<double> stuck = solve({.variables = 2, .rows = {{1, 0}, {1, 1}}, .limits = {0, 5}});
  CHECK(stuck[0] == 0);
  CHECK(stuck[1] == Approx(5));
}

TEST_CASE("equal members get equal shares") {
  for (const std::uint32_t members : {2U, 3U, 8U, 40U}) {
    const Estimates estimates(sample_of_rates(std::vector<std::uint64_t>(members, 1000), 1));
    for (const double share : direct_shares(estimates)) CHECK(share == Approx(1.0 / members));
  }
}

TEST_CASE("one slow node is no root, and the others share evenly") {
  std::vector<std::uint64_t> rates(12, megabits(10'000));
  rates[5] = megabits(500);
  const Estimates estimates(sample_of_rates(rates, 1));
  const Shares shares = direct_shares(estimates);
  for (std::size_t rank = 0; rank < 12; ++rank)
    CHECK(shares[rank] == Approx(rank == 5 ? 0 : 1.0 / 11).margin(1e-9));
  CHECK(direct_seconds_per_byte(estimates, shares) * 1e9 == Approx(16));
  CHECK(direct_seconds_per_byte(estimates, Shares(12, 1.0 / 12)) * 1e9 == Approx(29.333).epsilon(1e-4));
}

TEST_CASE("shares are as good as the best of a grid") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    Random random(seed);
    const auto members = static_cast<std::uint32_t>(3 + seed % 3);
    const Estimates estimates(random_matrix(random, members));
    const Shares shares = direct_shares(estimates);
    CHECK(sum(shares) == Approx(1));
    CHECK(*std::min_element(shares.begin(), shares.end()) >= 0);
    Shares grid(members);
    const int steps = members == 3 ? 60 : members == 4 ? 30 : 16;
    INFO("seed " << seed);
    // The 1 % that evening out may cost.
    CHECK(direct_seconds_per_byte(estimates, shares) <=
          best_on_grid(estimates, grid, 0, steps, steps) * 1.0101);
  }
}

TEST_CASE("shares are never worse than equal ones") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const auto members = static_cast<std::uint32_t>(2 + seed % 31);
    const Estimates estimates(random_matrix(random, members));
    CHECK(direct_seconds_per_byte(estimates, direct_shares(estimates)) <=
          direct_seconds_per_byte(estimates, Shares(members, 1.0 / members)) * 1.0101);
  }
}

TEST_CASE("a slow relay spreads little") {
  const Estimates estimates(sample_of_rates({1000, 1000, 100, 1000}, 1));
  const Shares shares = relay_shares(estimates, 1);
  CHECK(shares[1] == 0);
  CHECK(shares[0] == Approx(shares[3]));
  CHECK(shares[2] < shares[0]);
  CHECK(sum(shares) == Approx(1));
}

TEST_CASE("within a region the local roots' shares are filled by rates") {
  topology::Matrix matrix = sample_of_regions({.sizes = {3, 2}});
  matrix.members[1].uplink_bytes_per_second = megabits(100);
  const RegionShares shares = region_shares(Estimates(matrix));
  CHECK(shares.root_in[0] == Approx(0.6));
  CHECK(shares.within_region[0] == Approx(0.5));
  CHECK(shares.within_region[1] == Approx(0).margin(1e-9));
  CHECK(shares.within_region[3] == Approx(0.5));
}

TEST_CASE("a region behind thin cables has few of the roots") {
  topology::Matrix matrix = sample_of_regions({.sizes = {3, 3, 3}});
  for (topology::Cable& cable : matrix.cables)
    if (cable.from[0] != 0 && cable.to[0] != 0) cable.bytes_per_second = megabits(30);
  // Regions 1 and 2 see each other through a thin cable, so the first has all roots.
  const RegionShares shares = region_shares(Estimates(matrix));
  CHECK(shares.root_in[0] > 0.85);
}

}  // namespace hawser
