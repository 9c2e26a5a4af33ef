#include <cmath>
#include <vector>

#include "catch.hpp"
#include "gradient_values.hpp"
#include "payload.hpp"

namespace hawser {
namespace {

std::vector<Quantization> all_stochastic() {
  auto all = all_quantizations();
  for (Quantization& q : all) q.stochastic = true;
  return all;
}

/// Values of which each is halfway between two that the quantisation knows, but for one of 64 that sets the
/// scale.
std::vector<float> halfway_values(const Quantization& q, std::size_t count) {
  std::vector<float> values(count, 0.5F);
  if (q.scheme == QuantizationScheme::cast)
    std::fill(values.begin(), values.end(), q.type == QuantizedType::float16 ? 1 + 0x1p-11F : 1 + 0x1p-8F);
  for (std::size_t i = 0; i < count && q.block != 0; i += 64)
    values[i] = q.type == QuantizedType::int4 ? 7 : 127;
  if (q.scheme == QuantizationScheme::min_max || q.scheme == QuantizationScheme::zero_point_scale) {
    values[0] = 0;
    for (std::size_t i = 64; i < count; i += 64)
      values[i] = q.type == QuantizedType::uint16 ? 65535.0F : 255.0F;
  }
  return values;
}

/// How often pairs of values, `lag` apart, were rounded alike less how often they were not; in deviations of
/// what independent coins would do.
double alike(const std::vector<float>& a, const std::vector<float>& b, std::size_t lag, float halfway) {
  std::ptrdiff_t agreements = 0;
  std::ptrdiff_t pairs = 0;
  for (std::size_t i = 1; i + lag < a.size(); ++i) {
    if (i % 64 == 0 || (i + lag) % 64 == 0) continue;
    ++pairs;
    agreements += (a[i] > halfway) == (b[i + lag] > halfway) ? 1 : -1;
  }
  return static_cast<double>(agreements) / std::sqrt(static_cast<double>(pairs));
}

}  // namespace

TEST_CASE("rounding at random is right on average, and the seed decides it") {
  constexpr std::size_t kCount = 1 << 16;
  for (const Quantization& q : all_stochastic()) {
    INFO(describe(q));
    std::vector<float> values(kCount, 0.3001F);
    // Each block and the chunk span from -1 to 1.
    for (std::size_t i = 0; i < kCount; i += 32) values[i] = i % 64 == 0 ? -1.0F : 1.0F;
    const auto payload = quantized(q, values, 7);
    CHECK(payload == quantized(q, values, 7));
    CHECK(payload != quantized(q, values, 8));
    const auto decoded = dequantized<float>(q, payload, kCount);
    double sum = 0;
    std::size_t summed = 0;
    for (std::size_t i = 0; i < kCount; ++i)
      if (i % 32 != 0) {
        sum += static_cast<double>(decoded[i]) - static_cast<double>(values[i]);
        ++summed;
      }
    // One rounding has a deviation of half a step at most: this is four deviations of the mean.
    const auto step = static_cast<double>(step_at(q, payload, 1, 0.3001F));
    CHECK(std::fabs(sum / static_cast<double>(summed)) <= 4 * 0.5 * step / std::sqrt(summed) + 1e-7);
  }
}

TEST_CASE("denormal 16-bit floats are rounded at random like others") {
  constexpr std::size_t kCount = 1 << 16;
  for (const auto type : {QuantizedType::float16, QuantizedType::bfloat16}) {
    const Quantization q{.scheme = QuantizationScheme::cast, .type = type, .stochastic = true};
    const float last_place = type == QuantizedType::float16 ? 0x1p-24F : 0x1p-133F;
    for (const float units : {0.25F, 1.75F, 100.5F}) {
      const std::vector<float> values(kCount, -units * last_place);
      const auto decoded = dequantized<float>(q, quantized(q, values), kCount);
      double sum = 0;
      for (const float value : decoded) sum -= static_cast<double>(value) / static_cast<double>(last_place);
      CHECK(std::fabs(sum / kCount - static_cast<double>(units)) <= 4 * 0.5 / std::sqrt(kCount));
    }
  }
}

TEST_CASE("rounding at random gives neighbours, blocks and seeds independent numbers") {
  constexpr std::size_t kCount = 1 << 16;
  for (const Quantization& q : all_stochastic()) {
    const auto values = halfway_values(q, kCount);
    const auto decoded = dequantized<float>(q, quantized(q, values, 99), kCount);
    const auto other = dequantized<float>(q, quantized(q, values, 100), kCount);
    for (const std::size_t lag : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 256U, 1024U, 4096U}) {
      INFO(describe(q) << ", lag " << lag);
      CHECK(std::fabs(alike(decoded, decoded, lag, values[1])) < 5);
      CHECK(std::fabs(alike(decoded, other, lag, values[1])) < 5);
    }
    CHECK(std::fabs(alike(decoded, other, 0, values[1])) < 5);
  }
}

}  // namespace hawser
