#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "topology/matrix.hpp"

namespace hawser::topology {

constexpr std::uint64_t megabits(std::uint64_t per_second) { return per_second * 125'000; }
constexpr std::uint64_t milliseconds_in_ns(std::uint64_t ms) { return ms * 1'000'000; }

/// Members by their access rate, the same up and down; every pair as fast as its ends, and as far.
inline Matrix sample_of_rates(const std::vector<std::uint64_t>& bytes_per_second, std::uint64_t delay_ns) {
  Matrix matrix = Matrix::unknown(static_cast<std::uint32_t>(bytes_per_second.size()));
  for (std::uint32_t from = 0; from < matrix.world_size; ++from) {
    matrix.members[from].uplink_bytes_per_second = bytes_per_second[from];
    matrix.members[from].downlink_bytes_per_second = bytes_per_second[from];
    for (std::uint32_t to = 0; to < matrix.world_size; ++to)
      if (from != to)
        matrix.pair(from, to) = {.bytes_per_second = std::min(bytes_per_second[from], bytes_per_second[to]),
                                 .delay_ns = delay_ns};
  }
  return matrix;
}

/// Regions of so many members each: 1 Gbit/s and 1 ms inside, a cable of `cable` in each direction between
/// any two, and `delay_ms` one way. With `mixed` the regions' members take turns in the rank order.
struct RegionsSample {
  std::vector<std::uint32_t> sizes{4, 4};
  std::uint64_t cable = megabits(300);
  std::uint64_t delay_ms = 40;
  bool mixed = false;
  bool observed = true;  ///< The cables are in the matrix; else only what a pair alone got.
};
inline Matrix sample_of_regions(const RegionsSample& sample) {
  std::vector<std::uint32_t> region_of;
  std::vector<std::uint32_t> left = sample.sizes;
  for (std::uint32_t region = 0; region < left.size();) {
    if (sample.mixed) {
      for (std::uint32_t one = 0; one < left.size(); ++one)
        if (left[one] > 0 && left[one]-- > 0) region_of.push_back(one);
      while (region < left.size() && left[region] == 0) ++region;
    } else {
      region_of.insert(region_of.end(), left[region], region);
      ++region;
    }
  }
  Matrix matrix =
      sample_of_rates(std::vector<std::uint64_t>(region_of.size(), megabits(1000)), milliseconds_in_ns(1));
  for (std::uint32_t from = 0; from < matrix.world_size; ++from)
    for (std::uint32_t to = 0; to < matrix.world_size; ++to)
      if (region_of[from] != region_of[to])
        matrix.pair(from, to) = {.bytes_per_second = sample.cable,
                                 .delay_ns = milliseconds_in_ns(sample.delay_ms)};
  for (std::uint32_t a = 0; sample.observed && a < sample.sizes.size(); ++a)
    for (std::uint32_t b = 0; b < sample.sizes.size(); ++b) {
      Cable cable{.from = {}, .to = {}, .bytes_per_second = sample.cable};
      for (std::uint32_t rank = 0; rank < matrix.world_size; ++rank) {
        if (region_of[rank] == a) cable.from.push_back(rank);
        if (region_of[rank] == b) cable.to.push_back(rank);
      }
      if (a != b) matrix.cables.push_back(std::move(cable));
    }
  return matrix;
}

/// From 1 Mbit/s to 10 Gbit/s and 0.1 to 200 ms, with gaps of knowledge, or with regions and cables.
inline Matrix random_matrix(Random& random, std::uint32_t world_size) {
  const auto rate = [&] { return megabits(1ULL << random.below(14)) + random.below(100'000); };
  Matrix matrix = Matrix::unknown(world_size);
  const std::uint64_t unknown_of_10 = random.below(4) * 2;
  const std::uint32_t regions = 1 + static_cast<std::uint32_t>(random.below(4));
  const auto region = [&](std::uint32_t rank) { return rank % regions; };
  for (std::uint32_t from = 0; from < world_size; ++from) {
    if (!random.chance(unknown_of_10, 10)) matrix.members[from].uplink_bytes_per_second = rate();
    if (!random.chance(unknown_of_10, 10)) matrix.members[from].downlink_bytes_per_second = rate();
    matrix.members[from].control_delay_ns = random.below(milliseconds_in_ns(50));
    for (std::uint32_t to = 0; to < world_size; ++to) {
      if (from == to) continue;
      if (!random.chance(unknown_of_10, 10)) matrix.pair(from, to).bytes_per_second = rate();
      const std::uint64_t ms = region(from) == region(to) ? 1 : 40 + random.below(100);
      if (!random.chance(unknown_of_10, 10))
        matrix.pair(from, to).delay_ns = milliseconds_in_ns(ms) - random.below(900'000);
    }
  }
  for (std::uint32_t a = 0; a < regions; ++a)
    for (std::uint32_t b = 0; b < regions; ++b) {
      Cable cable{.from = {}, .to = {}, .bytes_per_second = rate()};
      for (std::uint32_t rank = 0; rank < world_size; ++rank) {
        if (region(rank) == a) cable.from.push_back(rank);
        if (region(rank) == b) cable.to.push_back(rank);
      }
      if (a != b && !cable.from.empty() && !cable.to.empty() && random.chance(1, 2))
        matrix.cables.push_back(std::move(cable));
    }
  // Something is known.
  matrix.pair(0, 1).bytes_per_second = rate();
  return matrix;
}

}  // namespace hawser::topology
