#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer_pool.hpp"
#include "device/devices.hpp"

namespace hawser::device {

/// Memory of one kind in a bounded amount, in few large pieces that stay until the end: to get one from the driver
/// takes long, and may wait for the device. So that is for reserve(), and take() only divides what is there. Safe from
/// any thread.
class MemoryPool final : public BufferPool {
 public:
  /// Pinned memory of the host.
  static std::shared_ptr<MemoryPool> pinned(Devices& devices, std::size_t bytes_most);
  /// Memory of a device.
  static std::shared_ptr<MemoryPool> on_device(Devices& devices, int device, std::size_t bytes_most);
  ~MemoryPool() override;

  /// So that `bytes` are free, as far as the bound and the driver allow.
  void reserve(std::size_t bytes);
  /// Where that much is not free in one piece: memory of the heap, which devices copy more slowly; or on a device,
  /// memory that the driver is asked for, and that it gets back. Throws bad_alloc.
  std::byte* take(std::size_t bytes) override;
  void give(std::byte* buffer, std::size_t bytes) noexcept override;

 private:
  MemoryPool(Devices& devices, int device, std::size_t bytes_most)
      : devices_(devices), device_(device), bytes_most_(bytes_most) {}
  Result<std::unique_ptr<Memory>> allocate(std::size_t bytes);
  std::byte* take_free(std::size_t bytes);
  void add_free(std::byte* at, std::size_t bytes);

  Devices& devices_;
  int device_;  ///< Or kHost.
  std::size_t bytes_most_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Memory>> pieces_;
  std::size_t bytes_ = 0;                             ///< Of the pieces.
  std::map<std::byte*, std::size_t> free_;            ///< Neighbours of one piece are one.
  std::map<std::byte*, std::size_t> taken_;           ///< With the bytes that were set apart.
  std::map<std::byte*, std::unique_ptr<Memory>> own_;  ///< Of a device, from beyond the pieces.
  std::map<std::byte*, std::byte*> ends_;             ///< Begin and end of each piece.
};

}  // namespace hawser::device
