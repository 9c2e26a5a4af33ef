#pragma once

#include "kernels/quantize_table.hpp"

namespace hawser {

/// The oracle: one value after another. Runs everywhere; the others are compared with it.
const QuantizeTable& quantize_scalar();

}  // namespace hawser
