#pragma once

#include <cstdint>
#include <vector>

#include "plan/root_shares.hpp"

namespace hawser {

/// Whole slots by shares that add up to 1: the largest remainders get what rounding down leaves (Hamilton's
/// method; equal remainders by the lower index).
std::vector<std::uint32_t> apportion(const Shares& shares, std::uint32_t slots);

/// Each index as often as `counts` says, as evenly spread as smooth weighted round robin does: so that any
/// stretch of the sequence has about the same mixture.
std::vector<std::uint32_t> interleave(const std::vector<std::uint32_t>& counts);

}  // namespace hawser
