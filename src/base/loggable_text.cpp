#include "base/loggable_text.hpp"

#include <cstdint>

namespace hawser {
namespace {

/// Length of the character that text starts with, 0 if there is none that is fit for a log line.
/// UTF-8 as in RFC 3629: shortest form, no surrogates, up to U+10FFFF.
std::size_t loggable_character(std::string_view text) {
  const auto byte = [&](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  std::uint32_t code = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  static constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool control = code < 0xa0;
  const bool line_break = code == 0x2028 || code == 0x2029;
  return code < kSmallest[length] || code > 0x10ffff || surrogate || control || line_break ? 0 : length;
}

}  // namespace

std::optional<std::size_t> first_unloggable(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = loggable_character(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

std::string make_loggable(std::string_view text, std::size_t bytes_max) {
  std::string fit;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = loggable_character(text.substr(at));
    const std::string_view character = length == 0 ? std::string_view("?") : text.substr(at, length);
    if (fit.size() + character.size() > bytes_max) break;
    fit += character;
    at += length == 0 ? 1 : length;
  }
  return fit;
}

}  // namespace hawser
