#include "device/memory_pool.hpp"

#include <algorithm>
#include <utility>

#include "device/keep_for_ever.hpp"

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
  return std::shared_ptr<MemoryPool>(new MemoryPool(devices, bytes_most));
}

MemoryPool::~MemoryPool() {
  if (!is_lost_) return;
  for (std::unique_ptr<Memory>& piece : pieces_) keep_for_ever(std::move(piece));
}

std::shared_ptr<const void> MemoryPool::reserve(std::size_t bytes) {
  struct Reservation {
    std::shared_ptr<MemoryPool> pool;
    std::size_t bytes = 0;
    ~Reservation() {
      const std::lock_guard lock(pool->mutex_);
      pool->reserved_ -= bytes;
    }
  };
  auto reservation = std::make_shared<Reservation>(shared_from_this());
  std::size_t wanted = 0;
  {
    const std::lock_guard lock(mutex_);
    reservation->bytes = bytes;
    reserved_ += bytes;
    if (reserved_ <= bytes_) return reservation;
    wanted = std::min(std::max(reserved_ - bytes_, kPieceBytes), bytes_most_ - bytes_) & ~(kAlignment - 1);
    bytes_ += wanted;
  }
  if (wanted == 0) return reservation;
  // Without the mutex, which threads of the network need.
  auto piece = devices_.allocate_pinned(wanted);
  const std::lock_guard lock(mutex_);
  // Without it, take() has other means.
  if (!piece.ok()) {
    bytes_ -= wanted;
    return reservation;
  }
  std::byte* const at = (*piece)->bytes();
  pieces_.push_back(std::move(*piece));
  ends_.emplace(at, at + wanted);
  add_free(at, wanted);
  return reservation;
}

PooledBuffer MemoryPool::take_reserved(std::size_t bytes) {
  struct Reserved final : BufferPool {
    std::shared_ptr<MemoryPool> pool;
    std::shared_ptr<const void> reservation;
    std::byte* take(std::size_t size) override { return pool->take(size); }
    void give(std::byte* buffer, std::size_t size) noexcept override { pool->give(buffer, size); }
  };
  const auto reserved = std::make_shared<Reserved>();
  reserved->pool = shared_from_this();
  reserved->reservation = reserve(bytes);
  return {take(bytes), BufferFree{.pool = reserved, .bytes = bytes}};
}

std::byte* MemoryPool::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (std::byte* const found = take_free(rounded(bytes))) return found;
  return new std::byte[bytes];
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
  const std::lock_guard lock(mutex_);
  const auto found = taken_.find(buffer);
  if (found == taken_.end()) {
    delete[] buffer;
    return;
  }
  const std::size_t bytes = found->second;
  taken_.erase(found);
  try {
    add_free(buffer, bytes);
  } catch (...) {
    // Without memory to remember it, it stays unused until the end.
  }
}

}  // namespace hawser::device
