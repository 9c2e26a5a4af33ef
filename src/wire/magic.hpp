#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/result.hpp"

/// The first four bytes of everything that Hawser sends say what it is. The first one is in no text and in no
/// TLS record, so that a stray client is known by its first byte.
namespace hawser {

using Magic = std::array<std::byte, 4>;

inline constexpr Magic kControlMagic{std::byte{0xf5}, std::byte{'H'}, std::byte{'W'}, std::byte{'C'}};
inline constexpr Magic kGreetingMagic{std::byte{0xf5}, std::byte{'H'}, std::byte{'W'}, std::byte{'G'}};
inline constexpr Magic kAnswerMagic{std::byte{0xf5}, std::byte{'H'}, std::byte{'W'}, std::byte{'A'}};
inline constexpr Magic kFrameMagic{std::byte{0xf5}, std::byte{'H'}, std::byte{'W'}, std::byte{'F'}};

/// Of a dial that the other side may answer by one of its own. It differs in its first byte: whoever accepts it knows
/// by that byte that something precedes a greeting, or TLS.
inline constexpr Magic kPunchMagic{std::byte{0xf6}, std::byte{'H'}, std::byte{'W'}, std::byte{'P'}};

/// Compares the first bytes of `received` (as many as there are, four at most) with `expected`. Errors:
/// refused, with a sentence that says what was expected and what seems to have come.
Result<void> check_magic(std::span<const std::byte> received, const Magic& expected);

}  // namespace hawser
