#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "base/quantization.hpp"
#include "base/random.hpp"

/// Float values as quantisation meets them, and as it fears them.
namespace hawser {

enum class Spread {
  normal,
  heavy_tailed,   ///< Student's t, 2 degrees of freedom: no variance.
  varying_scale,  ///< Normal, each run of 100 values at another power of two.
  sparse,         ///< Mostly zeros.
  positive,
  equal,
  zeros,       ///< Of both signs.
  denormal,    ///< Up to 400 of the smallest denormal, either sign.
  barely_two,  ///< Two neighbouring floats.
  huge,        ///< Up to the largest float, either sign.
  huge_above,  ///< From 0 up to the largest float.
};
inline constexpr std::array kSpreads{Spread::normal, Spread::heavy_tailed, Spread::varying_scale,
                                     Spread::sparse, Spread::positive,     Spread::equal,
                                     Spread::zeros,  Spread::denormal,     Spread::barely_two,
                                     Spread::huge,   Spread::huge_above};

inline double uniform(Random& random) { return (static_cast<double>(random.next() >> 11) + 0.5) * 0x1p-53; }

inline double normal(Random& random) {
  return std::sqrt(-2 * std::log(uniform(random))) * std::cos(2 * std::numbers::pi * uniform(random));
}

template <class T>
T spread_value(Spread spread, std::size_t index, Random& random) {
  using Limits = std::numeric_limits<T>;
  const T part = static_cast<T>(2 * uniform(random) - 1);
  switch (spread) {
    case Spread::normal: return static_cast<T>(normal(random));
    case Spread::heavy_tailed: return static_cast<T>(normal(random) / std::sqrt(-std::log(uniform(random))));
    case Spread::varying_scale:
      return static_cast<T>(std::ldexp(normal(random), static_cast<int>(index / 100 * 37 % 160) - 100));
    case Spread::sparse: return random.chance(9, 10) ? T{0} : static_cast<T>(normal(random));
    case Spread::positive: return static_cast<T>(std::exp(normal(random)));
    case Spread::equal: return static_cast<T>(-0.1);
    case Spread::zeros: return random.chance(1, 2) ? T{0} : -T{0};
    case Spread::denormal: return static_cast<T>(random.between(-400, 400)) * Limits::denorm_min();
    case Spread::barely_two: return random.chance(1, 2) ? T{1} : T{1} + Limits::epsilon();
    case Spread::huge: return random.chance(1, 8) ? std::copysign(Limits::max(), part) : part * Limits::max();
    case Spread::huge_above: return random.chance(1, 8) ? Limits::max() : std::fabs(part) * Limits::max();
  }
  return 0;
}

template <class T>
std::vector<T> spread_values(Spread spread, std::size_t count, Random& random) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = spread_value<T>(spread, i, random);
  return values;
}

/// All that fit float32, blockwise with the smallest and a larger block; not stochastic.
inline std::vector<Quantization> all_quantizations() {
  using enum QuantizationScheme;
  using enum QuantizedType;
  std::vector<Quantization> all;
  for (const auto scheme : {min_max, zero_point_scale})
    for (const auto type : {uint8, int8, uint16}) all.push_back({.scheme = scheme, .type = type});
  for (const auto type : {int8, int4})
    for (const auto block : {std::uint16_t{64}, std::uint16_t{256}})
      all.push_back({.scheme = blockwise, .type = type, .block = block});
  for (const auto type : {bfloat16, float16}) all.push_back({.scheme = cast, .type = type});
  return all;
}

}  // namespace hawser
