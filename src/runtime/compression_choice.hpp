#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/instant.hpp"

namespace hawser {

/// Whether compressing payloads pays on one link. It does not where the values don't get smaller, nor where
/// the link takes bytes as fast as they can be compressed.
class CompressionChoice {
 public:
  /// zstd at level 1 on one core, shuffling included, at its slower end.
  static constexpr double kCompressedBytesPerSecond = 250e6;
  /// A payload that shrinks less than to this share is sent as it is.
  static constexpr double kShareThatPays = 0.9;
  static constexpr std::uint32_t kSkippedMost = 64;

  /// To be asked before each payload.
  bool worth_trying() {
    if (bytes_per_second_ > kCompressedBytesPerSecond) return false;
    if (left_to_skip_ == 0) return true;
    --left_to_skip_;
    return false;
  }
  void paid() { skip_ = left_to_skip_ = 0; }
  /// Tries again after 1, 2, 4 .. payloads.
  void did_not_pay() { left_to_skip_ = skip_ = std::clamp<std::uint32_t>(2 * skip_, 1, kSkippedMost); }

  /// The other side has got so many bytes since it last said so.
  void acknowledged(Instant now, std::size_t bytes) {
    counted_ += bytes;
    if (now - since_ > kPause) {
      // Nothing was under way for a while: that says nothing of the rate.
      since_ = now;
      counted_ = 0;
    } else if (now - since_ >= kWindow) {
      bytes_per_second_ = static_cast<double>(counted_) / std::chrono::duration<double>(now - since_).count();
      since_ = now;
      counted_ = 0;
    }
  }

 private:
  static constexpr Duration kWindow = milliseconds(20);
  static constexpr Duration kPause = milliseconds(500);

  std::uint32_t skip_ = 0;
  std::uint32_t left_to_skip_ = 0;
  Instant since_{};
  std::size_t counted_ = 0;
  double bytes_per_second_ = 0;
};

}  // namespace hawser
