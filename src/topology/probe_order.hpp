#pragma once

#include <cstdint>
#include <vector>

namespace hawser::topology {

/// Two members, between whom links shall be probed.
struct ProbePair {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint64_t duration_us = 0;  ///< About how long that takes.
  friend bool operator==(const ProbePair&, const ProbePair&) = default;
};

/// The order in which each member goes through its pairs: indices into `pairs`, by rank. A member is in one pair at a
/// time, both directions at once, so that no two probes share an access link; pairs that share no member go side by
/// side. Whoever takes its pairs in this order, and waits for the other end of each, waits in no circle.
///
/// Two ways, of which the one that is over sooner is taken, since neither is the better one everywhere: the rounds of
/// a tournament (the circle method: a one-factorisation of the complete graph, N - 1 rounds, N if that is odd), and
/// list scheduling (Graham 1966), in which of all pairs with both ends free the one goes first whose ends have most
/// left to do.
///
/// Same pairs, same orders. O(N^3 log N) for all pairs of N members. Ranks are below `world_size`; no pair comes twice.
std::vector<std::vector<std::uint32_t>> order_probes(std::uint32_t world_size, const std::vector<ProbePair>& pairs);

/// How long members take that go through their pairs so.
std::uint64_t probes_last_us(const std::vector<ProbePair>& pairs,
                             const std::vector<std::vector<std::uint32_t>>& orders);

}  // namespace hawser::topology
