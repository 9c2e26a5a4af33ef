#pragma once

#include <span>

#include "optim/update_table.hpp"

namespace hawser {

/// The implementations with vector instructions that this processor can run, the widest last. Empty where the
/// compiler cannot make them.
std::span<const UpdateTable* const> update_vector();

}  // namespace hawser
