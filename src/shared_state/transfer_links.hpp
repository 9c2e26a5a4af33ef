#pragma once

#include <cstdint>
#include <vector>

#include "base/link_layout.hpp"
#include "shared_state/slice_transfer.hpp"

namespace hawser {

/// Whom this rank needs links to in a transfer, beside its neighbours: none where all members have links to each other.
/// Else slices go from neighbour to neighbour, over members that have or want them. Where no such way leads from a
/// holder to a receiver, as when all others keep what they have, one receiver gets a link to a holder. Ascending; all
/// members find the same.
std::vector<std::uint32_t> links_beside(const LinkLayout& layout, std::uint32_t members, std::uint32_t rank,
                                        const std::vector<TransferPart>& parts);

}  // namespace hawser
