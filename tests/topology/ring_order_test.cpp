#include "topology/ring_order.hpp"

#include <algorithm>
#include <iostream>
#include <numeric>

#include "catch.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser::topology {
namespace {

/// Rates and delays of their own for every pair, so that there is a best ring to be found.
Matrix random_links(Random& random, std::uint32_t world_size) {
  Matrix matrix = Matrix::unknown(world_size);
  for (std::uint32_t from = 0; from < world_size; ++from)
    for (std::uint32_t to = 0; to < world_size; ++to)
      if (from != to)
        matrix.pair(from, to) = {.bytes_per_second = 1'000'000 + random.below(100'000'000),
                                 .delay_ns = 100'000 + random.below(900'000)};
  return matrix;
}

bool is_order(std::vector<std::uint32_t> order, std::uint32_t world_size) {
  if (order.size() != world_size || order[0] != 0) return false;
  std::sort(order.begin(), order.end());
  for (std::uint32_t rank = 0; rank < world_size; ++rank)
    if (order[rank] != rank) return false;
  return true;
}

RingQuality best_of_all_orders(const Estimates& estimates) {
  std::vector<std::uint32_t> order(estimates.world_size());
  std::iota(order.begin(), order.end(), 0U);
  RingQuality best = ring_quality(estimates, order);
  while (std::next_permutation(order.begin() + 1, order.end())) {
    const RingQuality quality = ring_quality(estimates, order);
    if (better(quality, best)) best = quality;
  }
  return best;
}

struct Ratios {
  double mean = 0;
  double worst = 1;
  int equal = 0;
};
/// Of the search's slowest link to that of the best ring.
template <class MakeMatrix>
Ratios search_against_exact(std::uint32_t world_size, int instances, const MakeMatrix& make) {
  Ratios ratios;
  for (int seed = 1; seed <= instances; ++seed) {
    Random random(static_cast<std::uint64_t>(seed) * 1000 + world_size);
    const Estimates estimates(make(random, world_size));
    const std::vector<std::uint32_t> found = ring_order_search(estimates);
    REQUIRE(is_order(found, world_size));
    const double best = ring_quality(estimates, ring_order_exact(estimates)).bytes_per_second;
    const double ratio = ring_quality(estimates, found).bytes_per_second / best;
    REQUIRE(ratio <= 1);
    ratios.mean += ratio / instances;
    ratios.worst = std::min(ratios.worst, ratio);
    ratios.equal += ratio == 1;
  }
  return ratios;
}

}  // namespace

TEST_CASE("the exact order is the best of all") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const auto world_size = static_cast<std::uint32_t>(2 + seed % 6);
    const Estimates estimates(seed % 2 == 0 ? random_links(random, world_size)
                                            : random_matrix(random, world_size));
    const std::vector<std::uint32_t> order = ring_order_exact(estimates);
    REQUIRE(is_order(order, world_size));
    const RingQuality found = ring_quality(estimates, order);
    const RingQuality best = best_of_all_orders(estimates);
    CHECK(found.bytes_per_second == best.bytes_per_second);
    CHECK(found.delay_seconds == Approx(best.delay_seconds));
  }
}

TEST_CASE("the search comes close to the best order") {
  for (const std::uint32_t world_size : {8U, 9U}) {
    const Ratios links = search_against_exact(world_size, 30, random_links);
    CHECK(links.mean > 0.97);
    CHECK(links.worst > 0.75);
    const Ratios matrices = search_against_exact(world_size, 30, random_matrix);
    CHECK(matrices.mean > 0.97);
    CHECK(matrices.worst > 0.5);
  }
}

TEST_CASE("measure: the search against the best order", "[.measure]") {
  for (const std::uint32_t world_size : {8U, 9U, 10U})
    for (const bool links : {true, false}) {
      const Ratios ratios = links ? search_against_exact(world_size, 200, random_links)
                                  : search_against_exact(world_size, 200, random_matrix);
      std::cout << "N = " << world_size << (links ? ", independent links" : ", regions and gaps") << ": mean "
                << ratios.mean << ", worst " << ratios.worst << ", best found in " << ratios.equal
                << " of 200\n";
    }
}

TEST_CASE("a ring crosses from region to region once in each direction") {
  for (const std::vector<std::uint32_t>& sizes :
       {std::vector<std::uint32_t>{4, 4}, std::vector<std::uint32_t>{3, 2, 2},
        std::vector<std::uint32_t>{10, 10}, std::vector<std::uint32_t>{6, 5, 7},
        std::vector<std::uint32_t>{30, 40}}) {
    const Estimates estimates(sample_of_regions({.sizes = sizes, .mixed = true}));
    const std::vector<std::uint32_t> order = ring_order(estimates);
    REQUIRE(is_order(order, estimates.world_size()));
    std::size_t crossings = 0;
    for (std::size_t i = 0; i < order.size(); ++i)
      crossings +=
          estimates.regions().of_rank[order[i]] != estimates.regions().of_rank[order[(i + 1) % order.size()]];
    CHECK(crossings == sizes.size());
    CHECK(ring_quality(estimates, order).bytes_per_second == 37.5e6);
  }
}

TEST_CASE("among equally fast rings the shortest is taken") {
  // On a circle, ranks scattered: the neighbours are near.
  for (const std::uint32_t world_size : {7U, 15U}) {
    Matrix matrix = sample_of_rates(std::vector<std::uint64_t>(world_size, 1'000'000), 0);
    const auto place = [&](std::uint32_t rank) { return rank * 4 % world_size; };
    for (std::uint32_t a = 0; a < world_size; ++a)
      for (std::uint32_t b = 0; b < world_size; ++b) {
        const std::uint32_t apart = (place(a) + world_size - place(b)) % world_size;
        if (a != b) matrix.pair(a, b).delay_ns = milliseconds_in_ns(std::min(apart, world_size - apart));
      }
    const Estimates estimates(matrix);
    CHECK(ring_quality(estimates, ring_order(estimates)).delay_seconds == Approx(world_size * 1e-3));
  }
}

TEST_CASE("a ring that must avoid most links is found") {
  // Only the links of one hidden ring are fast.
  for (const std::uint32_t world_size : {9U, 12U, 24U}) {
    Random random(world_size);
    std::vector<std::uint32_t> hidden(world_size);
    std::iota(hidden.begin(), hidden.end(), 0U);
    for (std::uint32_t i = world_size - 1; i > 0; --i) std::swap(hidden[i], hidden[random.below(i + 1)]);
    Matrix matrix = sample_of_rates(std::vector<std::uint64_t>(world_size, 1'000'000), 100'000);
    for (PairMeasure& pair : matrix.pairs)
      if (pair.bytes_per_second != 0) pair.bytes_per_second = 1'000 + random.below(400'000);
    for (std::uint32_t i = 0; i < world_size; ++i)
      matrix.pair(hidden[i], hidden[(i + 1) % world_size]).bytes_per_second = 1'000'000;
    const Estimates estimates(matrix);
    CHECK(ring_quality(estimates, ring_order(estimates)).bytes_per_second == 1'000'000);
  }
}

}  // namespace hawser::topology
