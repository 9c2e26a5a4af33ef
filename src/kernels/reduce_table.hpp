#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/data_type.hpp"
#include "kernels/reduce.hpp"

namespace hawser {

/// The arithmetic of one accumulator type; null where no (type, op) needs it. Contracts as in reduce.hpp.
struct AccumulatorKernels {
  using Combine = void(std::byte* out, const std::byte* a, const std::byte* b, std::uint64_t count);
  Combine* sum = nullptr;
  Combine* prod = nullptr;
  Combine* max = nullptr;
  Combine* min = nullptr;
  void (*divide)(std::byte* values, std::uint64_t count, std::uint32_t divisor) = nullptr;
  /// out = (a - b) * scale.
  void (*difference)(std::byte* out, const std::byte* a, const std::byte* b, double scale,
                     std::uint64_t count) = nullptr;
};

/// Between one element type and its wide accumulator; null for types that have none.
struct ConvertKernels {
  using Convert = void(std::byte* out, const std::byte* from, std::uint64_t count);
  Convert* widen = nullptr;
  Convert* narrow = nullptr;
};

/// One implementation of all types.
struct ReduceTable {
  const char* name;
  std::array<AccumulatorKernels, kAccumulatorTypes> by_accumulator{};
  std::array<ConvertKernels, kDataTypes.size()> by_type{};

  constexpr AccumulatorKernels& of(AccumulatorType type) {
    return by_accumulator[static_cast<std::size_t>(type)];
  }
  constexpr const AccumulatorKernels& of(AccumulatorType type) const {
    return by_accumulator[static_cast<std::size_t>(type)];
  }
  constexpr ConvertKernels& of(DataType type) { return by_type[static_cast<std::size_t>(type)]; }
  constexpr const ConvertKernels& of(DataType type) const { return by_type[static_cast<std::size_t>(type)]; }
};

}  // namespace hawser
