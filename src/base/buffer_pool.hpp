#pragma once

#include <cstddef>
#include <memory>

namespace hawser {

/// Memory, of the host or of a device, that is used again and again. Safe from any thread.
class BufferPool {
 public:
  virtual ~BufferPool() = default;
  /// At least so many bytes. Throws bad_alloc.
  virtual std::byte* take(std::size_t bytes) = 0;
  /// With the size that it was taken with.
  virtual void give(std::byte* buffer, std::size_t bytes) noexcept = 0;
};

/// Gives a buffer back to its pool, or to the heap if it has none.
struct BufferFree {
  std::shared_ptr<BufferPool> pool{};
  std::size_t bytes = 0;
  void operator()(std::byte* buffer) const noexcept {
    if (pool)
      pool->give(buffer, bytes);
    else
      delete[] buffer;
  }
};
using PooledBuffer = std::unique_ptr<std::byte[], BufferFree>;

}  // namespace hawser
