#include "kernels/quantize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/bug_found.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "element_values.hpp"
#include "gradient_values.hpp"
#include "guarded_buffer.hpp"
#include "kernels/reduce.hpp"
#include "payload.hpp"

// The promises of quantize.hpp: layout, formulas, bounds on the error, and what becomes of values that break
// scales.

namespace hawser {
namespace {

/// The integer at a code's place, and the number of bytes before the codes.
std::int32_t code_at(const Quantization& q, const std::vector<std::byte>& payload, std::size_t header,
                     std::size_t index) {
  switch (q.type) {
    case QuantizedType::uint8: return at<std::uint8_t>(payload, header + index);
    case QuantizedType::int8: return at<std::int8_t>(payload, header + index);
    case QuantizedType::uint16: return at<std::uint16_t>(payload, header + 2 * index);
    case QuantizedType::int4: {
      const std::int32_t nibble =
          at<std::uint8_t>(payload, header + index / 2) >> (index % 2 == 0 ? 0 : 4) & 0xf;
      return nibble >= 8 ? nibble - 16 : nibble;
    }
    default: FAIL("no integer"); return 0;
  }
}

/// What a payload decodes to by the formulas in the header, written as they stand there.
template <class T>
T by_the_formula(const Quantization& q, const std::vector<std::byte>& payload, std::size_t count,
                 std::size_t index) {
  if (q.scheme == QuantizationScheme::cast) {
    const auto bits = at<std::uint16_t>(payload, 2 * index);
    return static_cast<T>(q.type == QuantizedType::float16 ? Float16{bits}.value() : Bfloat16{bits}.value());
  }
  if (q.scheme == QuantizationScheme::blockwise) {
    const std::size_t header = (count + q.block - 1) / q.block * sizeof(T);
    const T code = static_cast<T>(code_at(q, payload, header, index));
    return code * at<T>(payload, index / q.block * sizeof(T)) + T{0};  // -0 becomes +0.
  }
  T code = static_cast<T>(code_at(q, payload, 2 * sizeof(T), index));
  const T first = at<T>(payload, 0);
  const T second = at<T>(payload, sizeof(T));
  if (q.type == QuantizedType::int8) code += 128;
  if (q.scheme == QuantizationScheme::zero_point_scale) {
    return (code - second) * first + T{0};
  }
  return second < 0 ? 4 * (first + code * -second) : first + code * second;
}

template <class T>
long double largest_magnitude(const std::vector<T>& values) {
  long double largest = 0;
  for (const T value : values) largest = std::max(largest, std::fabs(static_cast<long double>(value)));
  return largest;
}

/// Whether a value is beyond the last 16-bit float by half a step or, if stochastic, at all.
template <class T>
bool casts_to_infinity(const Quantization& q, T value) {
  const long double last = q.type == QuantizedType::float16 ? 65504.0L : 0x1.fep127L;
  return q.scheme == QuantizationScheme::cast && std::fabs(static_cast<long double>(value)) > last;
}

template <class T>
void check_errors(const Quantization& q, Spread spread, std::size_t count, Random& random) {
  INFO(describe(q) << ", spread " << static_cast<int>(spread) << ", count " << count << ", "
                   << to_string(kTypeOf<T>));
  const auto values = spread_values<T>(spread, count, random);
  const auto payload = quantized(q, values, random.next());
  const auto decoded = dequantized<T>(q, payload, count);
  const long double rounding = 4 * static_cast<long double>(std::numeric_limits<T>::epsilon()) *
                               (q.scheme == QuantizationScheme::cast ? 0 : largest_magnitude(values));
  const bool is_huge = spread == Spread::huge || spread == Spread::huge_above;
  const bool overflows = q.scheme == QuantizationScheme::zero_point_scale && is_huge;
  for (std::size_t i = 0; i < count; ++i) {
    INFO("value " << values[i] << ", decoded " << decoded[i]);
    if (casts_to_infinity(q, values[i])) continue;
    const long double steps = q.stochastic || overflows ? 1.0L : 0.5L;
    const long double error =
        std::fabs(static_cast<long double>(decoded[i]) - static_cast<long double>(values[i]));
    const long double bound = steps * step_at(q, payload, i, values[i]) + rounding;
    if (!(error <= bound)) {
      CAPTURE(error, bound);
      REQUIRE(error <= bound);
    }
    if (values[i] == 0 && q.scheme != QuantizationScheme::min_max) REQUIRE(decoded[i] == 0);
  }
}

std::vector<Quantization> with_stochastic() {
  auto all = all_quantizations();
  for (Quantization q : all_quantizations()) {
    q.stochastic = true;
    all.push_back(q);
  }
  return all;
}

}  // namespace

TEST_CASE("the size counts scales and whole bytes") {
  using enum QuantizationScheme;
  using enum QuantizedType;
  const auto bytes = [](Quantization q, DataType type, std::uint64_t count) {
    return quantized_bytes(q, type, count);
  };
  CHECK(bytes({.scheme = min_max}, DataType::float32, 10) == 8 + 10);
  CHECK(bytes({.scheme = min_max}, DataType::bfloat16, 10) == 8 + 10);
  CHECK(bytes({.scheme = zero_point_scale, .type = uint16}, DataType::float64, 10) == 16 + 20);
  CHECK(bytes({.scheme = blockwise, .type = int8, .block = 64}, DataType::float32, 65) == 8 + 65);
  CHECK(bytes({.scheme = blockwise, .type = int4, .block = 64}, DataType::float64, 129) == 24 + 65);
  CHECK(bytes({.scheme = cast, .type = bfloat16}, DataType::float32, 7) == 14);
  for (const Quantization& q : all_quantizations()) CHECK(quantized_bytes(q, DataType::float32, 0) == 0);
}

TEST_CASE("values are off by half a step at most, or by one if rounded at random") {
  Random random(1);
  for (const Quantization& q : with_stochastic())
    for (const Spread spread : kSpreads)
      for (const std::size_t count : {1U, 2U, 63U, 64U, 65U, 1001U, 4097U}) {
        check_errors<float>(q, spread, count, random);
        check_errors<double>(q, spread, count, random);
      }
}

TEST_CASE("values as far apart as floats go stay finite, and are off by a step at most") {
  Random random(8);
  const auto check = [&]<class T>(const Quantization& q, T) {
    for (int part = 0; part <= 200; ++part) {
      const T largest = std::numeric_limits<T>::max();
      const T other = std::max(-largest, -largest / 200 * static_cast<T>(part));
      const T sign = random.chance(1, 2) ? T{1} : T{-1};
      const std::vector<T> values{sign * largest, sign * other, 0, sign * std::nextafter(largest, T{0}),
                                  sign * largest / 2};
      const auto payload = quantized(q, values, random.next());
      const auto decoded = dequantized<T>(q, payload, values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        INFO(describe(q) << ", part " << part << ": " << values[i] << " decodes to " << decoded[i]);
        REQUIRE(std::isfinite(decoded[i]));
        const long double rounding = 4 * static_cast<long double>(std::numeric_limits<T>::epsilon()) *
                                     static_cast<long double>(largest);
        REQUIRE(std::fabs(static_cast<long double>(decoded[i]) - static_cast<long double>(values[i])) <=
                step_at(q, payload, i, values[i]) + rounding);
      }
    }
  };
  for (const Quantization& q : with_stochastic())
    if (q.scheme != QuantizationScheme::cast) {
      check(q, float{});
      check(q, double{});
    }
}

TEST_CASE("values decode by the formulas of the format") {
  Random random(2);
  for (const Quantization& q : with_stochastic())
    for (const Spread spread : kSpreads) {
      INFO(describe(q) << ", spread " << static_cast<int>(spread));
      const std::size_t count = 1 + random.below(700);
      const auto check = [&]<class T>(T) {
        const auto payload = quantized(q, spread_values<T>(spread, count, random));
        const auto decoded = dequantized<T>(q, payload, count);
        for (std::size_t i = 0; i < count; ++i) {
          const T expected = by_the_formula<T>(q, payload, count, i);
          REQUIRE(same_bits(decoded[i], expected));
        }
      };
      check(float{});
      check(double{});
    }
}

TEST_CASE("the smallest value and equal values decode exactly with min_max") {
  Random random(3);
  for (const auto type : {QuantizedType::uint8, QuantizedType::int8, QuantizedType::uint16})
    for (const bool stochastic : {false, true}) {
      const Quantization q{.scheme = QuantizationScheme::min_max, .type = type, .stochastic = stochastic};
      for (const float value : {0.1F, -3e38F, 0x1p-149F, std::numeric_limits<float>::max()}) {
        const std::vector<float> values(77, value);
        CHECK(dequantized<float>(q, quantized(q, values), values.size()) == values);
      }
      for (int i = 0; i < 50; ++i) {
        const auto values = spread_values<float>(Spread::heavy_tailed, 99, random);
        const auto smallest = std::min_element(values.begin(), values.end()) - values.begin();
        REQUIRE(dequantized<float>(q, quantized(q, values), values.size())[smallest] == values[smallest]);
      }
    }
}

TEST_CASE("a NaN or an infinity makes its whole group NaN") {
  constexpr std::size_t kCount = 300;
  Random random(4);
  for (const Quantization& q : with_stochastic()) {
    if (q.scheme == QuantizationScheme::cast) continue;
    for (const float broken :
         {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
          std::numeric_limits<float>::quiet_NaN()}) {
      INFO(describe(q));
      auto values = spread_values<float>(Spread::normal, kCount, random);
      const std::size_t where = random.below(kCount);
      values[where] = broken;
      const auto decoded = dequantized<float>(q, quantized(q, values), kCount);
      for (std::size_t i = 0; i < kCount; ++i)
        REQUIRE(std::isnan(decoded[i]) == (q.block == 0 || i / q.block == where / q.block));
    }
  }
}

TEST_CASE("a cast keeps infinities, and NaNs as the canonical one") {
  const std::vector<float> values{std::numeric_limits<float>::infinity(),
                                  -std::numeric_limits<float>::infinity(),
                                  std::bit_cast<float>(0xff800001U),
                                  -0.0F,
                                  3e38F,
                                  65519.0F,
                                  65520.0F};
  for (const bool stochastic : {false, true}) {
    const Quantization to_float16{
        .scheme = QuantizationScheme::cast, .type = QuantizedType::float16, .stochastic = stochastic};
    const auto payload = quantized(to_float16, values);
    CHECK(at<std::uint16_t>(payload, 0) == 0x7c00);
    CHECK(at<std::uint16_t>(payload, 2) == 0xfc00);
    CHECK(at<std::uint16_t>(payload, 4) == 0x7e00);
    CHECK(at<std::uint16_t>(payload, 6) == 0x8000);
    CHECK(at<std::uint16_t>(payload, 8) == 0x7c00);
    if (!stochastic) CHECK(at<std::uint16_t>(payload, 10) == 0x7bff);
    if (!stochastic) CHECK(at<std::uint16_t>(payload, 12) == 0x7c00);
    const Quantization to_bfloat16{
        .scheme = QuantizationScheme::cast, .type = QuantizedType::bfloat16, .stochastic = stochastic};
    const auto brain = quantized(to_bfloat16, values);
    CHECK(at<std::uint16_t>(brain, 0) == 0x7f80);
    CHECK(at<std::uint16_t>(brain, 2) == 0xff80);
    CHECK(at<std::uint16_t>(brain, 4) == 0x7fc0);
    CHECK(at<std::uint16_t>(brain, 6) == 0x8000);
  }
}

TEST_CASE("a cast of float64 rounds once") {
  // A step and a half, and a bit less than a float can tell: through float32 it would be a tie.
  const std::vector<double> values{1 + 0x1p-11 - 0x1p-40,     1 + 0x1p-11,       1 + 0x1p-11 + 0x1p-40,
                                   1 + 3 * 0x1p-11 - 0x1p-40, 0x1p-25 + 0x1p-70, 65520 - 0x1p-30};
  const Quantization q{.scheme = QuantizationScheme::cast, .type = QuantizedType::float16};
  const auto payload = quantized(q, values);
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(at<std::uint16_t>(payload, 2 * i) == Float16::nearest(values[i]).bits);
  Random random(5);
  for (const auto type : {QuantizedType::float16, QuantizedType::bfloat16}) {
    const auto any = any_values<double>(5000, random);
    const auto cast = quantized({.scheme = QuantizationScheme::cast, .type = type}, any);
    for (std::size_t i = 0; i < any.size(); ++i) {
      const std::uint16_t expected =
          type == QuantizedType::float16 ? Float16::nearest(any[i]).bits : Bfloat16::nearest(any[i]).bits;
      REQUIRE(at<std::uint16_t>(cast, 2 * i) == expected);
    }
  }
}

TEST_CASE("any bytes decode to some floats") {
  Random random(6);
  for (const Quantization& q : all_quantizations())
    for (int round = 0; round < 60; ++round) {
      const std::size_t count = random.below(600);
      const auto check = [&]<class T>(T) {
        std::vector<std::byte> payload(quantized_bytes(q, kTypeOf<T>, count));
        for (std::byte& each : payload) each = static_cast<std::byte>(random.next());
        GuardedBuffer out(round % 8, count * sizeof(T));
        dequantize(q, kTypeOf<T>, payload.data(), count, out.data());
        dequantize_combine(q, kTypeOf<T>, ReduceOp::max, out.data(), out.data(), payload.data(), count);
        REQUIRE(out.guards_hold());
      };
      check(float{});
      check(double{});
    }
}

TEST_CASE("dequantize_combine is dequantize, then combine") {
  Random random(7);
  for (const Quantization& q : all_quantizations())
    for (const ReduceOp op : kReduceOps)
      for (const std::size_t count : {0U, 1U, 65U, 1023U, 1024U, 1025U, 2500U}) {
        const auto check = [&]<class T>(T) {
          const auto payload = quantized(q, spread_values<T>(Spread::normal, count, random));
          const auto own = spread_values<T>(Spread::normal, count, random);
          const auto decoded = dequantized<T>(q, payload, count);
          std::vector<std::byte> expected(count * sizeof(T));
          GuardedBuffer a(count % 8, bytes_of(own));
          combine(kTypeOf<T>, op, expected.data(), a.data(),
                  reinterpret_cast<const std::byte*>(decoded.data()), count);
          GuardedBuffer out((count + 3) % 8, count * sizeof(T));
          dequantize_combine(q, kTypeOf<T>, op, out.data(), a.data(), payload.data(), count);
          REQUIRE(out.content() == expected);
          dequantize_combine(q, kTypeOf<T>, op, a.data(), a.data(), payload.data(), count);
          REQUIRE(a.content() == expected);
          REQUIRE((a.guards_hold() && out.guards_hold()));
        };
        check(float{});
        check(double{});
      }
}

TEST_CASE("quantisation refuses what is no float, and a scheme of none") {
  std::byte any[64]{};
  const Quantization q{.scheme = QuantizationScheme::min_max};
  CHECK_THROWS_AS(quantized_bytes(q, DataType::int32, 1), BugFound);
  CHECK_THROWS_AS(quantized_bytes({}, DataType::float32, 1), BugFound);
  CHECK_THROWS_AS(dequantize({}, DataType::float32, any, 1, any), BugFound);
}

}  // namespace hawser
