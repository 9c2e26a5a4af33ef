#pragma once

#include <cstddef>
#include <vector>

#include "kernels/reduce.hpp"

namespace hawser {

inline std::byte* bytes(std::vector<float>& values) { return reinterpret_cast<std::byte*>(values.data()); }
inline const std::byte* bytes(const std::vector<float>& values) {
  return reinterpret_cast<const std::byte*>(values.data());
}

/// What an all-reduce gives for one value of each member, added up starting at member `first`: in a ring,
/// each chunk starts elsewhere.
inline std::vector<float> group_reduce(ReduceOp op, const std::vector<std::vector<float>>& members,
                                       std::size_t first = 0) {
  std::vector<float> result = members[first];
  for (std::size_t i = 1; i < members.size(); ++i) {
    const std::vector<float>& next = members[(first + i) % members.size()];
    combine(DataType::float32, op, bytes(result), bytes(result), bytes(next), result.size());
  }
  finish(DataType::float32, op, bytes(result), result.size(), static_cast<std::uint32_t>(members.size()));
  return result;
}

}  // namespace hawser
