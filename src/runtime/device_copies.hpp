#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/instant.hpp"
#include "collective/call_memory.hpp"
#include "collective/residual.hpp"
#include "device/devices.hpp"
#include "device/memory_pool.hpp"
#include "device/stream_waits.hpp"
#include "device/work_queue.hpp"
#include "runtime/device_works.hpp"

namespace hawser {

/// A copy, and the caller's stream that comes first where a device is concerned.
struct StreamCopy {
  CopyBytes bytes;
  std::uintptr_t stream = 0;
};

/// What one communicator does on devices: copies and works of its calls, in queues of their own for each device and
/// kind, and the memory that they go through. Safe from any thread.
class DeviceCopies : public std::enable_shared_from_this<DeviceCopies> {
 public:
  /// Pinned memory of a communicator, at most.
  static constexpr std::size_t kPinnedBytesMost = 64 << 20;
  /// Memory of each device that is kept for sums and lists, at most.
  static constexpr std::size_t kDeviceBytesKept = 64 << 20;
  /// Of both, what a call is given before it begins, at most.
  static constexpr std::size_t kCallBytes = 24 << 20;

  /// `patience`: a copy or work that takes longer is an error.
  DeviceCopies(device::Devices& devices, Duration patience);

  /// The pinned memory.
  std::shared_ptr<BufferPool> pool() const { return pool_; }
  /// So that its next calls find pinned memory. Blocks while the driver pins it.
  void reserve_pinned() { pool_->reserve(kCallBytes); }
  /// Whether this process has devices, now.
  bool any() const { return devices_.count() > 0; }
  /// Finds out where the call's buffers lie, and gives it what it needs if one lies on a device. `send_bytes`,
  /// `receive_bytes`: of the buffers. `stream`: the caller's; of two devices that of the send buffer, and the default
  /// stream of the other. Answers what must come before the call begins: what these streams do now. Blocks for about 10
  /// us, in place for the allocation of a scratch. Error: invalid_argument, system.
  Result<device::StreamWaits::Events> prepare(CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes,
                                              std::uintptr_t stream);
  /// Brings it to where the works of that call run. Blocks for the copy.
  Result<void> place(Residual& residual, const CollectiveCall& call);
  /// As StreamWaits::put.
  Result<void> wait_for(device::StreamWaits::Events events, device::StreamWaits::Done done);

  /// Does what a work says on its device. `done` hears of the end on a thread of the queue; must not throw.
  Result<void> put(const Work& work, std::function<void(const Result<void>&)> done);
  /// Copies between anywhere and anywhere but from one device to another, each after its stream. Blocks until all is
  /// done. Without a device among them it takes no memory. Errors: invalid_argument, system.
  Result<void> copy(const std::vector<StreamCopy>& copies);
  /// The device that all of them lie on, or kOnHost where that is not one.
  int device_of(const std::vector<StreamCopy>& copies) const;
  /// Memory there for a list of tensors, or on the host. Throws bad_alloc.
  PooledBuffer take(int device, std::size_t bytes);
  /// Returns when nothing is under way any more; nothing may be put then.
  void finish() noexcept;

 private:
  enum class Kind { down, up, compute };
  struct Queue {
    std::unique_ptr<device::WorkQueue> works;
    std::shared_ptr<DeviceDesk> desk;  ///< Of the queue's thread.
  };
  Result<Queue*> queue(int device, Kind kind);
  Kind kind_of(const Work& work) const;
  std::shared_ptr<device::MemoryPool> memory_on(int device);
  Result<void> make_ready(const CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes);
  std::function<Result<void>(const CopyBytes&)> copying(int device) const;
  void copy_now(int device, const CopyBytes& copy) noexcept;
  void free_later(int device, std::unique_ptr<device::Memory> memory) noexcept;

  device::Devices& devices_;
  std::chrono::milliseconds patience_;
  std::shared_ptr<device::MemoryPool> pool_;
  std::mutex mutex_;
  std::unique_ptr<device::StreamWaits> stream_waits_ = std::make_unique<device::StreamWaits>();
  std::map<std::pair<int, Kind>, Queue> queues_;
  std::map<int, std::shared_ptr<device::MemoryPool>> memory_;  ///< By device.
  bool is_over_ = false;
  std::atomic<bool> has_failed_{false};  ///< A device of this communicator's calls has.
};

}  // namespace hawser
