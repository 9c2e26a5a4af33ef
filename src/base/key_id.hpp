#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hawser {

/// Names a public key: SHA-256 of its SubjectPublicKeyInfo. Two keys never share one.
struct KeyId {
  std::array<std::uint8_t, 32> bytes{};
  friend auto operator<=>(const KeyId&, const KeyId&) = default;
};

/// 64 lower-case hexadecimal digits.
std::string to_string(const KeyId& key);

/// Reads exactly what to_string writes; none for anything else.
std::optional<KeyId> parse_key_id(std::string_view text);

}  // namespace hawser

template <>
struct std::hash<hawser::KeyId> {
  /// The bytes are a digest: any of them do.
  std::size_t operator()(const hawser::KeyId& key) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, key.bytes.data(), sizeof value);
    return value;
  }
};
