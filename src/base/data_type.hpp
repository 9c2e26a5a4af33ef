#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hawser {

/// The numbers travel and stand in the C API.
enum class DataType : std::uint8_t {
  float32 = 0,
  float64 = 1,
  float16 = 2,
  bfloat16 = 3,
  int8 = 4,
  uint8 = 5,
  int16 = 6,
  uint16 = 7,
  int32 = 8,
  uint32 = 9,
  int64 = 10,
  uint64 = 11,
};
inline constexpr std::array kDataTypes{
    DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16,
    DataType::int8,    DataType::uint8,   DataType::int16,   DataType::uint16,
    DataType::int32,   DataType::uint32,  DataType::int64,   DataType::uint64,
};

enum class ReduceOp : std::uint8_t { sum = 0, avg = 1, prod = 2, max = 3, min = 4 };
inline constexpr std::array kReduceOps{ReduceOp::sum, ReduceOp::avg, ReduceOp::prod, ReduceOp::max, ReduceOp::min};

constexpr bool is_float(DataType type) { return type <= DataType::bfloat16; }
constexpr bool is_half(DataType type) { return type == DataType::float16 || type == DataType::bfloat16; }

/// Bytes of one element.
constexpr std::size_t element_bytes(DataType type) {
  switch (type) {
    case DataType::int8:
    case DataType::uint8: return 1;
    case DataType::float16:
    case DataType::bfloat16:
    case DataType::int16:
    case DataType::uint16: return 2;
    case DataType::float32:
    case DataType::int32:
    case DataType::uint32: return 4;
    case DataType::float64:
    case DataType::int64:
    case DataType::uint64: return 8;
  }
  return 0;
}

/// "float32".
const char* to_string(DataType type);
/// "sum".
const char* to_string(ReduceOp op);

}  // namespace hawser
