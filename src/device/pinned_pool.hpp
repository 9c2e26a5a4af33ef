#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer_pool.hpp"
#include "device/devices.hpp"

namespace hawser::device {

/// Pinned memory in a bounded amount, kept for the next taker: pinning takes long. What goes beyond the bound, or
/// cannot be pinned, is memory of the heap, which devices copy more slowly.
class PinnedPool final : public BufferPool {
 public:
  PinnedPool(Devices& devices, std::size_t bytes_most) : devices_(devices), bytes_most_(bytes_most) {}

  std::byte* take(std::size_t bytes) override;
  void give(std::byte* buffer, std::size_t bytes) noexcept override;

 private:
  bool pin_one(std::size_t bytes);
  void make_room(std::size_t bytes);

  Devices& devices_;
  std::size_t bytes_most_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;  ///< Pinned.
  std::map<std::byte*, std::unique_ptr<Memory>> pinned_;
  std::multimap<std::size_t, std::byte*> free_;  ///< By size; of the pinned ones.
};

/// Until the process ends: a device that hangs may still write there.
void keep_for_ever(std::shared_ptr<BufferPool> pool) noexcept;

}  // namespace hawser::device
