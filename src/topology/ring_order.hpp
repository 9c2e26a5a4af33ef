#pragma once

#include <cstdint>
#include <vector>

#include "topology/estimates.hpp"

namespace hawser::topology {

/// Rings of so many members are ordered by trying all orders (with bounds), larger ones by local search.
inline constexpr std::uint32_t kExactRingMax = 9;

/// How good a ring is; every link carries the same bytes, so the slowest one decides.
struct RingQuality {
  double bytes_per_second = 0;  ///< Of the slowest link; k links on one cable get a k-th of it each.
  double delay_seconds = 0;     ///< Around the ring.
  friend bool operator==(const RingQuality&, const RingQuality&) = default;
};
RingQuality ring_quality(const Estimates& estimates, const std::vector<std::uint32_t>& order);
constexpr bool better(const RingQuality& a, const RingQuality& b) {
  return a.bytes_per_second != b.bytes_per_second ? a.bytes_per_second > b.bytes_per_second
                                                  : a.delay_seconds < b.delay_seconds;
}

/// An order of the ranks, from rank 0 on, whose ring has the fastest slowest link, and among those the least
/// delay (the bottleneck travelling salesman problem). At once, with a bound on the work; O(N^2) memory.
std::vector<std::uint32_t> ring_order(const Estimates& estimates);

/// The best one of all: branch and bound over (N-1)! orders. For at most 10 members.
std::vector<std::uint32_t> ring_order_exact(const Estimates& estimates);

/// A good one: nearest neighbours region by region, then segments moved and reversed (or-opt, 2-opt), first
/// against a smooth cost, then so that all links pass a rising threshold, last to shorten the delay. The work
/// is bounded by a count, not by time, so that everybody stops at the same order.
std::vector<std::uint32_t> ring_order_search(const Estimates& estimates);

}  // namespace hawser::topology
