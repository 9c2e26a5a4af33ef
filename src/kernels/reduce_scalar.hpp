#pragma once

#include "kernels/reduce_table.hpp"

namespace hawser {

/// The oracle: one element after another. Runs everywhere; the others are compared with it.
const ReduceTable& reduce_scalar();

}  // namespace hawser
