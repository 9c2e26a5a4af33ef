#include "kernels/reduce.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/assert.hpp"
#include "kernels/reduce_scalar.hpp"
#include "kernels/reduce_vector.hpp"

namespace hawser {
namespace {

// Payloads travel as they lie in memory, and the protocol says little-endian.
static_assert(std::endian::native == std::endian::little);

const ReduceTable& kernels() {
  static const ReduceTable& table = reduce_vector().empty() ? reduce_scalar() : *reduce_vector().back();
  return table;
}

AccumulatorKernels::Combine* combination(DataType type, ReduceOp op) {
  HAWSER_ASSERT(static_cast<std::size_t>(type) < kDataTypes.size());
  const AccumulatorKernels& of_type = kernels().of(accumulator_type(type, op));
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::avg: return of_type.sum;
    case ReduceOp::prod: return of_type.prod;
    case ReduceOp::max: return of_type.max;
    case ReduceOp::min: return of_type.min;
  }
  HAWSER_ASSERT(false && "a reduce op without a kernel");
}

void copy(std::byte* out, const std::byte* from, std::uint64_t bytes) {
  if (out != from && bytes != 0) std::memcpy(out, from, bytes);
}

// Values that must be widened first go through a piece of the stack that stays in the nearest cache.
constexpr std::uint64_t kStaged = 512;

/// Calls step(first, count) for consecutive pieces of at most kStaged elements.
template <class Step>
void in_pieces(std::uint64_t count, Step step) {
  for (std::uint64_t first = 0; first < count; first += kStaged)
    step(first, std::min(kStaged, count - first));
}

}  // namespace

void widen(DataType type, ReduceOp op, std::byte* out, const std::byte* values, std::uint64_t count) {
  if (is_wide(type, op))
    kernels().of(type).widen(out, values, count);
  else
    copy(out, values, count * element_bytes(type));
}

void combine_values(DataType type, ReduceOp op, std::byte* out, const std::byte* a, const std::byte* b,
                    std::uint64_t count) {
  const auto combine = combination(type, op);
  if (!is_wide(type, op)) return combine(out, a, b, count);
  const auto widen = kernels().of(type).widen;
  const std::size_t narrow_bytes = element_bytes(type);
  const std::size_t wide_bytes = accumulator_bytes(type, op);
  alignas(64) std::array<std::byte, kStaged * kAccumulatorBytesMax> staged;
  in_pieces(count, [&](std::uint64_t first, std::uint64_t n) {
    std::byte* to = out + first * wide_bytes;
    widen(to, a + first * narrow_bytes, n);
    widen(staged.data(), b + first * narrow_bytes, n);
    combine(to, to, staged.data(), n);
  });
}

void combine_value(DataType type, ReduceOp op, std::byte* out, const std::byte* a, const std::byte* b,
                   std::uint64_t count) {
  const auto combine = combination(type, op);
  if (!is_wide(type, op)) return combine(out, a, b, count);
  const auto widen = kernels().of(type).widen;
  const std::size_t wide_bytes = accumulator_bytes(type, op);
  alignas(64) std::array<std::byte, kStaged * kAccumulatorBytesMax> staged;
  in_pieces(count, [&](std::uint64_t first, std::uint64_t n) {
    widen(staged.data(), b + first * element_bytes(type), n);
    combine(out + first * wide_bytes, a + first * wide_bytes, staged.data(), n);
  });
}

void combine(DataType type, ReduceOp op, std::byte* out, const std::byte* a, const std::byte* b,
             std::uint64_t count) {
  combination(type, op)(out, a, b, count);
}

void finish(DataType type, ReduceOp op, std::byte* accumulators, std::uint64_t count,
            std::uint32_t contributors) {
  HAWSER_ASSERT(contributors >= 1);
  HAWSER_ASSERT(contributors <= kContributorsMax);
  if (op == ReduceOp::avg) kernels().of(accumulator_type(type, op)).divide(accumulators, count, contributors);
}

void narrow(DataType type, ReduceOp op, std::byte* out, const std::byte* accumulators, std::uint64_t count) {
  if (is_wide(type, op))
    kernels().of(type).narrow(out, accumulators, count);
  else
    copy(out, accumulators, count * element_bytes(type));
}

void widen_float(DataType type, std::byte* out, const std::byte* values, std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  widen(type, ReduceOp::sum, out, values, count);
}

void narrow_float(DataType type, std::byte* out, const std::byte* accumulators, std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  narrow(type, ReduceOp::sum, out, accumulators, count);
}

void add_residual(DataType type, std::byte* out, const std::byte* values, const std::byte* residual,
                  std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  // Addition commutes, NaN payloads apart.
  combine_value(type, ReduceOp::sum, out, residual, values, count);
}

void difference(DataType type, std::byte* out, const std::byte* a, const std::byte* b, double scale,
                std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  kernels().of(accumulator_type(type, ReduceOp::sum)).difference(out, a, b, scale, count);
}

}  // namespace hawser
