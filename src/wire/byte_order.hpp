#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/assert.hpp"

/// Numbers as little-endian bytes on any machine: shifts, no casts. Compilers turn each into one load or
/// store.
namespace hawser {

/// Writes fields one after another. The room must suffice.
class FieldWriter {
 public:
  explicit FieldWriter(std::span<std::byte> out) : out_(out) {}

  void u8(std::uint8_t value) { put(value, 1); }
  void u16(std::uint16_t value) { put(value, 2); }
  void u32(std::uint32_t value) { put(value, 4); }
  void u64(std::uint64_t value) { put(value, 8); }
  void bytes(std::span<const std::byte> values) {
    HAWSER_ASSERT(values.size() <= out_.size() - offset_);
    for (const std::byte value : values) out_[offset_++] = value;
  }
  /// What was written so far.
  std::span<const std::byte> written() const { return out_.first(offset_); }

 private:
  void put(std::uint64_t value, std::size_t width) {
    HAWSER_ASSERT(width <= out_.size() - offset_);
    for (std::size_t i = 0; i < width; ++i) out_[offset_ + i] = static_cast<std::byte>(value >> (8 * i));
    offset_ += width;
  }

  std::span<std::byte> out_;
  std::size_t offset_ = 0;
};

/// Reads fields one after another. The bytes must suffice.
class FieldReader {
 public:
  explicit FieldReader(std::span<const std::byte> in) : in_(in) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(get(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(get(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(get(4)); }
  std::uint64_t u64() { return get(8); }
  void skip(std::size_t count) {
    HAWSER_ASSERT(count <= in_.size() - offset_);
    offset_ += count;
  }
  /// What was read so far.
  std::span<const std::byte> taken() const { return in_.first(offset_); }

 private:
  std::uint64_t get(std::size_t width) {
    HAWSER_ASSERT(width <= in_.size() - offset_);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i)
      value |= std::to_integer<std::uint64_t>(in_[offset_ + i]) << (8 * i);
    offset_ += width;
    return value;
  }

  std::span<const std::byte> in_;
  std::size_t offset_ = 0;
};

}  // namespace hawser
