#pragma once

#include "shared_state/content.hpp"

namespace hawser {

/// Digests all stale slices of the content, on as many threads as that is worth (this one among them; at most
/// `threads`, 0: one for each core). Blocks until done: about as long as reading the slices takes.
void digest_stale(StateContent& content, unsigned threads);

}  // namespace hawser
