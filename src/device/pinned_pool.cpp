#include "device/pinned_pool.hpp"

#include <atomic>
#include <new>
#include <utility>

namespace hawser::device {

std::byte* PinnedPool::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (free_.find(bytes) == free_.end() && !pin_one(bytes)) return new std::byte[bytes];
  const auto found = free_.find(bytes);
  std::byte* const buffer = found->second;
  free_.erase(found);
  return buffer;
}

/// False: it would be too much, or the system gives no more.
bool PinnedPool::pin_one(std::size_t bytes) {
  make_room(bytes);
  if (bytes > bytes_most_ - bytes_) return false;
  auto memory = devices_.allocate_pinned(bytes);
  if (!memory.ok()) return false;
  std::byte* const buffer = (*memory)->bytes();
  free_.emplace(bytes, buffer);
  try {
    pinned_.emplace(buffer, std::move(*memory));
  } catch (...) {
    free_.erase(free_.find(bytes));
    throw;
  }
  bytes_ += bytes;
  return true;
}

/// Gives back what lies unused, as long as there is not room for so many bytes.
void PinnedPool::make_room(std::size_t bytes) {
  while (!free_.empty() && bytes > bytes_most_ - bytes_) {
    const auto one = free_.begin();
    bytes_ -= one->first;
    pinned_.erase(one->second);
    free_.erase(one);
  }
}

void PinnedPool::give(std::byte* buffer, std::size_t bytes) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = pinned_.find(buffer); found != pinned_.end()) {
      try {
        free_.emplace(bytes, buffer);
      } catch (...) {
        bytes_ -= bytes;
        pinned_.erase(found);
      }
      return;
    }
  }
  delete[] buffer;
}

void keep_for_ever(std::shared_ptr<BufferPool> pool) noexcept {
  struct Kept {
    std::shared_ptr<BufferPool> pool;
    Kept* next = nullptr;
  };
  static std::atomic<Kept*> all{nullptr};
  if (auto* const one = new (std::nothrow) Kept{.pool = std::move(pool)}) one->next = all.exchange(one);
}

}  // namespace hawser::device
