#include "device/memory_pool.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.hpp"

namespace hawser::device {
namespace {

/// All that is taken begins at a multiple of it.
constexpr std::size_t kAlignment = 256;
/// What is asked of the driver at a time, at least.
constexpr std::size_t kPieceBytes = 4 << 20;

std::size_t rounded(std::size_t bytes) {
  return (std::max<std::size_t>(1, bytes) + kAlignment - 1) & ~(kAlignment - 1);
}

}  // namespace

std::shared_ptr<MemoryPool> MemoryPool::pinned(Devices& devices, std::size_t bytes_most) {
  return std::shared_ptr<MemoryPool>(new MemoryPool(devices, kHost, bytes_most));
}

std::shared_ptr<MemoryPool> MemoryPool::on_device(Devices& devices, int device, std::size_t bytes_most) {
  return std::shared_ptr<MemoryPool>(new MemoryPool(devices, device, bytes_most));
}

MemoryPool::~MemoryPool() = default;

Result<std::unique_ptr<Memory>> MemoryPool::allocate(std::size_t bytes) {
  return device_ == kHost ? devices_.allocate_pinned(bytes) : devices_.allocate(device_, bytes);
}

void MemoryPool::reserve(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::size_t free = 0;
  for (const auto& [at, size] : free_) free += size;
  if (free >= bytes) return;
  const std::size_t wanted = std::min(std::max(bytes - free, kPieceBytes), bytes_most_ - bytes_) & ~(kAlignment - 1);
  if (wanted == 0) return;
  auto piece = allocate(wanted);
  // Without it, take() has other means.
  if (!piece.ok()) return;
  std::byte* const at = (*piece)->bytes();
  pieces_.push_back(std::move(*piece));
  bytes_ += wanted;
  ends_.emplace(at, at + wanted);
  add_free(at, wanted);
}

std::byte* MemoryPool::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (std::byte* const found = take_free(rounded(bytes))) return found;
  if (device_ == kHost) return new std::byte[bytes];
  auto memory = allocate(bytes);
  if (!memory.ok()) throw std::bad_alloc();
  std::byte* const at = (*memory)->bytes();
  own_.emplace(at, std::move(*memory));
  return at;
}

/// The smallest that is large enough.
std::byte* MemoryPool::take_free(std::size_t bytes) {
  auto best = free_.end();
  for (auto one = free_.begin(); one != free_.end(); ++one)
    if (one->second >= bytes && (best == free_.end() || one->second < best->second)) best = one;
  if (best == free_.end()) return nullptr;
  std::byte* const at = best->first;
  const std::size_t rest = best->second - bytes;
  taken_.emplace(at, bytes);
  // In place of what it was: nothing can fail from here on.
  auto node = free_.extract(best);
  if (rest == 0) return at;
  node.key() = at + bytes;
  node.mapped() = rest;
  free_.insert(std::move(node));
  return at;
}

void MemoryPool::add_free(std::byte* at, std::size_t bytes) {
  const auto after = free_.find(at + bytes);
  const auto next = free_.lower_bound(at);
  const auto begins_piece = [&](std::byte* where) { return ends_.contains(where); };
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == at && !begins_piece(at)) {
      before->second += bytes;
      if (after != free_.end() && !begins_piece(after->first)) {
        before->second += after->second;
        free_.erase(after);
      }
      return;
    }
  }
  if (after != free_.end() && !begins_piece(after->first)) {
    auto node = free_.extract(after);
    node.key() = at;
    node.mapped() += bytes;
    free_.insert(std::move(node));
    return;
  }
  free_.emplace(at, bytes);
}

void MemoryPool::give(std::byte* buffer, std::size_t) noexcept {
  std::unique_ptr<Memory> freed;
  const std::lock_guard lock(mutex_);
  if (const auto found = taken_.find(buffer); found != taken_.end()) {
    const std::size_t bytes = found->second;
    taken_.erase(found);
    try {
      add_free(buffer, bytes);
    } catch (...) {
      // Without memory to remember it, it stays unused until the end.
    }
    return;
  }
  if (device_ == kHost) {
    delete[] buffer;
    return;
  }
  const auto found = own_.find(buffer);
  HAWSER_ASSERT(found != own_.end());
  freed = std::move(found->second);
  own_.erase(found);
}

}  // namespace hawser::device
