#pragma once

#include <atomic>
#include <memory>

namespace hawser::device {

/// Until the process ends: a device that hangs may still write there, or waits with whoever frees it.
template <class Owner>
void keep_for_ever(const Owner& owner) noexcept {
  struct Kept {
    Owner owner;
    Kept* next = nullptr;
  };
  static std::atomic<Kept*> all{nullptr};
  try {
    auto one = std::make_unique<Kept>(Kept{.owner = owner});
    one->next = all.load();
    while (!all.compare_exchange_weak(one->next, one.get())) {
    }
    static_cast<void>(one.release());
  } catch (...) {
    // Without memory to remember it: whoever frees it may wait for the device.
  }
}

}  // namespace hawser::device
