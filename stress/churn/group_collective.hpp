#pragma once

#include "mixed_plan.hpp"
#include "mixed_tools.hpp"

namespace hawser::churn {

/// A broadcast, all-gather, reduce-scatter or barrier, again and again until it succeeds or the session
/// decides otherwise. Sizes and roots follow from the view, so each try asks for it anew and names its epoch:
/// a call with an old view's sizes ends with PeerLost. Blocks as the collective does.
Next run_group_collective(const MixedTools& tools, GroupKind kind, const MixedCall& call);

}  // namespace hawser::churn
