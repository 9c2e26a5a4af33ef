#pragma once

#include <atomic>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

#include "device/devices.hpp"

namespace hawser::device {

/// Memory of one device, for works that must not wait for it. The driver is asked for memory in take() and
/// gets it back in trim() and at the end, and otherwise only where that waits for nothing, since either may
/// wait for every stream. Safe from any thread.
class KeptMemory : public std::enable_shared_from_this<KeptMemory> {
 public:
  static std::shared_ptr<KeptMemory> on(Devices& devices, int device);
  ~KeptMemory();
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

  /// At least so many bytes, of what is free here or of the driver. Whoever has them last gives them back
  /// here, without a word to the driver. Before an error it gives what is free back to the driver, if
  /// `may_trim` or where that waits for nothing, and takes any piece that is large enough. Error: system.
  Result<std::shared_ptr<std::byte>> take(std::size_t bytes, bool may_trim = false);
  /// Gives what is free here back to the driver, but for so many bytes. Blocks as the driver does.
  void trim(std::size_t bytes_kept) noexcept;
  /// The device has failed, or hangs: the driver gets nothing back any more, as that could wait for ever.
  void lose() noexcept { is_lost_ = true; }

 private:
  struct Piece {
    std::unique_ptr<Memory> memory;
    std::size_t bytes = 0;
  };
  /// One piece, in a node of its own: to give it back takes no memory.
  using Pieces = std::list<Piece>;

  KeptMemory(Devices& devices, int device) : devices_(devices), device_(device) {}
  Pieces take_free(std::size_t bytes, std::size_t bytes_most);
  void give(Pieces& one) noexcept;
  void free(Pieces pieces) const noexcept;

  Devices& devices_;
  int device_;
  std::mutex mutex_;
  Pieces free_;
  std::atomic<bool> is_lost_{false};
};

}  // namespace hawser::device
