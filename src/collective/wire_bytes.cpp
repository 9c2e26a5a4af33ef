#include "collective/wire_bytes.hpp"

#include "kernels/quantize.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

constexpr std::uint64_t kElements = 1024;  ///< As WireBytes counts.

}  // namespace

WireBytes wire_bytes(const Signature& signature) {
  if (signature.quantization) {
    const std::uint64_t quantized = quantized_bytes(signature.quantization, signature.type, kElements);
    return {.leaf_up = quantized, .inner_up = quantized, .down = quantized};
  }
  const std::uint64_t values = kElements * element_bytes(signature.type);
  return {.leaf_up = values,
          .inner_up = kElements * accumulator_bytes(signature.type, signature.op),
          .down = values};
}

}  // namespace hawser
