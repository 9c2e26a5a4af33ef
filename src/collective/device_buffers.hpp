#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/buffer_pool.hpp"
#include "collective/work.hpp"

namespace hawser {

/// What a collective needs whose buffers lie on devices: numbers of devices, and means of who knows devices.
struct DeviceBuffers {
  /// Where the buffers lie: kOnHost, or a device's number. Both are the same in place.
  std::int32_t send = kOnHost;
  std::int32_t receive = kOnHost;
  /// For a call in place: memory on the device, as large as what receives; and its owner, unless that is the
  /// caller.
  std::byte* scratch = nullptr;
  std::shared_ptr<const void> scratch_owner{};
  /// Works run on that device, which both buffers lie on: of a quantised call only what travels crosses to the host.
  bool computes = false;
  /// Where chunks wait on the host; null: on the heap.
  std::shared_ptr<BufferPool> pool{};
  /// Where sums are gathered, if works run on the device; null: on the heap, for devices whose memory is the host's.
  std::shared_ptr<BufferPool> device_pool{};
  /// Does a copy on a device here and now, and blocks for it (Execution::undo_now). Must not throw.
  std::function<void(const CopyBytes&)> copy_now{};

  bool any() const { return send != kOnHost || receive != kOnHost; }
};

}  // namespace hawser
