#pragma once

#include "base/signature.hpp"
#include "plan/plan.hpp"

namespace hawser {

/// What the payloads of such a call are on the wire, for its plan: from the signature alone, so all members reckon with
/// the same. A compressed call counts as one that is not: each link finds out for itself what that saves. For
/// signatures whose quantisation check() accepts.
WireBytes wire_bytes(const Signature& signature);

}  // namespace hawser
