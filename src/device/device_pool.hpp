#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "base/buffer_pool.hpp"
#include "device/devices.hpp"

namespace hawser::device {

/// Memory of one device, kept for the next taker: to allocate and to free it waits for the device.
class DevicePool final : public BufferPool {
 public:
  /// What lies unused beyond `bytes_kept` is freed.
  DevicePool(Devices& devices, int device, std::size_t bytes_kept)
      : devices_(devices), device_(device), bytes_kept_(bytes_kept) {}

  std::byte* take(std::size_t bytes) override;
  void give(std::byte* buffer, std::size_t bytes) noexcept override;

 private:
  Devices& devices_;
  int device_;
  std::size_t bytes_kept_;
  std::mutex mutex_;
  std::map<std::byte*, std::unique_ptr<Memory>> taken_;
  std::multimap<std::size_t, std::unique_ptr<Memory>> free_;  ///< By size.
  std::size_t bytes_free_ = 0;
};

}  // namespace hawser::device
