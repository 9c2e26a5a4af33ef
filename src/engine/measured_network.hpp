#pragma once

#include "membership/messages.hpp"
#include "topology/matrix.hpp"

namespace hawser {

/// What plans are made from, of what the members of a view have measured. Of two directions of which one is unknown a
/// delay is that of the other. What passed from one region to another, by all pairs together, is taken for what the
/// cable between them carries. A pair has no way of its own where one of its ends says so. The same on all
/// members: it depends on the measures alone.
topology::Matrix matrix_of(const Measures& measures);

}  // namespace hawser
