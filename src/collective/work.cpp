#include "collective/work.hpp"

#include <cstring>

#include "kernels/content_digest.hpp"
#include "kernels/payload_codec.hpp"
#include "kernels/quantize.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

std::size_t working_bytes(DataType type, std::uint64_t count) {
  return static_cast<std::size_t>(count) * element_bytes(working_type(type));
}

void widen_own(DataType type, std::byte* sum, const std::byte* values, const std::byte* residual, std::uint64_t count) {
  if (residual != nullptr)
    add_residual(type, sum, values, residual, count);
  else
    widen_float(type, sum, values, count);
}

/// One step. False if it failed.
class Runner {
 public:
  Runner(WorkDesk& desk, WorkResult& result) : desk_(desk), result_(result) {}

  bool operator()(const CopyBytes& step) const {
    std::memcpy(step.to, step.from, step.bytes);
    if (step.done != nullptr) *step.done = 1;
    return true;
  }
  bool operator()(const Combine& step) const {
    switch (step.operands) {
      case Combine::Operands::values: combine_values(step.type, step.op, step.sum, step.a, step.b, step.count); break;
      case Combine::Operands::accumulators_and_values:
        combine_value(step.type, step.op, step.sum, step.a, step.b, step.count);
        break;
      case Combine::Operands::accumulators: combine(step.type, step.op, step.sum, step.a, step.b, step.count); break;
    }
    return true;
  }
  bool operator()(const WidenOwn& step) const {
    widen_own(step.type, step.sum, step.values, step.residual, step.count);
    return true;
  }
  bool operator()(const DequantizeCombine& step) const {
    dequantize_combine(step.quantization, step.type, step.op, step.sum, step.own, step.quantized, step.count);
    return true;
  }
  bool operator()(const FinishSum& step) const {
    finish(step.floats ? working_type(step.type) : step.type, step.op, step.sum, step.count, step.contributors);
    if (step.place == nullptr) return true;
    if (step.floats)
      narrow_float(step.type, step.place, step.sum, step.count);
    else
      narrow(step.type, step.op, step.place, step.sum, step.count);
    return true;
  }
  /// Each chunk is quantised once at each rank, so the error of that is all that error feedback has to keep.
  bool operator()(const QuantizeValues& step) const {
    const std::size_t bytes = working_bytes(step.type, step.count);
    const bool decodes = step.next_residual != nullptr || step.place != nullptr;
    std::byte* const decoded = decodes ? desk_.second(bytes) : nullptr;
    const std::byte* values = step.values;
    if (step.widens && (step.residual != nullptr || step.type != working_type(step.type))) {
      std::byte* const own = desk_.first(bytes);
      widen_own(step.type, own, step.values, step.residual, step.count);
      values = own;
    }
    quantize(step.quantization, step.type, values, step.count, step.seed, step.out, decoded);
    if (step.next_residual != nullptr)
      difference(step.type, step.next_residual, values, decoded, step.residual_scale, step.count);
    if (step.place != nullptr) narrow_float(step.type, step.place, decoded, step.count);
    return true;
  }
  bool operator()(const DequantizeValues& step) const {
    const bool wide = step.type != working_type(step.type);
    std::byte* const values = wide ? desk_.second(working_bytes(step.type, step.count)) : step.place;
    const std::byte* quantized = step.quantized;
    if (quantized == step.place && !wide) {
      std::byte* const copy = desk_.first(step.quantized_bytes);
      std::memcpy(copy, quantized, step.quantized_bytes);
      quantized = copy;
    }
    dequantize(step.quantization, step.type, quantized, step.count, values);
    if (wide) narrow_float(step.type, step.place, values, step.count);
    return true;
  }
  bool operator()(const CheckDigest& step) const {
    return digest_slice({step.bytes, step.count}, step.seed) == step.wanted;
  }
  bool operator()(const CompressPayload& step) const {
    result_.bytes = compress_payload({step.from, step.bytes}, step.stride, {step.out, step.out_bytes_max}).value_or(0);
    return true;
  }
  bool operator()(const DecompressPayload& step) const {
    return decompress_payload({step.from, step.bytes}, step.stride, {step.out, step.out_bytes});
  }

 private:
  WorkDesk& desk_;
  WorkResult& result_;
};

}  // namespace

std::byte* WorkDesk::buffer(Buffer& buffer, std::size_t bytes) {
  if (buffer.size < bytes) {
    buffer.bytes.reset();
    buffer.size = 0;
    buffer.bytes.reset(new std::byte[bytes]);
    buffer.size = bytes;
  }
  return buffer.bytes.get();
}

WorkResult run(const Work& work, WorkDesk& desk) {
  WorkResult result;
  const Runner runner(desk, result);
  for (const WorkStep& step : work.steps) {
    result.right = std::visit(runner, step);
    if (!result.right) break;
  }
  return result;
}

}  // namespace hawser
