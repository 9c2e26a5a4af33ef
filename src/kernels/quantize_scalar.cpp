#include "kernels/quantize_scalar.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

// Written for reading: one value after another, with the roundings of <cmath>.

namespace hawser {
namespace {

template <class T>
T load(const std::byte* from, std::uint64_t index) {
  T value;
  std::memcpy(&value, from + index * sizeof value, sizeof value);
  return value;
}

template <class T>
void store(std::byte* to, std::uint64_t index, T value) {
  std::memcpy(to + index * sizeof value, &value, sizeof value);
}

template <class T>
Extremes<T> extremes(const std::byte* values, std::uint64_t count) {
  Extremes<T> found{load<T>(values, 0), load<T>(values, 0)};
  for (std::uint64_t i = 0; i < count; ++i) {
    const T value = load<T>(values, i);
    if (!std::isfinite(value))
      return {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::quiet_NaN()};
    // A zero's sign counts: -0 is the smaller one.
    if (value < found.smallest || (value == found.smallest && std::signbit(value))) found.smallest = value;
    if (value > found.largest || (value == found.largest && !std::signbit(value))) found.largest = value;
  }
  return found;
}

template <bool kStochastic, class T>
std::int32_t code_at(const Encoding<T>& encoding, T value, const Dither& dither, std::uint64_t index) {
  if constexpr (kStochastic) return code_of(encoding, value, dither.unit<T>(static_cast<std::uint32_t>(index)));
  return code_of(encoding, value);
}

template <class T, class Code, bool kStochastic>
void encode(const Encoding<T>& encoding, const std::byte* values, std::uint64_t count, const Dither& dither,
            std::byte* codes) {
  for (std::uint64_t i = 0; i < count; ++i)
    store(codes, i, static_cast<Code>(code_at<kStochastic>(encoding, load<T>(values, i), dither, i)));
}

template <class T, class Code>
void decode(const Decoding<T>& decoding, std::uint8_t flipped, const std::byte* codes, std::uint64_t count,
            std::byte* out) {
  for (std::uint64_t i = 0; i < count; ++i) store(out, i, value_of(decoding, load<Code>(codes, i) ^ flipped));
}

template <class T, int kBits, bool kStochastic>
void encode_blocks(const std::byte* values, std::uint64_t count, std::uint32_t block, const Dither& dither,
                   std::byte* steps, std::byte* codes) {
  std::memset(codes, 0, (count * kBits + 7) / 8);
  for (std::uint64_t first = 0; first < count; first += block) {
    const std::uint64_t end = std::min(first + block, count);
    const Extremes<T> found = extremes<T>(values + first * sizeof(T), end - first);
    const T largest = std::isnan(found.largest)
                          ? found.largest
                          : std::max(std::fabs(found.smallest), std::fabs(found.largest));
    const Scale<T> scale = symmetric_scale(largest, kBits == 4 ? 7 : 127);
    store(steps, first / block, scale.first);
    for (std::uint64_t i = first; i < end && scale.representable; ++i) {
      const std::int32_t code = code_at<kStochastic>(scale.encoding, load<T>(values, i), dither, i);
      if (kBits == 8)
        codes[i] = static_cast<std::byte>(code);
      else
        codes[i / 2] |= static_cast<std::byte>(code & 0xf) << (i % 2 == 0 ? 0 : 4);
    }
  }
}

template <class T, int kBits>
void decode_blocks(const std::byte* steps, const std::byte* codes, std::uint64_t count, std::uint32_t block,
                   std::byte* out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::int32_t code = 0;
    if (kBits == 8) {
      code = (static_cast<std::int32_t>(codes[i]) ^ 0x80) - 0x80;
    } else {
      code = static_cast<std::int32_t>(codes[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 0xf;
      if (code >= 8) code -= 16;
    }
    store(out, i, value_of(Decoding<T>{.step = load<T>(steps, i / block)}, code));
  }
}

void round_to_odd(std::byte* out, const std::byte* values, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto value = load<double>(values, i);
    auto cut = static_cast<float>(value);
    if (std::fabs(static_cast<double>(cut)) > std::fabs(value)) cut = std::nextafter(cut, 0.0F);
    auto bits = std::bit_cast<std::uint32_t>(cut);
    if (static_cast<double>(cut) != value) bits |= 1;
    store(out, i, bits);
  }
}

void to_float64(std::byte* out, const std::byte* values, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) store(out, i, static_cast<double>(load<float>(values, i)));
}

/// What a 16-bit float keeps of a float.
struct HalfFormat {
  int mantissa_bits;
  int exponent_min;
  /// Below it, where halves are denormal and floats are not, random numbers are compared with the fraction;
  /// above, as many random bits as are cut off are added to these.
  int exponent_min_added;
};
constexpr HalfFormat kBfloat16Format{.mantissa_bits = 7, .exponent_min = -126, .exponent_min_added = -149};
constexpr HalfFormat kFloat16Format{.mantissa_bits = 10, .exponent_min = -14, .exponent_min_added = -14};

/// Away from 0 with the probability of what is cut off. `value` is finite, `random` has 24 bits.
float rounded_at_random(float value, const HalfFormat& format, std::uint32_t random) {
  if (value == 0) return value;
  const int exponent = std::ilogb(value);
  const int last_place = std::max(exponent, format.exponent_min) - format.mantissa_bits;
  const double units = std::ldexp(std::fabs(static_cast<double>(value)), -last_place);
  const double whole = std::trunc(units);
  const int cut_bits = 23 - format.mantissa_bits;
  const std::uint32_t added = random & ((1U << cut_bits) - 1);
  const bool up = exponent < format.exponent_min_added ? std::ldexp(random, -24) < units - whole
                                                       : units - whole + std::ldexp(added, -cut_bits) >= 1;
  const double magnitude = std::ldexp(whole + (up ? 1 : 0), last_place);
  return static_cast<float>(std::copysign(magnitude, value));
}

template <const HalfFormat& kFormat>
void round_halves(std::byte* out, const std::byte* values, std::uint64_t count, const Dither& dither) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto value = load<float>(values, i);
    const std::uint32_t random = dither.bits(static_cast<std::uint32_t>(i));
    store(out, i, std::isfinite(value) ? rounded_at_random(value, kFormat, random) : value);
  }
}

template <class T>
constexpr CodecKernels<T> codecs() {
  return {
      .extremes = extremes<T>,
      .encode_8 = {encode<T, std::uint8_t, false>, encode<T, std::uint8_t, true>},
      .encode_16 = {encode<T, std::uint16_t, false>, encode<T, std::uint16_t, true>},
      .decode_8 = decode<T, std::uint8_t>,
      .decode_16 = decode<T, std::uint16_t>,
      .encode_blocks_8 = {encode_blocks<T, 8, false>, encode_blocks<T, 8, true>},
      .encode_blocks_4 = {encode_blocks<T, 4, false>, encode_blocks<T, 4, true>},
      .decode_blocks_8 = decode_blocks<T, 8>,
      .decode_blocks_4 = decode_blocks<T, 4>,
  };
}

}  // namespace

const QuantizeTable& quantize_scalar() {
  static constexpr QuantizeTable table{.name = "scalar",
                                       .float32 = codecs<float>(),
                                       .float64 = codecs<double>(),
                                       .cast = {.round_to_odd = round_to_odd,
                                                .to_float64 = to_float64,
                                                .round_to_bfloat16 = round_halves<kBfloat16Format>,
                                                .round_to_float16 = round_halves<kFloat16Format>}};
  return table;
}

}  // namespace hawser
