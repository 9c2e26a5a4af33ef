#include "base/key_id.hpp"

namespace hawser {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

std::string to_string(const KeyId& key) {
  std::string text;
  text.reserve(2 * key.bytes.size());
  for (const std::uint8_t byte : key.bytes) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

std::optional<KeyId> parse_key_id(std::string_view text) {
  KeyId key;
  if (text.size() != 2 * key.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = kHexDigits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    key.bytes[i / 2] = static_cast<std::uint8_t>(key.bytes[i / 2] << 4 | digit);
  }
  return key;
}

}  // namespace hawser
