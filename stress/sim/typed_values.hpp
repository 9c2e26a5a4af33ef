#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/data_type.hpp"
#include "kernels/reduce.hpp"

/// Small whole numbers as elements of any type, and what reductions of them come to.
namespace hawser::sim {

template <class T>
void store_as(std::byte* to, double value) {
  const T typed = static_cast<T>(value);
  std::memcpy(to, &typed, sizeof typed);
}

template <class T>
double load_as(const std::byte* from) {
  T typed;
  std::memcpy(&typed, from, sizeof typed);
  return static_cast<double>(typed);
}

inline void store(DataType type, std::byte* to, double value) {
  switch (type) {
    case DataType::float32: return store_as<float>(to, value);
    case DataType::float64: return store_as<double>(to, value);
    case DataType::int8: return store_as<std::int8_t>(to, value);
    case DataType::uint8: return store_as<std::uint8_t>(to, value);
    case DataType::int16: return store_as<std::int16_t>(to, value);
    case DataType::uint16: return store_as<std::uint16_t>(to, value);
    case DataType::int32: return store_as<std::int32_t>(to, value);
    case DataType::uint32: return store_as<std::uint32_t>(to, value);
    case DataType::int64: return store_as<std::int64_t>(to, value);
    case DataType::uint64: return store_as<std::uint64_t>(to, value);
    case DataType::float16:
    case DataType::bfloat16: break;
  }
  std::byte wide[sizeof(float)];
  store_as<float>(wide, value);
  narrow_float(type, to, wide, 1);
}

inline double load(DataType type, const std::byte* from) {
  switch (type) {
    case DataType::float32: return load_as<float>(from);
    case DataType::float64: return load_as<double>(from);
    case DataType::int8: return load_as<std::int8_t>(from);
    case DataType::uint8: return load_as<std::uint8_t>(from);
    case DataType::int16: return load_as<std::int16_t>(from);
    case DataType::uint16: return load_as<std::uint16_t>(from);
    case DataType::int32: return load_as<std::int32_t>(from);
    case DataType::uint32: return load_as<std::uint32_t>(from);
    case DataType::int64: return load_as<std::int64_t>(from);
    case DataType::uint64: return load_as<std::uint64_t>(from);
    case DataType::float16:
    case DataType::bfloat16: break;
  }
  std::byte wide[sizeof(float)];
  widen_float(type, wide, from, 1);
  return load_as<float>(wide);
}

/// Of whole numbers so small that nothing is lost on the way; an average is rounded as the type demands.
inline double reduced(DataType type, ReduceOp op, const std::vector<double>& values) {
  double result = op == ReduceOp::prod ? 1 : op == ReduceOp::sum || op == ReduceOp::avg ? 0 : values.front();
  for (const double value : values) {
    switch (op) {
      case ReduceOp::sum:
      case ReduceOp::avg: result += value; break;
      case ReduceOp::prod: result *= value; break;
      case ReduceOp::max: result = std::max(result, value); break;
      case ReduceOp::min: result = std::min(result, value); break;
    }
  }
  if (op != ReduceOp::avg) return result;
  const auto count = static_cast<double>(values.size());
  if (!is_float(type)) return std::nearbyint(result / count);
  if (type == DataType::float64) return result / count;
  std::byte mean[sizeof(double)];
  store(type, mean, static_cast<double>(static_cast<float>(result) / static_cast<float>(count)));
  return load(type, mean);
}

}  // namespace hawser::sim
