#pragma once

#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "base/signature.hpp"

namespace hawser {

/// The arithmetic of one element type. Contracts as in reduce.hpp.
struct ReduceKernels {
  void (*add)(std::byte* out, const std::byte* a, const std::byte* b, std::uint64_t count);
  void (*divide)(std::byte* values, std::uint64_t count, double divisor);
};

/// One implementation of all element types.
struct ReduceTable {
  const char* name;
  ReduceKernels float32;

  const ReduceKernels& of(DataType type) const {
    HAWSER_ASSERT(type == DataType::float32);
    return float32;
  }
};

}  // namespace hawser
