#pragma once

#include <cstdint>

#include "plan/network.hpp"

namespace hawser {

/// Stars of an all-reduce with relays at some roots, and how much of a buffer each carries. A relay has no tensor, so
/// with share w_r of S bytes it sends and receives w_r N S, and member i sends and receives (1 - w_i) S + w_i (N - 1) S
/// as on the direct plan. With all roots at relays each member sends and receives S, the least that any plan comes to.
///
/// Water filling over the access limits c: the least T >= 1 / min(c_i) at which w_i <= (T c_i - 1) / (N - 2) and
/// w_r <= T c_r / N add up to 1. Relays are filled first, since what they carry costs no member anything. A relay that
/// some member has no way to is left out, and so are members as roots where pairs of these have none. None: no relay
/// reaches all members. O(N^2).
SharedTrees relayed_shares(const topology::Estimates& estimates, std::uint32_t world_size);

}  // namespace hawser
