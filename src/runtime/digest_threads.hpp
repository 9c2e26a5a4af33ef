#pragma once

#include "base/result.hpp"
#include "runtime/device_tensors.hpp"
#include "shared_state/content.hpp"

namespace hawser {

/// Digests all stale slices of the content, on as many threads as that is worth (this one among them; at most
/// `threads`, 0: one for each core). Devices digest what they have, or it is copied to the host beside the hashing.
/// Blocks until done: about as long as reading the slices takes. `devices`: null where all tensors lie on the host.
/// Error: system, of a device; then slices are stale yet.
Result<void> digest_stale(StateContent& content, unsigned threads, DeviceTensors* devices);

}  // namespace hawser
