#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>

#include "device/devices.hpp"

namespace hawser::device {

/// Copies of one stream. For pageable memory a driver may block as long as the stream does, so it goes
/// through two pinned pieces, and is waited for with a bound. One thread at a time.
class StagedCopies {
 public:
  static constexpr std::size_t kPieceBytes = 512 << 10;

  StagedCopies(Devices& devices, int device, std::chrono::milliseconds patience)
      : devices_(devices), device_(device), patience_(patience) {}
  /// After the stream's end, or after lose().
  ~StagedCopies() = default;
  StagedCopies(const StagedCopies&) = delete;
  StagedCopies& operator=(const StagedCopies&) = delete;

  /// Pins the pieces. Otherwise the first copy that needs them does. Error: system.
  Result<void> make_ready();
  /// As Stream::copy(). With pageable memory: it has been read, or written, when this returns. Errors also:
  /// system, if the device fails or hangs.
  Result<void> copy(Stream& stream, std::byte* to, const std::byte* from, std::size_t bytes);
  /// The device has not done a copy in time.
  bool hangs() const { return hangs_; }
  /// The device hangs, and may still use the pieces: nobody ends its stream, or frees them.
  void lose() noexcept;

 private:
  struct Piece {
    std::byte* at = nullptr;
    std::shared_ptr<Event> busy;  ///< Null while nothing of it is under way.
    std::byte* to = nullptr;      ///< Where it goes then; null on the way up.
    std::size_t bytes = 0;
  };
  Result<void> settle(Piece& piece);

  Devices& devices_;
  int device_;
  std::chrono::milliseconds patience_;
  std::unique_ptr<Memory> memory_;
  std::array<Piece, 2> pieces_;
  std::size_t next_ = 0;
  bool hangs_ = false;
};

}  // namespace hawser::device
