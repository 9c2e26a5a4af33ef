#pragma once

#include "optim/update_table.hpp"

namespace hawser {

/// The oracle: one element after another. Runs everywhere; the others are compared with it.
const UpdateTable& update_scalar();

}  // namespace hawser
