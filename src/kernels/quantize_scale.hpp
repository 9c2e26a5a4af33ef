#pragma once

#include <cstdint>

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

/// `levels`: the highest code, with codes from 0.
template <class T>
Scale<T> min_max_scale(Extremes<T> extremes, std::int32_t levels);
template <class T>
Scale<T> zero_point_scale(Extremes<T> extremes, std::int32_t levels);
/// For codes from -levels to levels. `largest` is the largest magnitude, NaN as in Extremes.
template <class T>
Scale<T> symmetric_scale(T largest, std::int32_t levels);

/// From what came over the wire, which may be anything.
template <class T>
Decoding<T> min_max_decoding(T low, T step);

}  // namespace hawser
