#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hawser {

/// A 128-bit digest of some content. Finds damage and divergence, not attackers.
struct Digest128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const Digest128&, const Digest128&) = default;
};

/// A digest as it travels: low half first, both little-endian.
inline constexpr std::size_t kDigestBytes = 16;
void append_digest(const Digest128& digest, std::vector<std::byte>& to);
Digest128 read_digest(std::span<const std::byte, kDigestBytes> from);

/// 32 lower-case hexadecimal digits, `high` first.
std::string to_string(const Digest128& digest);

/// Reads exactly what to_string writes; none for anything else.
std::optional<Digest128> parse_digest128(std::string_view text);

}  // namespace hawser
