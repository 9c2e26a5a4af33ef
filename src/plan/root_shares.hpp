#pragma once

#include <cstdint>
#include <vector>

#include "plan/packing_lp.hpp"
#include "topology/estimates.hpp"

namespace hawser {

/// How much of a buffer has its root at which rank: not negative, together 1.
using Shares = std::vector<double>;

/// The shares that a program for shares, in v = w / T, comes to. A vertex of it may heap everything on few of them;
/// here with the largest share halved down as far as it costs nothing to speak of. Together 1.
Shares evened_solution(PackingProblem problem);

/// The shares of a direct all-reduce that end it soonest. Member i, with share w_i of S bytes, sends and
/// receives (1 - w_i) S + w_i (N - 1) S each; the pair (i, j) carries (w_i + w_j) S. So a slow member gets a
/// small share or none, and then S at its rate is all that it costs.
///
/// Water filling over the members' access limits: the least T at which w_i = (T c_i - 1) / (N - 2), if
/// positive, add up to 1. Up to 32 members pairs and cables count too, by a linear program; it is taken where
/// it is more than 1 % faster, and then with its largest share as small as that allows.
Shares direct_shares(const topology::Estimates& estimates);

/// Seconds per byte of the buffer that a direct all-reduce with these shares takes: by access limits, pairs
/// and cables. O(N^2).
double direct_seconds_per_byte(const topology::Estimates& estimates, const Shares& shares);

/// Which relay of a broadcast from `root` spreads how much: as fast as each can receive it and pass it on.
/// The root's own share is 0.
Shares relay_shares(const topology::Estimates& estimates, std::uint32_t root);

/// Shares for a hierarchical plan. Every chunk has a local root in each region, and one of them is its root.
struct RegionShares {
  Shares root_in;        ///< By region: how much has its root there.
  Shares within_region;  ///< By rank: how much of its region's chunks it is the local root of; 1 per region.
};
/// With R regions, member i of region A (n members, W of the roots, x_i of the local roots) sends and
/// receives (1 + x_i (n - 1 + W (R - 2))) S; the cable from A to B carries (W_A + W_B) S. W by a linear
/// program over the regions (by their sizes if that is as good, or beyond 32 regions), x by water filling.
/// O(N^2).
RegionShares region_shares(const topology::Estimates& estimates);

}  // namespace hawser
