#include "kernels/reduce.hpp"

#include <bit>

#include "base/assert.hpp"
#include "kernels/reduce_scalar.hpp"
#include "kernels/reduce_vector.hpp"

namespace hawser {
namespace {

// Payloads travel as they lie in memory, and the protocol says little-endian.
static_assert(std::endian::native == std::endian::little);

/// Every whole number up to this one is a float, so that dividing by it rounds once.
constexpr std::uint32_t kContributorsMax = 1 << 24;

const ReduceKernels& kernels(DataType type) {
  static const ReduceTable& table = reduce_vector().empty() ? reduce_scalar() : *reduce_vector().back();
  return table.of(type);
}

}  // namespace

void add(std::span<float> accumulator, std::span<const float> x) { add_to(accumulator, accumulator, x); }

void add_to(std::span<float> out, std::span<const float> a, std::span<const float> b) {
  HAWSER_ASSERT(out.size() == a.size());
  HAWSER_ASSERT(out.size() == b.size());
  kernels(DataType::float32)
      .add(std::as_writable_bytes(out).data(), std::as_bytes(a).data(), std::as_bytes(b).data(), out.size());
}

void divide(std::span<float> values, float divisor) {
  kernels(DataType::float32).divide(std::as_writable_bytes(values).data(), values.size(), divisor);
}

void combine(DataType type, ReduceOp op, std::byte* accumulator, const std::byte* own,
             const std::byte* incoming, std::uint64_t count) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::avg: kernels(type).add(accumulator, own, incoming, count); return;
  }
  HAWSER_ASSERT(false && "a reduce op without a kernel");
}

void finish(DataType type, ReduceOp op, std::byte* value, std::uint64_t count, std::uint32_t contributors) {
  HAWSER_ASSERT(contributors >= 1);
  HAWSER_ASSERT(contributors <= kContributorsMax);
  switch (op) {
    case ReduceOp::sum: return;
    case ReduceOp::avg: kernels(type).divide(value, count, contributors); return;
  }
  HAWSER_ASSERT(false && "a reduce op without a finish");
}

}  // namespace hawser
