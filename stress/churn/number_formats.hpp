#pragma once

#include <bit>
#include <cstdint>

namespace hawser::churn {

/// The 16-bit floats, written out a second time on purpose: what checks the library may not ask the library.
/// Rounded to nearest, ties to even. NaNs lose their payload. All pure.
constexpr std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

constexpr float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

constexpr float from_float16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1f;
  const std::uint32_t fraction = bits & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float small = static_cast<float>(fraction) / 16777216.0f;  // in steps of 2^-24
  return sign != 0 ? -small : small;
}

constexpr std::uint16_t to_float16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return sign | 0x7e00;
  if (size >= 0x477ff000u) return sign | 0x7c00;  // 65520 and more
  if (size < 0x33000001u) return sign;            // half of the smallest step and less
  const std::uint32_t exponent = size >> 23;
  std::uint32_t fraction = (size & 0x7fffffu) | 0x800000u;
  const std::uint32_t cut = exponent < 113 ? 126 - exponent : 13;
  const std::uint32_t base = exponent < 113 ? 0 : (exponent - 113) << 10;
  const std::uint32_t half = 1u << (cut - 1);
  fraction += half - 1 + ((fraction >> cut) & 1);
  return static_cast<std::uint16_t>(sign | (base + (fraction >> cut)));
}

}  // namespace hawser::churn
