#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/data_type.hpp"
#include "base/result.hpp"

namespace hawser {

/// How values are made smaller on the wire. The formulas are in kernels/quantize.hpp.
enum class QuantizationScheme : std::uint8_t {
  none = 0,
  min_max = 1,           ///< One scale per chunk, from its smallest to its largest value.
  zero_point_scale = 2,  ///< Likewise, with 0 exactly representable.
  blockwise = 3,         ///< A scale for every block of values, symmetric around 0.
  cast = 4,              ///< To a 16-bit float.
};

/// What one quantised value is on the wire.
enum class QuantizedType : std::uint8_t { uint8 = 0, int8 = 1, uint16 = 2, int4 = 3, bfloat16 = 4, float16 = 5 };

inline constexpr std::uint32_t kQuantizationBlockMin = 64;
inline constexpr std::uint32_t kQuantizationBlockMax = 1024;

struct Quantization {
  QuantizationScheme scheme = QuantizationScheme::none;
  QuantizedType type = QuantizedType::uint8;  ///< Meaningless (uint8) without a scheme.
  std::uint16_t block = 0;                    ///< Values per scale, of blockwise: a power of two; else 0.
  bool stochastic = false;  ///< Rounds up or down at random, right on average, instead of to the nearest.

  explicit operator bool() const { return scheme != QuantizationScheme::none; }
  friend auto operator<=>(const Quantization&, const Quantization&) = default;
};

/// Error: invalid_argument, saying what does not go together and what does.
Result<void> check(const Quantization& quantization, DataType type);

/// "min_max to uint8", "blockwise (256) to int4, stochastic"; "" for none.
std::string describe(const Quantization& quantization);

}  // namespace hawser
