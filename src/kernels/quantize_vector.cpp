#include "kernels/quantize_vector.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/cast_rounding.hpp"
#include "kernels/float_order.hpp"
#include "kernels/instruction_sets.hpp"

namespace hawser {

#if HAWSER_VECTORIZED

namespace {

template <class T>
struct FindExtremes {
  [[gnu::always_inline]] static Extremes<T> run(const std::byte* values, std::uint64_t count) {
    BitsOf<T> smallest = std::numeric_limits<BitsOf<T>>::max();
    BitsOf<T> largest = std::numeric_limits<BitsOf<T>>::min();
    for (std::uint64_t i = 0; i < count; ++i) {
      const BitsOf<T> place = ordered<T>(load<BitsOf<T>>(values, i));
      smallest = place < smallest ? place : smallest;
      largest = place > largest ? place : largest;
    }
    return extremes_of<T>(smallest, largest);
  }
};

template <class T>
[[gnu::always_inline]] inline T largest_magnitude(const std::byte* values, std::uint64_t count) {
  BitsOf<T> largest = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const BitsOf<T> magnitude = load<BitsOf<T>>(values, i) & kMagnitude<T>;
    largest = magnitude > largest ? magnitude : largest;
  }
  return finite_or_nan<T>(largest);
}

/// To nearest even, for less than 2^22: the sum has no place for a fraction, and its last bits are the
/// integer.
template <class T>
[[gnu::always_inline]] inline std::int32_t rounded(T value) {
  constexpr T kNoFraction = sizeof(T) == 8 ? T{0x1.8p52} : T{0x1.8p23F};
  constexpr auto kBits = static_cast<std::int32_t>(std::bit_cast<BitsOf<T>>(kNoFraction));
  return static_cast<std::int32_t>(std::bit_cast<BitsOf<T>>(value + kNoFraction)) - kBits;
}

/// Away from 0 with the probability of the fraction.
template <class T>
[[gnu::always_inline]] inline std::int32_t rounded(T value, T random) {
  const T magnitude = std::bit_cast<T>(std::bit_cast<BitsOf<T>>(value) & kMagnitude<T>);
  const auto whole = static_cast<std::int32_t>(magnitude);
  const std::int32_t up = random < magnitude - static_cast<T>(whole) ? 1 : 0;
  return value < 0 ? -(whole + up) : whole + up;
}

template <class T, class Code, bool kStochastic>
struct Encode {
  [[gnu::always_inline]] static void run(const Encoding<T>& encoding, const std::byte* values,
                                         std::uint64_t count, const Dither& dither, std::byte* codes) {
    const Encoding<T> e = encoding;
    const Dither randoms = dither;
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) {
      const T steps = (load<T>(values, i) * e.before - e.low) / e.divisor;
      std::int32_t code = 0;
      if constexpr (kStochastic)
        code = rounded<T>(steps, randoms.unit<T>(static_cast<std::uint32_t>(i)));
      else
        code = rounded<T>(steps);
      code += e.shift;
      code = code < e.lowest ? e.lowest : code;
      code = code > e.highest ? e.highest : code;
      store<Code>(codes, i, static_cast<Code>(code));
    }
  }
};

template <class T, class Code>
struct Decode {
  [[gnu::always_inline]] static void run(const Decoding<T>& decoding, std::uint8_t flipped,
                                         const std::byte* codes, std::uint64_t count, std::byte* out) {
    const Decoding<T> d = decoding;
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto code = static_cast<T>(static_cast<std::int32_t>(load<Code>(codes, i) ^ flipped));
      store<T>(out, i, (d.low + (code - d.zero) * d.step) * d.after);
    }
  }
};

using Codes = std::array<std::byte, kQuantizationBlockMax>;

/// Two codes to a byte, the earlier in the low bits. An odd last one has a zero beside it.
[[gnu::always_inline]] inline void pack(Codes& codes, std::uint64_t count, std::byte* packed) {
  if (count % 2 != 0) codes[count] = std::byte{0};
  HAWSER_INDEPENDENT_ITERATIONS
  for (std::uint64_t i = 0; i < (count + 1) / 2; ++i)
    packed[i] = (codes[2 * i] & std::byte{0xf}) | (codes[2 * i + 1] << 4);
}

/// 8 more than the code, so that there is no sign to extend. Writes an even number of them.
[[gnu::always_inline]] inline void unpack(const std::byte* packed, std::uint64_t count, Codes& codes) {
  HAWSER_INDEPENDENT_ITERATIONS
  for (std::uint64_t i = 0; i < (count + 1) / 2; ++i) {
    codes[2 * i] = (packed[i] & std::byte{0xf}) ^ std::byte{8};
    codes[2 * i + 1] = (packed[i] >> 4) ^ std::byte{8};
  }
}

template <class T, int kBits, bool kStochastic>
struct EncodeBlocks {
  [[gnu::always_inline]] static void run(const std::byte* values, std::uint64_t count, std::uint32_t block,
                                         const Dither& dither, std::byte* steps, std::byte* codes) {
    using Encode8 = Encode<T, std::uint8_t, kStochastic>;
    constexpr std::int32_t kLevels = kBits == 4 ? 7 : 127;
    alignas(64) Codes unpacked;
    for (std::uint64_t first = 0; first < count; first += block) {
      const std::uint64_t n = std::min<std::uint64_t>(block, count - first);
      const std::byte* const from = values + first * sizeof(T);
      std::byte* const to = codes + first * kBits / 8;
      const Scale<T> scale = symmetric_scale<T>(largest_magnitude<T>(from, n), kLevels);
      store<T>(steps, first / block, scale.first);
      if (!scale.representable) {
        std::memset(to, 0, (n * kBits + 7) / 8);
      } else if constexpr (kBits == 4) {
        Encode8::run(scale.encoding, from, n, dither.from(first), unpacked.data());
        pack(unpacked, n, to);
      } else {
        Encode8::run(scale.encoding, from, n, dither.from(first), to);
      }
    }
  }
};

template <class T, int kBits>
struct DecodeBlocks {
  [[gnu::always_inline]] static void run(const std::byte* steps, const std::byte* codes, std::uint64_t count,
                                         std::uint32_t block, std::byte* out) {
    alignas(64) Codes unpacked;
    for (std::uint64_t first = 0; first < count; first += block) {
      const std::uint64_t n = std::min<std::uint64_t>(block, count - first);
      const std::byte* from = codes + first * kBits / 8;
      if constexpr (kBits == 4) {
        unpack(from, n, unpacked);
        from = unpacked.data();
      }
      const Decoding<T> decoding{.zero = kBits == 4 ? 8 : 128, .step = load<T>(steps, first / block)};
      Decode<T, std::uint8_t>::run(decoding, kBits == 4 ? 0 : 0x80, from, n, out + first * sizeof(T));
    }
  }
};

struct RoundToOdd {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* values, std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i)
      store<std::uint32_t>(out, i, rounded_to_odd(load<double>(values, i)));
  }
};

struct ToFloat64 {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* values, std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) store<double>(out, i, load<float>(values, i));
  }
};

/// kRound(bits, random).
template <std::uint32_t (*kRound)(std::uint32_t, std::uint32_t)>
struct RoundAtRandom {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* values, std::uint64_t count,
                                         const Dither& dither) {
    const Dither randoms = dither;
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint32_t random = randoms.bits(static_cast<std::uint32_t>(i));
      store<std::uint32_t>(out, i, kRound(load<std::uint32_t>(values, i), random));
    }
  }
};

template <class Isa, class T>
constexpr CodecKernels<T> codecs() {
  return {
      .extremes = &Isa::template run<FindExtremes<T>>,
      .encode_8 = {&Isa::template run<Encode<T, std::uint8_t, false>>,
                   &Isa::template run<Encode<T, std::uint8_t, true>>},
      .encode_16 = {&Isa::template run<Encode<T, std::uint16_t, false>>,
                    &Isa::template run<Encode<T, std::uint16_t, true>>},
      .decode_8 = &Isa::template run<Decode<T, std::uint8_t>>,
      .decode_16 = &Isa::template run<Decode<T, std::uint16_t>>,
      .encode_blocks_8 = {&Isa::template run<EncodeBlocks<T, 8, false>>,
                          &Isa::template run<EncodeBlocks<T, 8, true>>},
      .encode_blocks_4 = {&Isa::template run<EncodeBlocks<T, 4, false>>,
                          &Isa::template run<EncodeBlocks<T, 4, true>>},
      .decode_blocks_8 = &Isa::template run<DecodeBlocks<T, 8>>,
      .decode_blocks_4 = &Isa::template run<DecodeBlocks<T, 4>>,
  };
}

template <class Isa>
constexpr QuantizeTable table_of() {
  return {.name = Isa::kName,
          .float32 = codecs<Isa, float>(),
          .float64 = codecs<Isa, double>(),
          .cast = {.round_to_odd = &Isa::template run<RoundToOdd>,
                   .to_float64 = &Isa::template run<ToFloat64>,
                   .round_to_bfloat16 = &Isa::template run<RoundAtRandom<bfloat16_at_random>>,
                   .round_to_float16 = &Isa::template run<RoundAtRandom<float16_at_random>>}};
}

constexpr QuantizeTable kVector16 = table_of<Vector16>();
#  if defined(__x86_64__)
constexpr QuantizeTable kAvx2 = table_of<Avx2>();
#  endif

}  // namespace

std::span<const QuantizeTable* const> quantize_vector() {
#  if defined(__x86_64__)
  static constexpr std::array<const QuantizeTable*, 2> tables{&kVector16, &kAvx2};
  static const std::size_t usable = Avx2::usable() ? 2 : 1;
  return std::span(tables).first(usable);
#  else
  static constexpr std::array<const QuantizeTable*, 1> tables{&kVector16};
  return tables;
#  endif
}

#else

std::span<const QuantizeTable* const> quantize_vector() { return {}; }

#endif

}  // namespace hawser
