#pragma once

#include <memory>
#include <vector>

#include "collective/work.hpp"
#include "device/devices.hpp"
#include "device/work_queue.hpp"

namespace hawser {

/// Memory that a queue's works on a device have to themselves, one after the other. What is too small is replaced by
/// something larger.
class DeviceDesk {
 public:
  DeviceDesk(device::Devices& devices, int device) : devices_(devices), device_(device) {}

  const device::Devices& devices() const { return devices_; }
  enum class Part { payload, first, second, scratch };
  /// Error: system, where the device has no memory for it.
  Result<std::shared_ptr<const device::Memory>> take(Part part, std::size_t bytes);

 private:
  struct Buffer {
    std::shared_ptr<const device::Memory> memory;
    std::size_t bytes = 0;
  };
  device::Devices& devices_;
  int device_;
  Buffer parts_[4];
};

/// A work as what a stream of its device does.
struct DeviceWork {
  std::vector<device::WorkQueue::Step> steps;
  /// Of the desk; to be kept until the steps are done.
  std::vector<std::shared_ptr<const device::Memory>> memory;
};

/// Whether these devices can run works: this build has kernels for them.
bool runs_works(const device::Devices& devices);

/// Such a work, with the same result as run(). Quantised payloads cross through the desk. Errors: system;
/// invalid_argument for steps that devices do not do.
Result<DeviceWork> on_device(const Work& work, DeviceDesk& desk);

}  // namespace hawser
