#pragma once

#include <span>

#include "kernels/reduce_table.hpp"

namespace hawser {

/// The implementations with vector instructions that this processor can run, the widest last. Empty where the
/// compiler cannot make them.
std::span<const ReduceTable* const> reduce_vector();

}  // namespace hawser
