#include "wire/repeated_fields.hpp"

#include <cstdint>

namespace hawser {
namespace {

/// As in the protobuf encoding: 7 bits a byte, low ones first, at most ten bytes.
std::optional<std::uint64_t> take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (rest.empty()) return std::nullopt;
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    if (shift < 64) value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

enum class WireType : unsigned { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

struct Field {
  std::uint64_t number = 0;
  WireType type = WireType::varint;
  std::string_view body;  ///< Of a length-delimited one.
};

std::optional<Field> take_field(std::string_view& rest) {
  const auto tag = take_varint(rest);
  // Readers of 32-bit tags drop the bits above: they must not hide a field from the count.
  if (!tag || *tag > 0xffffffffU) return std::nullopt;
  Field field{.number = *tag >> 3, .type = static_cast<WireType>(*tag & 7), .body = {}};
  std::uint64_t bytes = 0;
  switch (field.type) {
    case WireType::varint:
      if (!take_varint(rest)) return std::nullopt;
      return field;
    case WireType::fixed64: bytes = 8; break;
    case WireType::fixed32: bytes = 4; break;
    case WireType::length_delimited: {
      const auto length = take_varint(rest);
      if (!length) return std::nullopt;
      bytes = *length;
      break;
    }
    default: return std::nullopt;
  }
  if (bytes > rest.size()) return std::nullopt;
  field.body = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  return field;
}

}  // namespace

std::optional<std::size_t> count_occurrences(std::string_view message, std::span<const int> path) {
  std::size_t count = 0;
  for (std::string_view rest = message; !rest.empty();) {
    const auto field = take_field(rest);
    if (!field) return std::nullopt;
    if (field->number != static_cast<std::uint64_t>(path.front())) continue;
    if (path.size() == 1) {
      ++count;
    } else if (field->type == WireType::length_delimited) {
      const auto inner = count_occurrences(field->body, path.subspan(1));
      if (!inner) return std::nullopt;
      count += *inner;
    }
  }
  return count;
}

}  // namespace hawser
