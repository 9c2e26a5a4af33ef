#pragma once

#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"

namespace hawser {

/// The answer to a call whose ranks and sizes are those of a view that is over.
inline Error stale_epoch(Epoch called, Epoch in_force) {
  return {Status::peer_lost, "the members changed just before this call (epoch " + std::to_string(called.value) +
                                 " is over, " + std::to_string(in_force.value) +
                                 " is in force), so ranks and sizes may be others now; look them up and call again"};
}

}  // namespace hawser
