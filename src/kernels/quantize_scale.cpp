#include "kernels/quantize_scale.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hawser {
namespace {

template <class T>
constexpr T kMax = std::numeric_limits<T>::max();

template <class T>
T smaller(T step) {
  return std::nextafter(step, T{0});
}

/// range / levels; where that is denormal, and so may be much too small, the next float up.
template <class T>
T step_of(T range, std::int32_t levels) {
  const T step = range / static_cast<T>(levels);
  if (range == 0 || step >= std::numeric_limits<T>::min()) return step;
  return std::nextafter(step, kMax<T>);
}

/// Without a step there is but one value, and it is `low` or 0.
template <class T>
T divisor_of(T step) {
  return step == 0 ? T{1} : step;
}

template <class T>
Scale<T> unrepresentable() {
  return {.first = std::numeric_limits<T>::quiet_NaN(), .representable = false};
}

}  // namespace

template <class T>
Scale<T> min_max_scale(Extremes<T> extremes, std::int32_t levels) {
  if (std::isnan(extremes.smallest)) return unrepresentable<T>();
  const T quarter = T{1} / 4;
  const bool far_apart = extremes.largest * quarter - extremes.smallest * quarter > kMax<T> / 8;
  const T before = far_apart ? quarter : 1;
  const T low = extremes.smallest * before;
  T step = step_of(extremes.largest * before - low, levels);
  // The last code must not decode to infinity for an error of rounding.
  while (!std::isfinite((low + static_cast<T>(levels) * step) / before)) step = smaller(step);
  return {.first = low,
          .second = far_apart ? -step : step,
          .encoding = {.before = before, .low = low, .divisor = divisor_of(step), .highest = levels}};
}

template <class T>
Decoding<T> min_max_decoding(T low, T step) {
  const bool far_apart = step < 0;
  return {.low = low, .step = far_apart ? -step : step, .after = far_apart ? T{4} : T{1}};
}

template <class T>
Scale<T> zero_point_scale(Extremes<T> extremes, std::int32_t levels) {
  if (std::isnan(extremes.smallest)) return unrepresentable<T>();
  const T low = std::min(extremes.smallest, T{0});
  const T high = std::max(extremes.largest, T{0});
  const T range = high - low;
  const auto count = static_cast<T>(levels);
  const T step = std::isfinite(range) ? step_of(range, levels) : high / count - low / count;
  const T divisor = divisor_of(step);
  const auto zero = std::min(static_cast<std::int32_t>(std::nearbyint(-low / divisor)), levels);
  std::int32_t lowest = 0;
  std::int32_t highest = levels;
  while (!std::isfinite(static_cast<T>(lowest - zero) * step)) ++lowest;
  while (!std::isfinite(static_cast<T>(highest - zero) * step)) --highest;
  return {.first = step,
          .second = static_cast<T>(zero),
          .encoding = {.divisor = divisor, .shift = zero, .lowest = lowest, .highest = highest}};
}

template <class T>
Scale<T> symmetric_scale(T largest, std::int32_t levels) {
  if (std::isnan(largest)) return unrepresentable<T>();
  T step = step_of(largest, levels);
  while (!std::isfinite(static_cast<T>(levels) * step)) step = smaller(step);
  return {.first = step, .encoding = {.divisor = divisor_of(step), .lowest = -levels, .highest = levels}};
}

template Scale<float> min_max_scale(Extremes<float> extremes, std::int32_t levels);
template Scale<double> min_max_scale(Extremes<double> extremes, std::int32_t levels);
template Decoding<float> min_max_decoding(float low, float step);
template Decoding<double> min_max_decoding(double low, double step);
template Scale<float> zero_point_scale(Extremes<float> extremes, std::int32_t levels);
template Scale<double> zero_point_scale(Extremes<double> extremes, std::int32_t levels);
template Scale<float> symmetric_scale(float largest, std::int32_t levels);
template Scale<double> symmetric_scale(double largest, std::int32_t levels);

}  // namespace hawser
