#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
#include "kernels/half_float.hpp"

/// What a cast to 16-bit floats does before the conversion itself, by the bits of a float32 and without a branch.
/// `random` has 24 bits.
namespace hawser {

/// The bits that are cut off carry into those that stay when the random ones added to them do.
[[gnu::always_inline]] constexpr std::uint32_t carried_at_random(std::uint32_t bits, std::uint32_t random,
                                                                 std::uint32_t cut) {
  const std::uint32_t kept = (bits + (random & cut)) & ~cut;
  return select((bits & 0x7fffffffU) > 0x7f800000U, bits, kept);
}

[[gnu::always_inline]] constexpr std::uint32_t bfloat16_at_random(std::uint32_t bits, std::uint32_t random) {
  return carried_at_random(bits, random, 0xffff);
}

[[gnu::always_inline]] constexpr std::uint32_t float16_at_random(std::uint32_t bits, std::uint32_t random) {
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  // Denormal halves are all as far apart as the smallest normal ones.
  const bool is_denormal = magnitude < 0x38800000U;  // 2^-14
  const float units = std::bit_cast<float>(select(is_denormal, magnitude, 0)) * 0x1p24F;
  const auto whole = static_cast<std::int32_t>(units);
  const float unit = static_cast<float>(static_cast<std::int32_t>(random)) * 0x1p-24F;
  const std::int32_t up = unit < units - static_cast<float>(whole) ? 1 : 0;
  const auto denormal = std::bit_cast<std::uint32_t>(static_cast<float>(whole + up) * 0x1p-24F);
  return select(is_denormal, denormal | (bits & 0x80000000U), carried_at_random(bits, random, 0x1fff));
}

/// The bits of a float32: what is not exact gets an odd last bit (quantize_table.hpp).
[[gnu::always_inline]] HAWSER_HOST_DEVICE inline std::uint32_t rounded_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  const double back = nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::fabs(back) > std::fabs(value)) --bits;  // Cut off rather than rounded up.
  if (back != value) bits |= 1;
  return bits;
}

}  // namespace hawser
