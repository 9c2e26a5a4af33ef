#pragma once

#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "base/data_type.hpp"

namespace hawser {

/// The arithmetic of one working type. Factors are rounded to it; contracts as in diloco.hpp.
struct UpdateKernels {
  /// outer -= rate * delta.
  void (*step)(std::byte* outer, const std::byte* delta, std::uint64_t count, double rate) = nullptr;
  using Momentum = void(std::byte* outer, std::byte* momentum, const std::byte* delta, std::uint64_t count,
                        double rate, double factor);
  Momentum* heavy_ball = nullptr;
  Momentum* nesterov = nullptr;
  /// values = (values * multiplier) / divisor.
  void (*scale)(std::byte* values, std::uint64_t count, double multiplier, double divisor) = nullptr;
  /// local = (of_local * local) + (of_global * global).
  void (*mix)(std::byte* local, const std::byte* global, std::uint64_t count, double of_local,
              double of_global) = nullptr;
  /// local += a - b.
  void (*add_difference)(std::byte* local, const std::byte* a, const std::byte* b,
                         std::uint64_t count) = nullptr;
};

/// One implementation of both working types.
struct UpdateTable {
  const char* name;
  UpdateKernels float32;
  UpdateKernels float64;

  const UpdateKernels& of(DataType working_type) const {
    HAWSER_ASSERT(working_type == DataType::float32 || working_type == DataType::float64);
    return working_type == DataType::float64 ? float64 : float32;
  }
};

}  // namespace hawser
