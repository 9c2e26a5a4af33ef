#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

#include "base/host_device.hpp"

/// The reduction of two elements, as reduce.hpp defines it: the formulas of the scalar oracle and of devices.
namespace hawser::element {

template <class T>
HAWSER_HOST_DEVICE inline T sum(T a, T b) {
  if constexpr (std::integral<T>)
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  else
    return a + b;
}

template <class T>
HAWSER_HOST_DEVICE inline T prod(T a, T b) {
  if constexpr (std::integral<T>)
    return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  else
    return a * b;
}

template <class T>
HAWSER_HOST_DEVICE inline T larger(T a, T b) {
  if constexpr (std::floating_point<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
    if (a == b) return std::signbit(a) ? b : a;
  }
  return a > b ? a : b;
}

template <class T>
HAWSER_HOST_DEVICE inline T smaller(T a, T b) {
  if constexpr (std::floating_point<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
    if (a == b) return std::signbit(a) ? a : b;
  }
  return a < b ? a : b;
}

/// (a - b) * scale.
template <class T>
HAWSER_HOST_DEVICE inline T scaled_difference(T a, T b, T scale) {
  const T apart = a - b;
  return apart * scale;
}

}  // namespace hawser::element
