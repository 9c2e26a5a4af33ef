#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// Bytes and text for one another, and protobuf fields by hand, for messages that no honest sender makes.
namespace hawser::testing {

inline std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
  return out;
}

inline std::string number_field(int number, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(number) << 3) + varint(value);
}

inline std::string bytes_field(int number, std::string_view body) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(body.size()) + std::string(body);
}

inline std::string repeated(std::string_view piece, std::size_t times) {
  std::string out;
  for (; times > 0; --times) out += piece;
  return out;
}

}  // namespace hawser::testing
