#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/data_type.hpp"
#include "base/random.hpp"

/// Elements of all types for tests, with the special ones among them, and 16-bit floats as types of their
/// own.
namespace hawser {

template <int kExponentBits, int kMantissaBits>
struct HalfFloat {
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr std::uint16_t kInfinity = ((1 << kExponentBits) - 1) << kMantissaBits;
  static constexpr std::uint16_t kQuietNan = kInfinity | 1 << (kMantissaBits - 1);
  std::uint16_t bits;

  bool is_nan() const { return (bits & 0x7fff) > kInfinity; }
  /// By the definition of the format.
  double value() const {
    const int exponent = (bits & 0x7fff) >> kMantissaBits;
    const int mantissa = bits & ((1 << kMantissaBits) - 1);
    double magnitude = 0;
    if (is_nan())
      magnitude = std::numeric_limits<double>::quiet_NaN();
    else if ((bits & 0x7fff) == kInfinity)
      magnitude = std::numeric_limits<double>::infinity();
    else if (exponent == 0)
      magnitude = std::ldexp(mantissa, 1 - kBias - kMantissaBits);
    else
      magnitude = std::ldexp(mantissa + (1 << kMantissaBits), exponent - kBias - kMantissaBits);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  }
  /// The nearest of all halves, found by trying them.
  static HalfFloat nearest(double value) {
    if (std::isnan(value)) return {kQuietNan};
    std::uint16_t low = 0;  // The largest half that is not larger than the magnitude.
    std::uint16_t high = kInfinity;
    while (high - low > 1) {
      const auto middle = static_cast<std::uint16_t>((low + high) / 2);
      (HalfFloat{middle}.value() <= std::fabs(value) ? low : high) = middle;
    }
    // Infinity counts as the power of two that would follow.
    const double above = high == kInfinity ? std::ldexp(1.0, kBias + 1) : HalfFloat{high}.value();
    const double to_low = std::fabs(value) - HalfFloat{low}.value();
    const double to_high = above - std::fabs(value);
    const bool up = to_high < to_low || (to_high == to_low && low % 2 != 0);
    return {static_cast<std::uint16_t>((up ? high : low) | (std::signbit(value) ? 0x8000 : 0))};
  }
};
using Float16 = HalfFloat<5, 10>;
using Bfloat16 = HalfFloat<8, 7>;

template <class T>
constexpr bool kIsHalf = std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>;

/// Calls visit(T{}) with the C++ type of the elements.
template <class Visit>
void with_element_type(DataType type, Visit visit) {
  switch (type) {
    case DataType::float32: return visit(float{});
    case DataType::float64: return visit(double{});
    case DataType::float16: return visit(Float16{});
    case DataType::bfloat16: return visit(Bfloat16{});
    case DataType::int8: return visit(std::int8_t{});
    case DataType::uint8: return visit(std::uint8_t{});
    case DataType::int16: return visit(std::int16_t{});
    case DataType::uint16: return visit(std::uint16_t{});
    case DataType::int32: return visit(std::int32_t{});
    case DataType::uint32: return visit(std::uint32_t{});
    case DataType::int64: return visit(std::int64_t{});
    case DataType::uint64: return visit(std::uint64_t{});
  }
}

template <class T>
bool is_nan(T value) {
  if constexpr (kIsHalf<T>)
    return value.is_nan();
  else if constexpr (std::is_floating_point_v<T>)
    return std::isnan(value);
  else
    return false;
}

template <class T>
bool same_bits(T a, T b) {
  using Bytes = std::array<std::byte, sizeof(T)>;
  return std::bit_cast<Bytes>(a) == std::bit_cast<Bytes>(b);
}

/// Any bits; ordinary numbers; special ones.
template <class T>
T any_value(Random& random) {
  using Bits =
      std::conditional_t<sizeof(T) == 8, std::uint64_t,
                         std::conditional_t<sizeof(T) == 4, std::uint32_t,
                                            std::conditional_t<sizeof(T) == 2, std::uint16_t, std::uint8_t>>>;
  const auto any_bits = std::bit_cast<T>(static_cast<Bits>(random.next()));
  const double ordinary = static_cast<double>(random.between(-4000, 4000)) / 64;
  if (random.chance(1, 4)) return any_bits;
  if constexpr (kIsHalf<T>) {
    const std::uint16_t special[] = {0,
                                     0x8000,
                                     1,
                                     0x8001,
                                     T::kInfinity,
                                     T::kInfinity | 0x8000,
                                     T::kQuietNan,
                                     T::kInfinity + 1,
                                     T::kInfinity - 1};
    if (random.chance(1, 8)) return {special[random.below(std::size(special))]};
    return T::nearest(ordinary);
  } else if constexpr (std::is_floating_point_v<T>) {
    using Limits = std::numeric_limits<T>;
    const T special[] = {0,
                         -T{0},
                         Limits::infinity(),
                         -Limits::infinity(),
                         Limits::quiet_NaN(),
                         Limits::max(),
                         Limits::lowest(),
                         Limits::min(),
                         Limits::denorm_min(),
                         -Limits::denorm_min(),
                         static_cast<T>(65520),
                         static_cast<T>(0x1p-14)};
    if (random.chance(1, 8)) return special[random.below(std::size(special))];
    return static_cast<T>(ordinary);
  } else {
    using Limits = std::numeric_limits<T>;
    const T special[] = {0, 1, static_cast<T>(-1), Limits::max(), Limits::min()};
    if (random.chance(1, 4)) return special[random.below(std::size(special))];
    return static_cast<T>(static_cast<std::int64_t>(ordinary));
  }
}

template <class T>
std::vector<T> any_values(std::size_t count, Random& random) {
  std::vector<T> values(count);
  for (T& value : values) value = any_value<T>(random);
  return values;
}

}  // namespace hawser
