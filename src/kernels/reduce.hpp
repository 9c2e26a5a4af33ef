#pragma once

#include <cstddef>
#include <cstdint>

#include "base/data_type.hpp"

/// Element-wise arithmetic of reductions. Every implementation gives the same bits (the payload and sign of a
/// float sum's or product's NaN apart), on every machine:
///
/// - Float sum, prod and avg: IEEE operations in the arguments' order, one rounding each, nothing fused,
///   denormals kept. avg is the sum, divided once by the contributors.
/// - Float max and min: +0 is larger than -0; a NaN in any input gives the canonical quiet NaN. So neither
///   depends on the order of the inputs.
/// - Integer sum and prod wrap modulo 2^bits. Integer avg is the exact mean, rounded to nearest even.
///
/// Partial results of some combinations are kept in a wider type, the accumulator, from the first value to
/// the last, and are rounded once, by narrow(): a reduction of n inputs is
///
///     combine_values or widen, combine_value and combine in any tree; finish; narrow
///
/// Everywhere: `count` elements at any alignment. `out` may be the same memory as an input with elements of
/// the same size, else shares none with it. Nothing here blocks or allocates; safe from any thread.
namespace hawser {

/// What partial results are, in memory and on the wire (little-endian).
enum class AccumulatorType : std::uint8_t {
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
  int128 = 12,
  uint128 = 13,
};
inline constexpr std::size_t kAccumulatorTypes = 14;
/// The most that one accumulator takes.
inline constexpr std::size_t kAccumulatorBytesMax = 16;
/// The most inputs of one reduction: sums for avg cannot overflow, and every number up to it is a float.
inline constexpr std::uint32_t kContributorsMax = 1U << 24;

/// The element type itself, except: float32 for sum, avg and prod of 16-bit floats, 64 bits for avg of
/// integers up to 32 bits, 128 bits for avg of 64-bit integers.
constexpr AccumulatorType accumulator_type(DataType type, ReduceOp op) {
  if (is_half(type) && op != ReduceOp::max && op != ReduceOp::min) return AccumulatorType::float32;
  if (op == ReduceOp::avg) switch (type) {
      case DataType::int8:
      case DataType::int16:
      case DataType::int32: return AccumulatorType::int64;
      case DataType::uint8:
      case DataType::uint16:
      case DataType::uint32: return AccumulatorType::uint64;
      case DataType::int64: return AccumulatorType::int128;
      case DataType::uint64: return AccumulatorType::uint128;
      default: break;
    }
  return static_cast<AccumulatorType>(type);  // The element types have the same numbers.
}

/// Bytes of one accumulator.
constexpr std::size_t accumulator_bytes(DataType type, ReduceOp op) {
  const AccumulatorType accumulator = accumulator_type(type, op);
  if (accumulator >= AccumulatorType::int128) return 16;
  return element_bytes(static_cast<DataType>(accumulator));
}

/// Whether the accumulator differs from the element type.
constexpr bool is_wide(DataType type, ReduceOp op) {
  return accumulator_type(type, op) != static_cast<AccumulatorType>(type);
}

/// out (accumulators) = the values.
void widen(DataType type, ReduceOp op, std::byte* out, const std::byte* values, std::uint64_t count);
/// out (accumulators) = a op b, both values.
void combine_values(DataType type, ReduceOp op, std::byte* out, const std::byte* a, const std::byte* b,
                    std::uint64_t count);
/// out (accumulators) = a (accumulators) op b (values).
void combine_value(DataType type, ReduceOp op, std::byte* out, const std::byte* a, const std::byte* b,
                   std::uint64_t count);
/// out (accumulators) = a op b, both accumulators.
void combine(DataType type, ReduceOp op, std::byte* out, const std::byte* a, const std::byte* b,
             std::uint64_t count);
/// Makes the final result, in place and still in accumulators, from the combination of all `contributors` (1
/// to kContributorsMax): avg divides by their number, correctly rounded; the others are final already.
void finish(DataType type, ReduceOp op, std::byte* accumulators, std::uint64_t count,
            std::uint32_t contributors);
/// out (values) = the accumulators, floats rounded to nearest even with NaNs canonical, integers modulo
/// 2^bits (a mean always fits). A copy where the accumulator is not wide.
void narrow(DataType type, ReduceOp op, std::byte* out, const std::byte* accumulators, std::uint64_t count);

/// Quantised reductions of a float type work in the accumulators of (type, sum) whatever the op, in float64
/// for float64 and float32 for the others: there, combine() and finish() are called with that type.
constexpr DataType working_type(DataType type) {
  return type == DataType::float64 ? DataType::float64 : DataType::float32;
}
/// out (elements of the working type) = the values.
void widen_float(DataType type, std::byte* out, const std::byte* values, std::uint64_t count);
/// out (values) = the elements of the working type, rounded to nearest even, NaNs canonical if that changes
/// the type.
void narrow_float(DataType type, std::byte* out, const std::byte* accumulators, std::uint64_t count);
/// out = values (elements of `type`) + residual; out and residual of the working type.
void add_residual(DataType type, std::byte* out, const std::byte* values, const std::byte* residual,
                  std::uint64_t count);
/// out = (a - b) * scale, all of the working type, rounded after each step.
void difference(DataType type, std::byte* out, const std::byte* a, const std::byte* b, double scale,
                std::uint64_t count);

}  // namespace hawser
