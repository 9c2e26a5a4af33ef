#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/quantization.hpp"
#include "kernels/quantize.hpp"

/// Quantised values in vectors, and a look into them.
namespace hawser {

template <class T>
constexpr DataType kTypeOf = sizeof(T) == 8 ? DataType::float64 : DataType::float32;

template <class T>
std::vector<std::byte> quantized(const Quantization& q, const std::vector<T>& values,
                                 std::uint64_t seed = 1) {
  std::vector<std::byte> payload(quantized_bytes(q, kTypeOf<T>, values.size()));
  quantize(q, kTypeOf<T>, reinterpret_cast<const std::byte*>(values.data()), values.size(), seed,
           payload.data(), nullptr);
  return payload;
}

template <class T>
std::vector<T> dequantized(const Quantization& q, const std::vector<std::byte>& payload, std::size_t count) {
  std::vector<T> values(count);
  dequantize(q, kTypeOf<T>, payload.data(), count, reinterpret_cast<std::byte*>(values.data()));
  return values;
}

template <class T>
T at(const std::vector<std::byte>& payload, std::size_t offset) {
  T value;
  std::memcpy(&value, payload.data() + offset, sizeof value);
  return value;
}

/// The step that a value was rounded to; the exponent is that of the larger of the halves around the value.
template <class T>
long double step_at(const Quantization& q, const std::vector<std::byte>& payload, std::size_t index,
                    T value) {
  switch (q.scheme) {
    case QuantizationScheme::min_max: {
      const T step = at<T>(payload, sizeof(T));
      return step < 0 ? -4.0L * static_cast<long double>(step) : static_cast<long double>(step);
    }
    case QuantizationScheme::zero_point_scale: return at<T>(payload, 0);
    case QuantizationScheme::blockwise: return at<T>(payload, index / q.block * sizeof(T));
    default: {
      const bool is_float16 = q.type == QuantizedType::float16;
      const int exponent = value == 0 ? -2000 : std::ilogb(value);
      return std::ldexp(1.0L, std::max(exponent, is_float16 ? -14 : -126) - (is_float16 ? 10 : 7));
    }
  }
}

}  // namespace hawser
