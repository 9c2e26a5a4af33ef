#include "device_kernels/diloco_launches.hpp"

#include "base/assert.hpp"
#include "device_kernels/diloco_kernels.hpp"
#include "device_kernels/kernels.hpp"
#include "device_kernels/reduce_kernels.hpp"
#include "device_kernels/reduce_launches.hpp"

namespace hawser::device_kernels {
namespace {

bool works_in_double(DataType type) { return working_type(type) == DataType::float64; }
std::uint64_t working_bytes(DataType type, std::uint64_t count) { return count * element_bytes(working_type(type)); }
std::uint64_t blocks_of(DataType type, std::uint64_t count) {
  return blocks_for(count, element_bytes(working_type(type)));
}

}  // namespace

void pseudo_gradient(std::vector<device::Launch>& out, DataType inner_type, std::byte* delta, const std::byte* outer,
                     const std::byte* inner, std::uint64_t count, double scale) {
  HAWSER_ASSERT(is_float(inner_type));
  HAWSER_ASSERT(check_factor(inner_type, scale, "the scale").ok());
  if (count == 0) return;
  const std::uint64_t bytes = working_bytes(inner_type, count);
  append<Difference>(
      out, blocks_of(inner_type, count),
      {writes(delta, bytes), reads(outer, bytes), reads(inner, count * element_bytes(inner_type))},
      {.count = count, .scale = scale, .is_double = works_in_double(inner_type), .b = format_of(inner_type)});
}

void scale(std::vector<device::Launch>& out, DataType type, std::byte* values, std::uint64_t count, const Ratio& by) {
  HAWSER_ASSERT(check_ratio(type, by).ok());
  if (count == 0) return;
  append<ScaleValues>(
      out, blocks_of(type, count), {writes(values, working_bytes(type, count))},
      {.count = count, .multiplier = by.multiplier, .divisor = by.divisor, .is_double = works_in_double(type)});
}

void outer_step(std::vector<device::Launch>& out, DataType type, const OuterTensor& tensor, std::uint64_t count,
                const OuterStep& step) {
  HAWSER_ASSERT(check_step(type, step).ok());
  if (count == 0) return;
  const std::uint64_t bytes = working_bytes(type, count);
  Memories memory{writes(tensor.outer, bytes), reads(tensor.delta, bytes)};
  if (step.momentum != 0) memory.push_back(writes(tensor.momentum, bytes));
  append<StepOuter>(out, blocks_of(type, count), std::move(memory),
                    {.count = count,
                     .rate = step.learning_rate,
                     .momentum = step.momentum,
                     .is_nesterov = step.nesterov,
                     .is_double = works_in_double(type)});
}

void clear_momentum(std::vector<device::Launch>& out, DataType type, std::byte* momentum, std::uint64_t count) {
  HAWSER_ASSERT(type == working_type(type));
  if (count == 0) return;
  append<FillNegativeZeros>(out, blocks_of(type, count), {writes(momentum, working_bytes(type, count))},
                            {.count = count, .is_double = works_in_double(type)});
}

void mix(std::vector<device::Launch>& out, DataType inner_type, std::byte* local, const std::byte* global,
         std::uint64_t count, double alpha) {
  const MixFactors factors = mix_factors(inner_type, alpha);
  if (factors.of_global == 0 || count == 0) return;
  if (factors.of_local == 0) return narrow_float(out, inner_type, local, global, count);
  append<Mix>(out, blocks_of(inner_type, count),
              {writes(local, count * element_bytes(inner_type)), reads(global, working_bytes(inner_type, count))},
              {.count = count,
               .of_local = factors.of_local,
               .of_global = factors.of_global,
               .is_double = works_in_double(inner_type),
               .local = format_of(inner_type)});
}

void add_difference(std::vector<device::Launch>& out, DataType inner_type, std::byte* local, const std::byte* a,
                    const std::byte* b, std::uint64_t count) {
  HAWSER_ASSERT(is_float(inner_type));
  if (count == 0) return;
  const std::uint64_t bytes = working_bytes(inner_type, count);
  append<AddDifference>(
      out, blocks_of(inner_type, count),
      {writes(local, count * element_bytes(inner_type)), reads(a, bytes), reads(b, bytes)},
      {.count = count, .is_double = works_in_double(inner_type), .local = format_of(inner_type)});
}

}  // namespace hawser::device_kernels
