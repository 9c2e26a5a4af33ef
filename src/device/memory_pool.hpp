#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer_pool.hpp"
#include "device/devices.hpp"

namespace hawser::device {

/// Pinned memory of the host in a bounded amount, in few large pieces that stay until the end: to get one
/// from the driver takes long, and may wait for the device. So that is for reserve(), and take() only divides
/// what is there. Safe from any thread.
class MemoryPool final : public BufferPool, public std::enable_shared_from_this<MemoryPool> {
 public:
  static std::shared_ptr<MemoryPool> pinned(Devices& devices, std::size_t bytes_most);
  ~MemoryPool() override;

  /// Room for so many bytes, as far as the bound and the driver allow, beside what others have reserved.
  /// Until the end of what it answers. Blocks as the driver does.
  std::shared_ptr<const void> reserve(std::size_t bytes);
  /// A buffer with a reservation of its own. Blocks as reserve(). Throws bad_alloc.
  PooledBuffer take_reserved(std::size_t bytes);
  /// Where that much is not free in one piece: memory of the heap. Throws bad_alloc.
  std::byte* take(std::size_t bytes) override;
  void give(std::byte* buffer, std::size_t bytes) noexcept override;
  /// A device that copies from or to it has failed, or hangs: the driver gets nothing back any more.
  void lose() noexcept { is_lost_ = true; }

 private:
  MemoryPool(Devices& devices, std::size_t bytes_most) : devices_(devices), bytes_most_(bytes_most) {}
  std::byte* take_free(std::size_t bytes);
  void add_free(std::byte* at, std::size_t bytes);

  Devices& devices_;
  std::size_t bytes_most_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Memory>> pieces_;
  std::size_t bytes_ = 0;                    ///< Of the pieces, and of those that are being asked for.
  std::size_t reserved_ = 0;                 ///< By all.
  std::map<std::byte*, std::size_t> free_;   ///< Neighbours of one piece are one.
  std::map<std::byte*, std::size_t> taken_;  ///< With the bytes that were set apart.
  std::map<std::byte*, std::byte*> ends_;    ///< Begin and end of each piece.
  std::atomic<bool> is_lost_{false};
};

}  // namespace hawser::device
