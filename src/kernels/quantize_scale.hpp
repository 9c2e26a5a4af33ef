#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/host_device.hpp"
#include "base/quantization.hpp"

/// The numbers between values and codes, chosen by the same few scalar operations for all instruction sets. T
/// is float or double. What they mean and the bounds on the error: quantize.hpp.
namespace hawser {

/// The smallest and the largest of some values; both NaN if any value is NaN or infinite.
template <class T>
struct Extremes {
  T smallest;
  T largest;
};

/// A value's code: clamp(round((value * before - low) / divisor) + shift, lowest, highest).
template <class T>
struct Encoding {
  T before = 1;
  T low = 0;
  T divisor = 1;
  std::int32_t shift = 0;
  std::int32_t lowest = 0;
  std::int32_t highest = 0;
};

/// A code's value: (low + (code - zero) * step) * after. Codes of 8 bits with a sign are first moved up by
/// 128.
template <class T>
struct Decoding {
  T low = 0;
  T zero = 0;
  T step = 0;
  T after = 1;
};

/// What a group of values travels with, and how its codes are made.
template <class T>
struct Scale {
  T first = 0;                ///< min_max: low. The others: step.
  T second = 0;               ///< min_max: step. zero_point_scale: zero.
  bool representable = true;  ///< If not: all codes are 0, and decode to NaN.
  Encoding<T> encoding = {};
};

namespace step_choice {

template <class T>
constexpr T kLargest = std::numeric_limits<T>::max();

template <class T>
HAWSER_HOST_DEVICE inline T next_smaller(T step) {
  return std::nextafter(step, T{0});
}

/// range / levels; where that is denormal, and so may be much too small, the next float up.
template <class T>
HAWSER_HOST_DEVICE inline T step_of(T range, std::int32_t levels) {
  const T step = range / static_cast<T>(levels);
  if (range == 0 || step >= std::numeric_limits<T>::min()) return step;
  return std::nextafter(step, kLargest<T>);
}

/// Without a step there is but one value, and it is `low` or 0.
template <class T>
HAWSER_HOST_DEVICE inline T divisor_of(T step) {
  return step == 0 ? T{1} : step;
}

template <class T>
HAWSER_HOST_DEVICE inline Scale<T> unrepresentable() {
  return {.first = std::numeric_limits<T>::quiet_NaN(), .representable = false};
}

}  // namespace step_choice

/// `levels`: the highest code, with codes from 0.
template <class T>
HAWSER_HOST_DEVICE inline Scale<T> min_max_scale(Extremes<T> extremes, std::int32_t levels) {
  if (std::isnan(extremes.smallest)) return step_choice::unrepresentable<T>();
  const T quarter = T{1} / 4;
  const bool far_apart = extremes.largest * quarter - extremes.smallest * quarter > step_choice::kLargest<T> / 8;
  const T before = far_apart ? quarter : 1;
  const T low = extremes.smallest * before;
  T step = step_choice::step_of(extremes.largest * before - low, levels);
  // The last code must not decode to infinity for an error of rounding.
  while (!std::isfinite((low + static_cast<T>(levels) * step) / before)) step = step_choice::next_smaller(step);
  return {.first = low,
          .second = far_apart ? -step : step,
          .encoding = {.before = before, .low = low, .divisor = step_choice::divisor_of(step), .highest = levels}};
}

/// From what came over the wire, which may be anything.
template <class T>
HAWSER_HOST_DEVICE inline Decoding<T> min_max_decoding(T low, T step) {
  const bool far_apart = step < 0;
  return {.low = low, .step = far_apart ? -step : step, .after = far_apart ? T{4} : T{1}};
}

template <class T>
HAWSER_HOST_DEVICE inline Scale<T> zero_point_scale(Extremes<T> extremes, std::int32_t levels) {
  if (std::isnan(extremes.smallest)) return step_choice::unrepresentable<T>();
  const T low = std::min(extremes.smallest, T{0});
  const T high = std::max(extremes.largest, T{0});
  const T range = high - low;
  const auto count = static_cast<T>(levels);
  const T step = std::isfinite(range) ? step_choice::step_of(range, levels) : high / count - low / count;
  const T divisor = step_choice::divisor_of(step);
  const auto zero = std::min(static_cast<std::int32_t>(std::nearbyint(-low / divisor)), levels);
  std::int32_t lowest = 0;
  std::int32_t highest = levels;
  while (!std::isfinite(static_cast<T>(lowest - zero) * step)) ++lowest;
  while (!std::isfinite(static_cast<T>(highest - zero) * step)) --highest;
  return {.first = step,
          .second = static_cast<T>(zero),
          .encoding = {.divisor = divisor, .shift = zero, .lowest = lowest, .highest = highest}};
}

/// For codes from -levels to levels. `largest` is the largest magnitude, NaN as in Extremes.
template <class T>
HAWSER_HOST_DEVICE inline Scale<T> symmetric_scale(T largest, std::int32_t levels) {
  if (std::isnan(largest)) return step_choice::unrepresentable<T>();
  T step = step_choice::step_of(largest, levels);
  while (!std::isfinite(static_cast<T>(levels) * step)) step = step_choice::next_smaller(step);
  return {.first = step, .encoding = {.divisor = step_choice::divisor_of(step), .lowest = -levels, .highest = levels}};
}

/// What a code's own sign adds to it, for codes that otherwise count from 0.
inline constexpr std::uint8_t kSignBit = 0x80;

/// min_max or zero_point_scale, as `scheme` says; the encoding gives codes of that type.
template <class T>
HAWSER_HOST_DEVICE inline Scale<T> chunk_scale(QuantizationScheme scheme, QuantizedType type, Extremes<T> extremes) {
  const std::int32_t levels = type == QuantizedType::uint16 ? 0xffff : 0xff;
  Scale<T> scale = scheme == QuantizationScheme::min_max ? min_max_scale(extremes, levels)
                                                         : zero_point_scale(extremes, levels);
  if (type == QuantizedType::int8) {
    scale.encoding.shift -= kSignBit;
    scale.encoding.lowest -= kSignBit;
    scale.encoding.highest -= kSignBit;
  }
  return scale;
}

/// Of the two numbers before the codes.
template <class T>
HAWSER_HOST_DEVICE inline Decoding<T> chunk_decoding(QuantizationScheme scheme, T first, T second) {
  if (scheme == QuantizationScheme::min_max) return min_max_decoding(first, second);
  return {.zero = second, .step = first};
}

/// What a blockwise code goes up to.
constexpr std::int32_t block_levels(QuantizedType type) { return type == QuantizedType::int4 ? 7 : 127; }

/// To nearest.
template <class T>
HAWSER_HOST_DEVICE inline std::int32_t code_of(const Encoding<T>& e, T value) {
  const T steps = (value * e.before - e.low) / e.divisor;
  return std::clamp(static_cast<std::int32_t>(std::nearbyint(steps)) + e.shift, e.lowest, e.highest);
}

/// Away from 0 with the probability of the fraction; `random` is in [0, 1).
template <class T>
HAWSER_HOST_DEVICE inline std::int32_t code_of(const Encoding<T>& e, T value, T random) {
  const T steps = (value * e.before - e.low) / e.divisor;
  T rounded = std::trunc(steps);
  if (random < std::fabs(steps - rounded)) rounded += std::copysign(T{1}, steps);
  return std::clamp(static_cast<std::int32_t>(rounded) + e.shift, e.lowest, e.highest);
}

template <class T>
HAWSER_HOST_DEVICE inline T value_of(const Decoding<T>& d, std::int32_t code) {
  return (d.low + (static_cast<T>(code) - d.zero) * d.step) * d.after;
}

}  // namespace hawser
