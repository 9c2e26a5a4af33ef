#pragma once

#include <atomic>
#include <memory>

#include "device/devices.hpp"

namespace hawser::device {

/// Until the process ends: a device that hangs may still write there, or waits with whoever frees it. Takes
/// no memory, as without it nobody may free this either.
inline void keep_for_ever(std::unique_ptr<Memory> memory) noexcept {
  static std::atomic<Memory*> all{nullptr};
  if (!memory) return;
  Memory* const one = memory.release();
  one->next_kept_ = all.load();
  while (!all.compare_exchange_weak(one->next_kept_, one)) {
  }
}

}  // namespace hawser::device
