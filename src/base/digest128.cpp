#include "base/digest128.hpp"

namespace hawser {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kDigitsOfHalf = 16;

std::string hex(std::uint64_t half) {
  std::string text(kDigitsOfHalf, '0');
  for (std::size_t i = kDigitsOfHalf; i-- > 0; half >>= 4) text[i] = kDigits[half & 15];
  return text;
}

std::optional<std::uint64_t> parse_half(std::string_view text) {
  std::uint64_t half = 0;
  for (const char character : text) {
    const std::size_t digit = kDigits.find(character);
    if (digit == std::string_view::npos) return std::nullopt;
    half = half << 4 | digit;
  }
  return half;
}

}  // namespace

void append_digest(const Digest128& digest, std::vector<std::byte>& to) {
  for (const std::uint64_t half : {digest.low, digest.high})
    for (unsigned shift = 0; shift < 64; shift += 8) to.push_back(static_cast<std::byte>(half >> shift));
}

Digest128 read_digest(std::span<const std::byte, kDigestBytes> from) {
  Digest128 digest;
  for (unsigned i = 0; i < 8; ++i) {
    digest.low |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
    digest.high |= std::to_integer<std::uint64_t>(from[8 + i]) << (8 * i);
  }
  return digest;
}

std::string to_string(const Digest128& digest) { return hex(digest.high) + hex(digest.low); }

std::optional<Digest128> parse_digest128(std::string_view text) {
  if (text.size() != 2 * kDigitsOfHalf) return std::nullopt;
  const auto high = parse_half(text.substr(0, kDigitsOfHalf));
  const auto low = parse_half(text.substr(kDigitsOfHalf));
  if (!high || !low) return std::nullopt;
  return Digest128{.low = *low, .high = *high};
}

}  // namespace hawser
