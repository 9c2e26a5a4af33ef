#include "kernels/reduce_scalar.hpp"

#include <bit>
#include <cmath>
#include <concepts>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/half_float.hpp"
#include "kernels/mean.hpp"
#include "kernels/reduce_element.hpp"

// Written for reading: one element after another, and halves through <cmath> rather than by their bits.

namespace hawser {
namespace {

struct Float16 {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};

float to_float(Bfloat16 half) { return std::bit_cast<float>(std::uint32_t{half.bits} << 16); }

float to_float(Float16 half) {
  const int exponent = (half.bits >> 10) & 0x1f;
  const int mantissa = half.bits & 0x3ff;
  const std::uint32_t sign = std::uint32_t{half.bits & 0x8000U} << 16;
  if (exponent == 0x1f && mantissa != 0)  // Quiet, the payload kept.
    return std::bit_cast<float>(sign | 0x7fc00000U | static_cast<std::uint32_t>(mantissa) << 13);
  float magnitude = std::numeric_limits<float>::infinity();
  if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  else if (exponent != 0x1f)
    magnitude = std::ldexp(static_cast<float>(mantissa + 0x400), exponent - 25);
  return sign != 0 ? -magnitude : magnitude;
}

template <class T>
T from_float(float value);

template <>
Bfloat16 from_float<Bfloat16>(float value) {
  if (std::isnan(value)) return {kBfloat16Nan};
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t cut = bits & 0xffff;
  const auto kept = static_cast<std::uint16_t>(bits >> 16);
  const bool up = cut > 0x8000 || (cut == 0x8000 && kept % 2 != 0);
  return {static_cast<std::uint16_t>(kept + (up ? 1 : 0))};  // A carry goes into the exponent, as it should.
}

template <>
Float16 from_float<Float16>(float value) {
  if (std::isnan(value)) return {kFloat16Nan};
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0F) return {static_cast<std::uint16_t>(sign | kFloat16Infinity)};
  // In units of the last place, which all denormals share with the smallest normal ones.
  const int exponent = magnitude < 0x1p-14F ? -14 : std::ilogb(magnitude);
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  // 2^10 units are the hidden bit, which raises the exponent field by one.
  return {static_cast<std::uint16_t>(sign | (((exponent + 14) << 10) + units))};
}

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T, T (*kOp)(T, T)>
void each(std::byte* out, const std::byte* a, const std::byte* b, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(out + i * sizeof(T), kOp(load<T>(a + i * sizeof(T)), load<T>(b + i * sizeof(T))));
}

using element::larger;
using element::prod;
using element::smaller;
using element::sum;

template <class T>
T larger_half(T a, T b) {
  return from_float<T>(larger(to_float(a), to_float(b)));
}

template <class T>
T smaller_half(T a, T b) {
  return from_float<T>(smaller(to_float(a), to_float(b)));
}

template <class T>
void divide(std::byte* values, std::uint64_t count, std::uint32_t divisor) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(values + i * sizeof(T), load<T>(values + i * sizeof(T)) / static_cast<T>(divisor));
}

template <class T>
void difference(std::byte* out, const std::byte* a, const std::byte* b, double scale, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(out + i * sizeof(T), element::scaled_difference(load<T>(a + i * sizeof(T)), load<T>(b + i * sizeof(T)),
                                                             static_cast<T>(scale)));
}

template <class To, class From>
void convert(std::byte* out, const std::byte* from, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<To>(out + i * sizeof(To), static_cast<To>(load<From>(from + i * sizeof(From))));
}

template <class T>
void widen_half(std::byte* out, const std::byte* from, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<float>(out + i * sizeof(float), to_float(load<T>(from + i * sizeof(T))));
}

template <class T>
void narrow_half(std::byte* out, const std::byte* from, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(out + i * sizeof(T), from_float<T>(load<float>(from + i * sizeof(float))));
}

template <class T>
constexpr AccumulatorKernels numbers() {
  AccumulatorKernels kernels{.sum = each<T, sum<T>>,
                             .prod = each<T, prod<T>>,
                             .max = each<T, larger<T>>,
                             .min = each<T, smaller<T>>};
  if constexpr (std::floating_point<T>) {
    kernels.divide = divide<T>;
    kernels.difference = difference<T>;
  }
  return kernels;
}

template <class T>
constexpr AccumulatorKernels halves() {
  return {.max = each<T, larger_half<T>>, .min = each<T, smaller_half<T>>};
}

template <class Wide, class Narrow>
constexpr ConvertKernels integers() {
  return {.widen = convert<Wide, Narrow>, .narrow = convert<Narrow, Wide>};
}

template <class T>
constexpr ConvertKernels half_conversions() {
  return {.widen = widen_half<T>, .narrow = narrow_half<T>};
}

constexpr ReduceTable make_table() {
  using enum AccumulatorType;
  ReduceTable table{.name = "scalar"};
  table.of(float32) = numbers<float>();
  table.of(float64) = numbers<double>();
  table.of(float16) = halves<Float16>();
  table.of(bfloat16) = halves<Bfloat16>();
  table.of(int8) = numbers<std::int8_t>();
  table.of(uint8) = numbers<std::uint8_t>();
  table.of(int16) = numbers<std::int16_t>();
  table.of(uint16) = numbers<std::uint16_t>();
  table.of(int32) = numbers<std::int32_t>();
  table.of(uint32) = numbers<std::uint32_t>();
  table.of(int64) = numbers<std::int64_t>();
  table.of(uint64) = numbers<std::uint64_t>();
  table.of(int128).sum = table.of(uint128).sum = each<Uint128, sum<Uint128>>;
  table.of(int64).divide = divide_integers<std::uint64_t, true>;
  table.of(uint64).divide = divide_integers<std::uint64_t, false>;
  table.of(int128).divide = divide_integers<Uint128, true>;
  table.of(uint128).divide = divide_integers<Uint128, false>;

  table.of(DataType::float16) = half_conversions<Float16>();
  table.of(DataType::bfloat16) = half_conversions<Bfloat16>();
  table.of(DataType::int8) = integers<std::int64_t, std::int8_t>();
  table.of(DataType::uint8) = integers<std::uint64_t, std::uint8_t>();
  table.of(DataType::int16) = integers<std::int64_t, std::int16_t>();
  table.of(DataType::uint16) = integers<std::uint64_t, std::uint16_t>();
  table.of(DataType::int32) = integers<std::int64_t, std::int32_t>();
  table.of(DataType::uint32) = integers<std::uint64_t, std::uint32_t>();
  table.of(DataType::int64) = integers<Uint128, std::int64_t>();
  table.of(DataType::uint64) = integers<Uint128, std::uint64_t>();
  return table;
}

}  // namespace

const ReduceTable& reduce_scalar() {
  static constexpr ReduceTable table = make_table();
  return table;
}

}  // namespace hawser
