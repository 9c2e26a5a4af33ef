#include "device/device_pool.hpp"

#include <new>
#include <utility>

#include "base/assert.hpp"

namespace hawser::device {

std::byte* DevicePool::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Memory> memory;
  if (const auto found = free_.find(bytes); found != free_.end()) {
    memory = std::move(found->second);
    free_.erase(found);
    bytes_free_ -= bytes;
  } else {
    auto allocated = devices_.allocate(device_, bytes);
    if (!allocated.ok()) throw std::bad_alloc();
    memory = std::move(*allocated);
  }
  std::byte* const at = memory->bytes();
  taken_.emplace(at, std::move(memory));
  return at;
}

void DevicePool::give(std::byte* buffer, std::size_t bytes) noexcept {
  std::unique_ptr<Memory> memory;
  const std::lock_guard lock(mutex_);
  const auto found = taken_.find(buffer);
  HAWSER_ASSERT(found != taken_.end());
  memory = std::move(found->second);
  taken_.erase(found);
  if (bytes_free_ + bytes > bytes_kept_) return;
  try {
    free_.emplace(bytes, std::move(memory));
    bytes_free_ += bytes;
  } catch (...) {
    // Without memory to remember it, it is freed.
  }
}

}  // namespace hawser::device
