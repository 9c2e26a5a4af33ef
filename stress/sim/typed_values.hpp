#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
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

template <class T>
void store_all_as(std::byte* to, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) store_as<T>(to + i * sizeof(T), values[i]);
}

/// As store(), one element after the other.
inline void store_all(DataType type, std::byte* to, std::span<const double> values) {
  switch (type) {
    case DataType::float32: return store_all_as<float>(to, values);
    case DataType::float64: return store_all_as<double>(to, values);
    case DataType::int8: return store_all_as<std::int8_t>(to, values);
    case DataType::uint8: return store_all_as<std::uint8_t>(to, values);
    case DataType::int16: return store_all_as<std::int16_t>(to, values);
    case DataType::uint16: return store_all_as<std::uint16_t>(to, values);
    case DataType::int32: return store_all_as<std::int32_t>(to, values);
    case DataType::uint32: return store_all_as<std::uint32_t>(to, values);
    case DataType::int64: return store_all_as<std::int64_t>(to, values);
    case DataType::uint64: return store_all_as<std::uint64_t>(to, values);
    case DataType::float16:
    case DataType::bfloat16: break;
  }
  std::vector<std::byte> wide(values.size() * sizeof(float));
  store_all_as<float>(wide.data(), values);
  narrow_float(type, to, wide.data(), values.size());
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

/// Of so many whole numbers with this sum, rounded as the type demands.
inline double mean(DataType type, double sum, std::size_t numbers) {
  const auto count = static_cast<double>(numbers);
  if (!is_float(type)) return std::nearbyint(sum / count);
  if (type == DataType::float64) return sum / count;
  if (type == DataType::float32) return static_cast<double>(static_cast<float>(sum) / static_cast<float>(count));
  std::byte rounded[sizeof(double)];
  store(type, rounded, static_cast<double>(static_cast<float>(sum) / static_cast<float>(count)));
  return load(type, rounded);
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
  return op == ReduceOp::avg ? mean(type, result, values.size()) : result;
}

}  // namespace hawser::sim
