#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"
#include "device/kernel.hpp"

/// Memory of accelerators behind one interface: CUDA, a simulated device, or none.
namespace hawser::device {

/// Memory that every processor core can read.
inline constexpr int kHost = -1;

/// A point in the work of a stream. Safe from any thread.
class Event {
 public:
  virtual ~Event() = default;
  /// Waits until all work before it is done, at most for `bound`. False: it is not. Error: system, if the work failed.
  virtual Result<bool> wait(std::chrono::milliseconds bound) = 0;
};

/// Does what it is asked for one after the other, and beside the host. A stream that failed does nothing any more, and
/// each of its later events has that error. One thread at a time.
class Stream {
 public:
  /// Waits for what it does, since its memory belongs to others afterwards.
  virtual ~Stream() = default;
  /// to = from. Either may lie on the stream's device or on the host. Does not block where the host's side is pinned.
  virtual Result<void> copy(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
  /// Runs a kernel. Error: invalid_argument, where Devices::runs() says so, or memory is not all the stream's device's.
  virtual Result<void> launch(const Launch& launch) = 0;
  /// Does nothing further until that event's work is done.
  virtual Result<void> wait_for(std::shared_ptr<const Event> event) = 0;
  virtual Result<std::shared_ptr<Event>> record() = 0;
};

/// Closed, until it is opened for good. A stream waits at it without a thread of the host, for what only the host
/// knows.
class Gate {
 public:
  virtual ~Gate() = default;
  /// Must come one day, whatever happens: the stream does nothing else. Safe from any thread; does not block. Again:
  /// nothing happens.
  virtual void open() noexcept = 0;
};

/// Memory that was allocated here. Freed by its destructor.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual std::byte* bytes() const = 0;

 private:
  friend void keep_for_ever(std::unique_ptr<Memory> memory) noexcept;
  Memory* next_kept_ = nullptr;
};

/// All devices that this process can use. Safe from any thread.
///
/// What may wait for every stream of a device, those at a closed gate included: make_stream(), make_ready(),
/// allocate() and allocate_pinned(), the end of their memory, and the first launch of a kernel that
/// make_ready() did not name. It is for threads that no gate waits for.
class Devices {
 public:
  virtual ~Devices() = default;
  /// "cuda", "sim" or "none".
  virtual const char* name() const = 0;
  /// May grow from 0 when the process begins to use devices.
  virtual int count() const = 0;

  /// Whether streams can run it: this build has code for these devices.
  virtual bool runs(const Kernel& kernel) const = 0;

  /// Where all of these bytes lie: a device's number, or kHost. A null pointer lies on the host. Error:
  /// invalid_argument, if they reach beyond an allocation of a device. If that is a mapping or of a pool of
  /// the driver, others of that kind that begin right at its end count as the same.
  virtual Result<int> where(const void* address, std::size_t bytes) const = 0;
  /// Memory of the host that is not pinned: a copy of it may block until the stream has come to it
  /// (StagedCopies).
  virtual bool is_pageable(const void* address) const = 0;
  /// Errors of all below: invalid_argument for a number that no device has; system.
  virtual Result<std::unique_ptr<Stream>> make_stream(int device) = 0;
  /// Loads these kernels. What fails here fails again at the launch, and is told there.
  virtual void make_ready(int device, std::span<const Kernel* const> kernels) = 0;
  /// What has been put on a stream of the caller until now. 0: the device's default stream.
  virtual Result<std::shared_ptr<Event>> record_on(int device, std::uintptr_t stream) = 0;
  /// Puts a kernel on a stream of the caller, as Stream::launch() does.
  virtual Result<void> launch_on(int device, std::uintptr_t stream, const Launch& launch) = 0;
  virtual Result<std::shared_ptr<Gate>> make_gate() = 0;
  /// What the caller puts on that stream after this runs once the gate is open.
  virtual Result<void> wait_on(int device, std::uintptr_t stream, std::shared_ptr<Gate> gate) = 0;
  /// On a device.
  virtual Result<std::unique_ptr<Memory>> allocate(int device, std::size_t bytes) = 0;
  /// Whether the end of memory there waits for no stream.
  virtual bool frees_at_once(int) { return false; }
  /// On the host, where devices copy at full rate and beside the host.
  virtual Result<std::unique_ptr<Memory>> allocate_pinned(std::size_t bytes) = 0;
};

/// Those of this process, found at the first call: what HAWSER_DEVICE names (`cuda`, `sim`, `none`), or CUDA once the
/// process has loaded its driver. `sim` takes options: "sim:seed=7,gbit=100". Error: invalid_argument, for a value
/// that it cannot have; system, if what it names is not here.
Result<Devices*> devices();

}  // namespace hawser::device
