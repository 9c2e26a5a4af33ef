#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "base/signature.hpp"
#include "collective/work.hpp"
#include "device/devices.hpp"
#include "device/kept_memory.hpp"
#include "device/work_queue.hpp"

namespace hawser {

/// Memory that a queue's works on a device have to themselves, one after the other. What is too small is
/// replaced by something larger. Safe from any thread.
class DeviceDesk {
 public:
  DeviceDesk(const device::Devices& devices, std::shared_ptr<device::KeptMemory> memory)
      : devices_(devices), memory_(std::move(memory)) {}

  const device::Devices& devices() const { return devices_; }
  enum class Part { payload, first, second, scratch };
  using Sizes = std::array<std::size_t, 4>;
  /// What works of a call need of each part at most.
  static Sizes needs(const Signature& signature);
  /// So that take() finds so much. As KeptMemory::take(). Error: system, where the device has no memory for
  /// it.
  Result<void> make_ready(const Sizes& sizes, bool may_trim);
  /// Where nobody has made that much ready: as make_ready().
  Result<std::shared_ptr<std::byte>> take(Part part, std::size_t bytes, bool may_trim = false);

 private:
  struct Buffer {
    std::shared_ptr<std::byte> memory;
    std::size_t bytes = 0;
  };
  const device::Devices& devices_;
  std::shared_ptr<device::KeptMemory> memory_;
  std::mutex mutex_;
  std::array<Buffer, 4> parts_;
};

/// A work as what a stream of its device does.
struct DeviceWork {
  std::vector<device::WorkQueue::Step> steps;
  /// Of the desk; to be kept until the steps are done.
  std::vector<std::shared_ptr<std::byte>> memory;
};

/// Whether these devices can run works: this build has kernels for them.
bool runs_works(const device::Devices& devices);

/// Such a work, with the same result as run(). Quantised payloads cross through the desk. Errors: system;
/// invalid_argument for steps that devices do not do.
Result<DeviceWork> on_device(const Work& work, DeviceDesk& desk);

}  // namespace hawser
