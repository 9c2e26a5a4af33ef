#pragma once

#include "membership/messages.hpp"
#include "topology/matrix.hpp"

namespace hawser {

/// What plans are made from, of what the members of a view have measured. Of two directions of which one is unknown a
/// delay is that of the other. What passed from one region to another, by all pairs together, is taken for what the
/// cable between them carries. A pair has no way of its own where one of its ends says so. The same on all
/// members: it depends on the measures alone.
topology::Matrix matrix_of(const Measures& measures);

/// What the members among these have measured of each other, without relays: `members` of them have tensors.
Measures without_relays(const Measures& measures, std::uint32_t members);

/// The members of a matrix, and behind them the view's relays. A relay's access is what it says that it offers. If it
/// says nothing it is taken for twice what it has been seen to carry, so that plans find out what it can do; and before
/// that for twice the fastest rate of any member. What a member's link to a relay carries beside its others says
/// nothing of what it could carry alone: it counts as the access of both.
topology::Matrix matrix_with_relays(const topology::Matrix& members, const Measures& measures, const View& view);

}  // namespace hawser
