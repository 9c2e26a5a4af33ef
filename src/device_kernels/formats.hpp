#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "device_kernels/elementwise.hpp"
#include "kernels/half_float.hpp"
#include "kernels/mean.hpp"
#include "kernels/reduce.hpp"

/// Arrays whose format in memory is chosen at run time: 16-bit floats are floats in registers, and narrow integers wide
/// ones. So no pass of its own widens them.
namespace hawser::device_kernels {

/// The element types have the same numbers.
using Format = AccumulatorType;
constexpr Format format_of(DataType type) { return static_cast<Format>(type); }
constexpr std::size_t format_bytes(Format format) {
  return format >= Format::int128 ? 16 : element_bytes(static_cast<DataType>(format));
}

struct Float16Bits {
  std::uint16_t bits;
};
struct Bfloat16Bits {
  std::uint16_t bits;
};

template <class T>
HAWSER_HOST_DEVICE inline float half_to_float(T half) {
  if constexpr (std::is_same_v<T, Float16Bits>)
    return std::bit_cast<float>(float16_to_float32(half.bits));
  else
    return std::bit_cast<float>(std::uint32_t{half.bits} << 16);
}

template <class T>
HAWSER_HOST_DEVICE inline T float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if constexpr (std::is_same_v<T, Float16Bits>)
    return {float32_to_float16(bits)};
  else
    return {float32_to_bfloat16(bits)};
}

template <class T>
constexpr bool kIsHalfBits = std::is_same_v<T, Float16Bits> || std::is_same_v<T, Bfloat16Bits>;

template <class T>
constexpr bool kIsDouble = std::is_same_v<T, double>;

template <class To, class From>
HAWSER_HOST_DEVICE inline To converted(From value) {
  if constexpr (std::is_same_v<To, From>)
    return value;
  else if constexpr (kIsHalfBits<From>)
    return half_to_float(value);
  else if constexpr (kIsHalfBits<To>)
    return float_to_half<To>(value);
  else
    return static_cast<To>(value);
}

template <class T>
struct Tag {
  using Type = T;
};

/// Calls visit(Tag<Stored>()) with what lies in memory in that format, of the formats that become a T.
template <class T, class Visit>
HAWSER_HOST_DEVICE inline void with_stored([[maybe_unused]] Format format, const Visit& visit) {
  if constexpr (std::is_same_v<T, float>) {
    if (format == Format::float16) return visit(Tag<Float16Bits>());
    if (format == Format::bfloat16) return visit(Tag<Bfloat16Bits>());
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    if (format == Format::int8) return visit(Tag<std::int8_t>());
    if (format == Format::int16) return visit(Tag<std::int16_t>());
    if (format == Format::int32) return visit(Tag<std::int32_t>());
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (format == Format::uint8) return visit(Tag<std::uint8_t>());
    if (format == Format::uint16) return visit(Tag<std::uint16_t>());
    if (format == Format::uint32) return visit(Tag<std::uint32_t>());
  } else if constexpr (std::is_same_v<T, Uint128>) {
    if (format == Format::int64) return visit(Tag<std::int64_t>());
    if (format == Format::uint64) return visit(Tag<std::uint64_t>());
  }
  visit(Tag<T>());
}

/// Calls visit(Tag<T>()) with what an accumulator is in registers.
template <class Visit>
HAWSER_HOST_DEVICE inline void with_accumulator(Format format, const Visit& visit) {
  switch (format) {
    case Format::float32: return visit(Tag<float>());
    case Format::float64: return visit(Tag<double>());
    case Format::float16: return visit(Tag<Float16Bits>());
    case Format::bfloat16: return visit(Tag<Bfloat16Bits>());
    case Format::int8: return visit(Tag<std::int8_t>());
    case Format::uint8: return visit(Tag<std::uint8_t>());
    case Format::int16: return visit(Tag<std::int16_t>());
    case Format::uint16: return visit(Tag<std::uint16_t>());
    case Format::int32: return visit(Tag<std::int32_t>());
    case Format::uint32: return visit(Tag<std::uint32_t>());
    case Format::int64: return visit(Tag<std::int64_t>());
    case Format::uint64: return visit(Tag<std::uint64_t>());
    case Format::int128:
    case Format::uint128: return visit(Tag<Uint128>());
  }
}

/// An array in memory whose elements become a T.
template <class T>
struct InAs {
  using Value = T;
  static constexpr unsigned kBytes = sizeof(T);
  const std::byte* at;
  Format format;

  HAWSER_HOST_DEVICE bool fits(unsigned pack) const { return is_aligned(at, pack * format_bytes(format)); }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(T (&values)[kCount], std::uint64_t index, bool aligned) const {
    with_stored<T>(format, [&](auto tag) {
      using Stored = typename decltype(tag)::Type;
      Stored stored[kCount];
      load_pack(stored, at + index * sizeof(Stored), aligned);
      HAWSER_UNROLLED
      for (unsigned i = 0; i < kCount; ++i) values[i] = converted<T>(stored[i]);
    });
  }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void store(const T (&)[kCount], std::uint64_t, bool) const {}
};

/// An array in memory that a T is narrowed to.
template <class T>
struct OutAs {
  using Value = T;
  static constexpr unsigned kBytes = sizeof(T);
  std::byte* at;
  Format format;

  HAWSER_HOST_DEVICE bool fits(unsigned pack) const { return is_aligned(at, pack * format_bytes(format)); }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(T (&)[kCount], std::uint64_t, bool) const {}
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void store(const T (&values)[kCount], std::uint64_t index, bool aligned) const {
    with_stored<T>(format, [&](auto tag) {
      using Stored = typename decltype(tag)::Type;
      Stored stored[kCount];
      HAWSER_UNROLLED
      for (unsigned i = 0; i < kCount; ++i) stored[i] = converted<Stored>(values[i]);
      store_pack(at + index * sizeof(Stored), stored, aligned);
    });
  }
};

/// Values that are changed in place.
template <class T>
struct InOutAs : OutAs<T> {
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(T (&values)[kCount], std::uint64_t index, bool aligned) const {
    InAs<T>{this->at, this->format}.load(values, index, aligned);
  }
};

}  // namespace hawser::device_kernels
