#pragma once

#include <string>

#include "plan/plan.hpp"
#include "topology/estimates.hpp"

namespace hawser {

/// How long a call takes, in seconds.
struct Prediction {
  double seconds = 0;           ///< The sum of the others.
  double transfer_seconds = 0;  ///< The busiest resource's bytes at its rate.
  double path_seconds = 0;      ///< A chunk's longest way up and down.
  double commit_seconds = 0;    ///< The farthest member's round trip to the master.
  std::string bottleneck;       ///< The busiest resource, for a person: "the uplink of rank 3".
};

/// Of any plan, from its trees alone. The resources are: every ordered pair, every member's up- and downlink,
/// every cable. The path: per hop its delay, a chunk at the pair's rate, and 5 us per neighbour that the
/// inner end serves; less the slowest chunk on it, which the transfer has counted. `element_bytes` stands in
/// for what `wire` leaves at 0. A pair without a way of its own takes both halves of its detour.
/// O(trees * N + N^2). For plans that have trees.
Prediction predict(const Plan& plan, const WireBytes& wire, std::uint32_t element_bytes,
                   const topology::Estimates& estimates);

/// No plan of trees can be faster: what each member must send and receive at least, what all must together,
/// what must leave and enter each region; the nearest neighbour of the loneliest member; the commit.
double ideal_seconds(const PlanInput& input, const topology::Estimates& estimates);

}  // namespace hawser
