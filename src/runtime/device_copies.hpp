#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "base/instant.hpp"
#include "collective/call_memory.hpp"
#include "collective/residual.hpp"
#include "device/devices.hpp"
#include "device/kept_memory.hpp"
#include "device/memory_pool.hpp"
#include "device/patient_stream.hpp"
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
  /// Memory of each device that is kept while no call is under way, at most.
  static constexpr std::size_t kDeviceBytesKept = 64 << 20;
  /// Pinned memory that a call is given before it begins, at most.
  static constexpr std::size_t kCallBytes = 24 << 20;
  /// Memory of a device that a call is given for its sums, at most: as much as others can make it need. That
  /// is 32 MiB of early chunks, and what its window holds.
  static constexpr std::size_t kSumsBytes = 40 << 20;

  /// `patience`: a copy or work that takes longer is an error.
  DeviceCopies(device::Devices& devices, Duration patience);
  ~DeviceCopies();
  DeviceCopies(const DeviceCopies&) = delete;
  DeviceCopies& operator=(const DeviceCopies&) = delete;

  /// The pinned memory.
  std::shared_ptr<BufferPool> pool() const { return pool_; }
  /// For a shared state with tensors on these devices: what its slices need from now on. Blocks while the
  /// driver pins memory and makes streams. Errors: system, closed.
  Result<void> make_ready_for_state(const std::set<std::int32_t>& on);
  /// Whether this process has devices, now.
  bool any() const { return devices_.count() > 0; }
  /// Where the buffers of a call lie, and whose streams are concerned.
  struct Places {
    std::int32_t send = kOnHost;
    std::int32_t receive = kOnHost;
    /// The stream that a caller names is one of the device that sends; of the other one the default stream
    /// counts.
    std::uintptr_t stream_of_receive(std::uintptr_t stream) const {
      return send == kOnHost || send == receive ? stream : 0;
    }
  };
  /// Errors: invalid_argument.
  Result<Places> find(const CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes) const;
  /// What these streams do now. Errors: invalid_argument, system.
  Result<device::StreamWaits::Events> streams_now(const Places& places, std::uintptr_t stream) const;
  struct Prepared {
    /// What must come before the call begins: what the caller's streams do now.
    device::StreamWaits::Events first;
    /// What the call has here until its end; whoever drops it does not wait for the driver. Null without a
    /// device.
    std::shared_ptr<const void> hold;
  };
  /// Finds out where the call's buffers lie, and gives it what it needs if one lies on a device.
  /// `send_bytes`, `receive_bytes`: of the buffers. `stream`: the caller's; of two devices that of the send
  /// buffer, and the default stream of the other. In the caller's thread: all that may wait for streams is
  /// done here, before the call begins. Blocks for about 10 us, and for what memory and streams are made.
  /// Error: invalid_argument, system.
  Result<Prepared> prepare(CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes,
                           std::uintptr_t stream);
  /// In the thread of a caller whose call has ended: unless others are under way, gives memory back to the
  /// driver.
  void trim() noexcept;
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
  /// Memory there for a list of tensors, or on the host. In the caller's thread. Throws bad_alloc.
  PooledBuffer take(int device, std::size_t bytes);
  /// Returns when nothing is under way any more; nothing may be put then. The driver gets nothing back yet,
  /// as calls may have streams wait for their end.
  void finish() noexcept;

 private:
  enum class Kind { down, up, compute };
  struct Queue {
    std::shared_ptr<device::WorkQueue> works;
    std::shared_ptr<DeviceDesk> desk;
  };
  struct Hold;
  std::shared_ptr<Hold> begin_call();
  Result<Queue> queue(int device, Kind kind);
  Result<std::optional<Queue>> known_queue(int device, Kind kind);
  Kind kind_of(const Work& work) const;
  std::shared_ptr<device::KeptMemory> memory_on(int device);
  Result<std::shared_ptr<std::byte>> take_memory(int device, std::size_t bytes);
  /// Of a caller: no stream waits for another call, so the driver may wait for all of them.
  bool may_trim() const { return under_way_ <= 1; }
  Result<void> make_ready(CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes,
                          Hold& hold);
  void load_kernels(int device);
  std::function<Result<void>(const CopyBytes&)> copying(int device) const;
  Result<void> make_undo_stream(int device);
  void copy_now(int device, const CopyBytes& copy) noexcept;
  void lose() noexcept;

  device::Devices& devices_;
  std::chrono::milliseconds patience_;
  std::shared_ptr<device::MemoryPool> pool_;
  std::mutex idle_mutex_;  ///< Of whoever begins a call, or gives memory back while none is under way.
  std::atomic<int> under_way_{0};  ///< Calls; grows with the mutex.
  std::mutex making_mutex_;        ///< Of whoever makes streams and loads kernels.
  std::set<int> loaded_;           ///< Devices; with that mutex.
  std::map<int, std::unique_ptr<device::PatientStream>> undo_streams_;  ///< By device; with undo_mutex_.
  std::mutex undo_mutex_;
  std::once_flag states_begin_;
  std::shared_ptr<const void> of_states_;  ///< What is reserved for them.
  std::mutex mutex_;  ///< Of all below. Nobody holds it while the driver is at work.
  std::unique_ptr<device::StreamWaits> stream_waits_ = std::make_unique<device::StreamWaits>();
  std::map<std::pair<int, Kind>, Queue> queues_;
  std::map<int, std::shared_ptr<device::KeptMemory>> memory_;  ///< By device.
  bool is_over_ = false;
  std::atomic<bool> has_failed_{false};  ///< A device of this communicator's calls has.
};

}  // namespace hawser
