#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hawser {

/// Bytes that start `misalignment` after a 64-byte boundary, with guards before and behind.
class GuardedBuffer {
 public:
  GuardedBuffer(std::size_t misalignment, std::size_t bytes) : bytes_(bytes), room_(bytes + 256, kUntouched) {
    while (reinterpret_cast<std::uintptr_t>(room_.data() + start_) % 64 != misalignment) ++start_;
  }
  GuardedBuffer(std::size_t misalignment, const std::vector<std::byte>& content)
      : GuardedBuffer(misalignment, content.size()) {
    assign(content);
  }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  std::byte* data() { return room_.data() + start_; }
  void assign(const std::vector<std::byte>& content) { std::copy(content.begin(), content.end(), data()); }
  std::vector<std::byte> content() { return {data(), data() + bytes_}; }
  bool guards_hold() const {
    for (std::size_t i = 0; i < room_.size(); ++i)
      if ((i < start_ || i >= start_ + bytes_) && room_[i] != kUntouched) return false;
    return true;
  }

 private:
  static constexpr std::byte kUntouched{0xa5};
  std::size_t bytes_;
  std::vector<std::byte> room_;
  std::size_t start_ = 64;
};

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

}  // namespace hawser
