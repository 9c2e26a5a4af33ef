#pragma once

#include <cstdint>

#include "base/random.hpp"

namespace hawser {

/// The random numbers of stochastic rounding, counted rather than drawn: number i depends on the seed and i
/// alone, so that any number of them come at a time. They repeat after 2^32.
struct Dither {
  std::uint32_t start = 0;
  std::uint32_t mix = 0;

  static constexpr Dither of(std::uint64_t seed) {
    const std::uint64_t key = Random(seed).next();
    return {.start = static_cast<std::uint32_t>(key), .mix = static_cast<std::uint32_t>(key >> 32)};
  }
  /// Those from number `first` on.
  constexpr Dither from(std::uint64_t first) const {
    return {.start = start + static_cast<std::uint32_t>(first) * kStride, .mix = mix};
  }
  /// 24 random bits: a Weyl sequence through the finalizer of MurmurHash3 with better constants (Wellons
  /// 2018).
  [[gnu::always_inline]] constexpr std::uint32_t bits(std::uint32_t index) const {
    std::uint32_t x = start + index * kStride;
    x = (x ^ (x >> 16)) * 0x7feb352dU;
    x = ((x ^ (x >> 15)) + mix) * 0x846ca68bU;
    return (x ^ (x >> 16)) >> 8;
  }
  /// In [0, 1), exact in a float.
  template <class T>
  [[gnu::always_inline]] constexpr T unit(std::uint32_t index) const {
    return static_cast<T>(static_cast<std::int32_t>(bits(index))) * static_cast<T>(0x1p-24);
  }

  static constexpr std::uint32_t kStride = 0x9e3779b9U;
};

}  // namespace hawser
