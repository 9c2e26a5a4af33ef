#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace hawser::churn {

/// Bytes with a margin before and after them that nobody may touch.
class GuardedBytes {
 public:
  /// `shift` bytes away from a good alignment. The bytes begin as rubbish, so that what is never written is
  /// found.
  explicit GuardedBytes(std::size_t bytes, std::size_t shift = 0)
      : begin_(kMargin + shift), bytes_(bytes), storage_(bytes + shift + 2 * kMargin, kGuard) {
    std::ranges::fill(view(), kRubbish);
  }

  std::span<std::byte> view() { return std::span(storage_).subspan(begin_, bytes_); }
  std::span<const std::byte> view() const { return std::span(storage_).subspan(begin_, bytes_); }
  /// With the margins.
  std::span<std::byte> all() { return storage_; }
  bool margins_intact() const {
    const auto intact = [](std::byte b) { return b == kGuard; };
    const auto view = std::span(storage_);
    return std::ranges::all_of(view.first(begin_), intact) &&
           std::ranges::all_of(view.subspan(begin_ + bytes_), intact);
  }

 private:
  static constexpr std::size_t kMargin = 64;
  static constexpr std::byte kGuard{0xa5};
  static constexpr std::byte kRubbish{0x5a};

  std::size_t begin_;
  std::size_t bytes_;
  std::vector<std::byte> storage_;
};

}  // namespace hawser::churn
