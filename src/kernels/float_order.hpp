#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/quantize_scale.hpp"

/// Floats compared by their bits. Infinities and NaNs have the first and the last places, and -0 comes before +0.
namespace hawser {

/// A float's bits, with a sign because vector instructions compare such integers best.
template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
template <class T>
constexpr BitsOf<T> kMagnitude = std::numeric_limits<BitsOf<T>>::max();

/// A float's place among all floats, and back: the magnitudes of negative ones count downwards.
template <class T>
[[gnu::always_inline]] constexpr BitsOf<T> ordered(BitsOf<T> bits) {
  return bits ^ ((bits >> (8 * sizeof(T) - 1)) & kMagnitude<T>);
}

template <class T>
[[gnu::always_inline]] constexpr bool is_finite_magnitude(BitsOf<T> magnitude) {
  return magnitude < std::bit_cast<BitsOf<T>>(std::numeric_limits<T>::infinity());
}

/// Of values with these first and last places.
template <class T>
[[gnu::always_inline]] constexpr Extremes<T> extremes_of(BitsOf<T> first_place, BitsOf<T> last_place) {
  const BitsOf<T> smallest = ordered<T>(first_place);
  const BitsOf<T> largest = ordered<T>(last_place);
  if (!is_finite_magnitude<T>(smallest & kMagnitude<T>) || !is_finite_magnitude<T>(largest & kMagnitude<T>))
    return {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::quiet_NaN()};
  return {std::bit_cast<T>(smallest), std::bit_cast<T>(largest)};
}

/// Of values of which this is the largest magnitude: as symmetric_scale() takes it.
template <class T>
[[gnu::always_inline]] constexpr T finite_or_nan(BitsOf<T> magnitude) {
  return is_finite_magnitude<T>(magnitude) ? std::bit_cast<T>(magnitude) : std::numeric_limits<T>::quiet_NaN();
}

}  // namespace hawser
