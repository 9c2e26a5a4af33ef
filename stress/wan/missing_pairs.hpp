#pragma once

#include <cstdint>

#include "wan/spec.hpp"

namespace hawser::wan {

/// Hosts that do not reach each other: so many of a hundred pairs, by the spec's seed. From the start, until a script
/// heals them. Pairs with host 0 stay, since the master is there, so all others are joined by it. At most all the rest
/// are cut.
void cut_pairs(Spec& spec, std::uint32_t percent);

/// Whether a pair is cut from the start.
bool is_cut(const Spec& spec, HostIndex a, HostIndex b);

}  // namespace hawser::wan
