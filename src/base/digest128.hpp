#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hawser {

/// A 128-bit digest of some content. Finds damage and divergence, not attackers.
struct Digest128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const Digest128&, const Digest128&) = default;
};

/// 32 lower-case hexadecimal digits, `high` first.
std::string to_string(const Digest128& digest);

/// Reads exactly what to_string writes; none for anything else.
std::optional<Digest128> parse_digest128(std::string_view text);

}  // namespace hawser
