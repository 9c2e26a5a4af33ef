#pragma once

#include <bit>
#include <cstdint>

/// 16-bit floats by their bits, without a branch so that loops over them become vector code. They don't rest
/// on denormal floats, which a process may have had its processor flush to zero.
namespace hawser {

inline constexpr std::uint16_t kFloat16Infinity = 0x7c00;
inline constexpr std::uint16_t kFloat16Nan = 0x7e00;
inline constexpr std::uint16_t kBfloat16Infinity = 0x7f80;
inline constexpr std::uint16_t kBfloat16Nan = 0x7fc0;

/// condition ? yes : no, of which the compiler makes no branch.
[[gnu::always_inline]] constexpr std::uint32_t select(bool condition, std::uint32_t yes, std::uint32_t no) {
  const std::uint32_t mask = 0 - std::uint32_t{condition};
  return (yes & mask) | (no & ~mask);
}

/// Exact; a NaN keeps its payload and becomes quiet, as F16C does it.
[[gnu::always_inline]] constexpr std::uint32_t float16_to_float32(std::uint16_t half) {
  constexpr std::uint32_t kExponentBias = std::uint32_t{127 - 15} << 23;
  const std::uint32_t magnitude = half & 0x7fffU;
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t shifted = magnitude << 13;
  const auto denormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<int>(magnitude)) * 0x1p-24F);
  const std::uint32_t quiet = select(magnitude > kFloat16Infinity, 0x400000U, 0);
  const std::uint32_t finite = select(magnitude < 0x400, denormal, shifted + kExponentBias);
  return sign | select(magnitude >= kFloat16Infinity, shifted | 0x7f800000U | quiet, finite);
}

/// Rounds to nearest even; NaNs become the canonical one.
[[gnu::always_inline]] constexpr std::uint16_t float32_to_float16(std::uint32_t bits) {
  constexpr std::uint32_t kExponentBias = std::uint32_t{127 - 15} << 23;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  const std::uint32_t normal = (magnitude - kExponentBias + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  // 0.5 has denormal halves for its last bits: adding it rounds to them.
  const std::uint32_t denormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) -
                                 std::bit_cast<std::uint32_t>(0.5F);
  const std::uint32_t finite = select(magnitude < 0x38800000U, denormal, normal);            // 2^-14
  const std::uint32_t ordered = select(magnitude >= 0x477ff000U, kFloat16Infinity, finite);  // 65520
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  return static_cast<std::uint16_t>(select(magnitude > 0x7f800000U, kFloat16Nan, ordered | sign));
}

/// Rounds to nearest even; NaNs become the canonical one.
[[gnu::always_inline]] constexpr std::uint16_t float32_to_bfloat16(std::uint32_t bits) {
  const std::uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? kBfloat16Nan : rounded);
}

}  // namespace hawser
