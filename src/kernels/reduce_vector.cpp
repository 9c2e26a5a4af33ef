#include "kernels/reduce_vector.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <limits>
#include <type_traits>

#include "kernels/half_f16c.hpp"
#include "kernels/half_float.hpp"
#include "kernels/instruction_sets.hpp"
#include "kernels/mean.hpp"

namespace hawser {

#if HAWSER_VECTORIZED

namespace {

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

/// What a sum in integers wraps in. Not less than 32 bits, or a product would be one of int, which overflows.
template <class T>
using Wrapping = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

struct Sum {
  template <std::floating_point T>
  [[gnu::always_inline]] static T of(T a, T b) {
    return a + b;
  }
  template <std::unsigned_integral T>
  [[gnu::always_inline]] static T of(T a, T b) {
    return static_cast<T>(Wrapping<T>{a} + Wrapping<T>{b});
  }
  [[gnu::always_inline]] static Uint128 of(Uint128 a, Uint128 b) { return a + b; }
};

struct Prod {
  template <std::floating_point T>
  [[gnu::always_inline]] static T of(T a, T b) {
    return a * b;
  }
  template <std::unsigned_integral T>
  [[gnu::always_inline]] static T of(T a, T b) {
    return static_cast<T>(Wrapping<T>{a} * Wrapping<T>{b});
  }
};

template <bool kLargest>
struct Extreme {
  template <std::integral T>
  [[gnu::always_inline]] static T of(T a, T b) {
    return (a > b) == kLargest ? a : b;
  }
  template <std::floating_point T>
  [[gnu::always_inline]] static T of(T a, T b) {
    using Bits = BitsOf<T>;
    const Bits a_bits = std::bit_cast<Bits>(a);
    const Bits b_bits = std::bit_cast<Bits>(b);
    // Equal floats have equal bits, or are zeros of two signs.
    const Bits of_equals = kLargest ? (a_bits & b_bits) : (a_bits | b_bits);
    const bool picks_a = kLargest ? a > b : a < b;
    const Bits picked = picks_a ? a_bits : b_bits;
    const Bits ordered = a == b ? of_equals : picked;
    const Bits a_checked = std::isnan(a) ? kNan<T> : ordered;
    return std::bit_cast<T>(std::isnan(b) ? kNan<T> : a_checked);
  }

 private:
  template <class T>
  static constexpr auto kNan = std::bit_cast<BitsOf<T>>(std::numeric_limits<T>::quiet_NaN());
};

/// Of 16-bit floats, by their bits: as signed integers they are in order once the magnitudes of negative ones
/// are inverted.
template <bool kLargest, std::uint16_t kInfinity, std::uint16_t kNan>
struct HalfExtreme {
  [[gnu::always_inline]] static std::uint16_t of(std::uint16_t a, std::uint16_t b) {
    const std::int16_t picked = Extreme<kLargest>::of(ordered(a), ordered(b));
    const std::uint16_t a_checked = (a & 0x7fff) > kInfinity ? kNan : ordered_back(picked);
    return (b & 0x7fff) > kInfinity ? kNan : a_checked;
  }

 private:
  [[gnu::always_inline]] static std::int16_t ordered(std::uint16_t bits) {
    const auto value = static_cast<std::int16_t>(bits);
    return static_cast<std::int16_t>(value ^ ((value >> 15) & 0x7fff));
  }
  [[gnu::always_inline]] static std::uint16_t ordered_back(std::int16_t value) {
    return static_cast<std::uint16_t>(value ^ ((value >> 15) & 0x7fff));
  }
};

template <class T, class Op>
struct Combine {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* a, const std::byte* b,
                                         std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) store<T>(out, i, Op::of(load<T>(a, i), load<T>(b, i)));
  }
};

template <std::floating_point T>
struct DivideFloats {
  [[gnu::always_inline]] static void run(std::byte* values, std::uint64_t count, std::uint32_t divisor) {
    const auto by = static_cast<T>(divisor);
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) store<T>(values, i, load<T>(values, i) / by);
  }
};

template <std::floating_point T>
struct Difference {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* a, const std::byte* b, double scale,
                                         std::uint64_t count) {
    const auto by = static_cast<T>(scale);
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) store<T>(out, i, (load<T>(a, i) - load<T>(b, i)) * by);
  }
};

/// From one integer to a wider one, or back modulo 2^bits.
template <class To, class From>
struct ConvertIntegers {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* from, std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) store<To>(out, i, static_cast<To>(load<From>(from, i)));
  }
};

struct WidenBfloat16 {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* from, std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i)
      store<std::uint32_t>(out, i, std::uint32_t{load<std::uint16_t>(from, i)} << 16);
  }
};

struct NarrowBfloat16 {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* from, std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i)
      store<std::uint16_t>(out, i, float32_to_bfloat16(load<std::uint32_t>(from, i)));
  }
};

struct WidenFloat16 {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* from, std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i)
      store<std::uint32_t>(out, i, float16_to_float32(load<std::uint16_t>(from, i)));
  }
};

struct NarrowFloat16 {
  [[gnu::always_inline]] static void run(std::byte* out, const std::byte* from, std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i)
      store<std::uint16_t>(out, i, float32_to_float16(load<std::uint32_t>(from, i)));
  }
};

// Sums and products have the same bits with a sign and without.
template <class Isa, std::unsigned_integral Unsigned>
constexpr void set_integers(AccumulatorKernels& with_sign, AccumulatorKernels& without) {
  using Signed = std::make_signed_t<Unsigned>;
  with_sign = without = {.sum = &Isa::template run<Combine<Unsigned, Sum>>,
                         .prod = &Isa::template run<Combine<Unsigned, Prod>>};
  with_sign.max = &Isa::template run<Combine<Signed, Extreme<true>>>;
  with_sign.min = &Isa::template run<Combine<Signed, Extreme<false>>>;
  without.max = &Isa::template run<Combine<Unsigned, Extreme<true>>>;
  without.min = &Isa::template run<Combine<Unsigned, Extreme<false>>>;
}

template <class Isa, std::floating_point T>
constexpr AccumulatorKernels floats() {
  return {.sum = &Isa::template run<Combine<T, Sum>>,
          .prod = &Isa::template run<Combine<T, Prod>>,
          .max = &Isa::template run<Combine<T, Extreme<true>>>,
          .min = &Isa::template run<Combine<T, Extreme<false>>>,
          .divide = &Isa::template run<DivideFloats<T>>,
          .difference = &Isa::template run<Difference<T>>};
}

template <class Isa, std::uint16_t kInfinity, std::uint16_t kNan>
constexpr AccumulatorKernels halves() {
  return {.max = &Isa::template run<Combine<std::uint16_t, HalfExtreme<true, kInfinity, kNan>>>,
          .min = &Isa::template run<Combine<std::uint16_t, HalfExtreme<false, kInfinity, kNan>>>};
}

template <class Isa, class Wide, class Narrow>
constexpr ConvertKernels integers() {
  return {.widen = &Isa::template run<ConvertIntegers<Wide, Narrow>>,
          .narrow = &Isa::template run<ConvertIntegers<Narrow, Wide>>};
}

template <class Isa>
constexpr ReduceTable table_of() {
  using enum AccumulatorType;
  ReduceTable table{.name = Isa::kName};
  table.of(float32) = floats<Isa, float>();
  table.of(float64) = floats<Isa, double>();
  table.of(float16) = halves<Isa, kFloat16Infinity, kFloat16Nan>();
  table.of(bfloat16) = halves<Isa, kBfloat16Infinity, kBfloat16Nan>();
  set_integers<Isa, std::uint8_t>(table.of(int8), table.of(uint8));
  set_integers<Isa, std::uint16_t>(table.of(int16), table.of(uint16));
  set_integers<Isa, std::uint32_t>(table.of(int32), table.of(uint32));
  set_integers<Isa, std::uint64_t>(table.of(int64), table.of(uint64));
  table.of(int128).sum = table.of(uint128).sum = &Isa::template run<Combine<Uint128, Sum>>;
  table.of(int64).divide = divide_integers<std::uint64_t, true>;
  table.of(uint64).divide = divide_integers<std::uint64_t, false>;
  table.of(int128).divide = divide_integers<Uint128, true>;
  table.of(uint128).divide = divide_integers<Uint128, false>;

  table.of(DataType::float16) = {.widen = &Isa::template run<WidenFloat16>,
                                 .narrow = &Isa::template run<NarrowFloat16>};
  table.of(DataType::bfloat16) = {.widen = &Isa::template run<WidenBfloat16>,
                                  .narrow = &Isa::template run<NarrowBfloat16>};
  table.of(DataType::int8) = integers<Isa, std::int64_t, std::int8_t>();
  table.of(DataType::uint8) = integers<Isa, std::uint64_t, std::uint8_t>();
  table.of(DataType::int16) = integers<Isa, std::int64_t, std::int16_t>();
  table.of(DataType::uint16) = integers<Isa, std::uint64_t, std::uint16_t>();
  table.of(DataType::int32) = integers<Isa, std::int64_t, std::int32_t>();
  table.of(DataType::uint32) = integers<Isa, std::uint64_t, std::uint32_t>();
  table.of(DataType::int64) = integers<Isa, Uint128, std::int64_t>();
  table.of(DataType::uint64) = integers<Isa, Uint128, std::uint64_t>();
  return table;
}

constexpr ReduceTable kVector16 = table_of<Vector16>();

#  if defined(__x86_64__)
constexpr ReduceTable kAvx2 = [] {
  ReduceTable table = table_of<Avx2>();
  table.of(DataType::float16) = {.widen = widen_float16_f16c, .narrow = narrow_float16_f16c};
  return table;
}();
#  endif

}  // namespace

std::span<const ReduceTable* const> reduce_vector() {
#  if defined(__x86_64__)
  static constexpr std::array<const ReduceTable*, 2> tables{&kVector16, &kAvx2};
  static const std::size_t usable = Avx2::usable() ? 2 : 1;
  return std::span(tables).first(usable);
#  else
  static constexpr std::array<const ReduceTable*, 1> tables{&kVector16};
  return tables;
#  endif
}

#else

std::span<const ReduceTable* const> reduce_vector() { return {}; }

#endif

}  // namespace hawser
