#include "device_kernels/reduce_launches.hpp"

#include "base/assert.hpp"
#include "device_kernels/kernels.hpp"
#include "device_kernels/list_launches.hpp"
#include "device_kernels/reduce_kernels.hpp"

namespace hawser::device_kernels {
namespace {

struct Operand {
  const std::byte* at;
  Format format;
};

void append_combine(Launches& out, ReduceOp op, Format accumulator, std::byte* to, const Operand& a, const Operand& b,
                    std::uint64_t count) {
  if (count == 0) return;
  const std::size_t bytes = format_bytes(accumulator);
  append<Combine>(out, blocks_for(count, bytes),
                  {writes(to, count * bytes), reads(a.at, count * format_bytes(a.format)),
                   reads(b.at, count * format_bytes(b.format))},
                  {.count = count, .op = op, .accumulator = accumulator, .a = a.format, .b = b.format});
}

void append_convert(Launches& out, Format accumulator, std::byte* to, Format to_format, const Operand& from,
                    std::uint64_t count) {
  if (count == 0) return;
  if (to_format == from.format) return copy(out, to, from.at, count * format_bytes(to_format));
  append<Convert>(out, blocks_for(count, format_bytes(accumulator)),
                  {writes(to, count * format_bytes(to_format)), reads(from.at, count * format_bytes(from.format))},
                  {.count = count, .accumulator = accumulator, .out = to_format, .in = from.format});
}

}  // namespace

void widen(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* values, std::uint64_t count) {
  const Format wide = accumulator_type(type, op);
  append_convert(out, wide, to, wide, {values, format_of(type)}, count);
}

void combine_values(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* a, const std::byte* b,
                    std::uint64_t count) {
  const Format narrow = format_of(type);
  append_combine(out, op, accumulator_type(type, op), to, {a, narrow}, {b, narrow}, count);
}

void combine_value(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* a, const std::byte* b,
                   std::uint64_t count) {
  const Format wide = accumulator_type(type, op);
  append_combine(out, op, wide, to, {a, wide}, {b, format_of(type)}, count);
}

void combine(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* a, const std::byte* b,
             std::uint64_t count) {
  const Format wide = accumulator_type(type, op);
  append_combine(out, op, wide, to, {a, wide}, {b, wide}, count);
}

void finish(Launches& out, DataType type, ReduceOp op, std::byte* accumulators, std::uint64_t count,
            std::uint32_t contributors) {
  HAWSER_ASSERT(contributors >= 1 && contributors <= kContributorsMax);
  if (op != ReduceOp::avg || count == 0) return;
  const Format wide = accumulator_type(type, op);
  const std::size_t bytes = format_bytes(wide);
  append<Divide>(out, blocks_for(count, bytes), {writes(accumulators, count * bytes)},
                 {.count = count, .accumulator = wide, .divisor = contributors});
}

void narrow(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* accumulators,
            std::uint64_t count) {
  const Format wide = accumulator_type(type, op);
  append_convert(out, wide, to, format_of(type), {accumulators, wide}, count);
}

void widen_float(Launches& out, DataType type, std::byte* to, const std::byte* values, std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  widen(out, type, ReduceOp::sum, to, values, count);
}

void narrow_float(Launches& out, DataType type, std::byte* to, const std::byte* accumulators, std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  narrow(out, type, ReduceOp::sum, to, accumulators, count);
}

void add_residual(Launches& out, DataType type, std::byte* to, const std::byte* values, const std::byte* residual,
                  std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  combine_value(out, type, ReduceOp::sum, to, residual, values, count);
}

void difference(Launches& out, DataType type, std::byte* to, const std::byte* a, const std::byte* b, double scale,
                std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  if (count == 0) return;
  const DataType working = working_type(type);
  const std::size_t bytes = element_bytes(working);
  append<Difference>(
      out, blocks_for(count, bytes), {writes(to, count * bytes), reads(a, count * bytes), reads(b, count * bytes)},
      {.count = count, .scale = scale, .is_double = working == DataType::float64, .b = format_of(working)});
}

}  // namespace hawser::device_kernels
