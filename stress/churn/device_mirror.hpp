#pragma once

#include <cstdint>

#include "checked_collective.hpp"

namespace hawser::churn {

/// A buffer's twin on a simulated device, margins and all, where HAWSER_DEVICE=sim says so: the call gets the twin, and
/// what it made of it comes back for the checks. Otherwise, and for one call in three, it is the buffer itself.
class DeviceMirror {
 public:
  /// Whether `call`, a number that grows, has its buffers on a device; and on which.
  static bool is_wanted(std::uint64_t call);
  static std::int32_t device_of(std::uint64_t call) { return static_cast<std::int32_t>(call % 2); }

  /// The one of that device that writes twins, for all of this process.
  static void* stream_of(std::int32_t device);

  /// `device` < 0: the buffer itself.
  DeviceMirror(GuardedBuffer& buffer, std::int32_t device);
  ~DeviceMirror();
  DeviceMirror(const DeviceMirror&) = delete;
  DeviceMirror& operator=(const DeviceMirror&) = delete;

  void* data() const;
  /// The twin's stream, which writes it late; null without one.
  void* stream() const { return stream_; }
  /// Once no call uses it any more.
  void fetch_back();

 private:
  GuardedBuffer& buffer_;
  void* memory_ = nullptr;
  void* stream_ = nullptr;
};

}  // namespace hawser::churn
