#include "kernel_bench/measured_kernels.hpp"

#include <algorithm>
#include <utility>

#include "base/quantization.hpp"
#include "device_kernels/launches.hpp"
#include "kernels/quantize.hpp"

namespace hawser::kernel_bench {
namespace {

namespace on_device = device_kernels;

constexpr DataType kFloat = DataType::float32;
constexpr std::uint64_t kFloatBytes = 4;

/// One after the other, the tensors of a list that are packed into one buffer.
std::vector<on_device::Segment> segments_of(std::byte* at, std::uint64_t bytes, std::uint64_t each) {
  std::vector<on_device::Segment> segments;
  for (std::uint64_t begin = 0; begin < bytes; begin += each)
    segments.push_back({.at = at + begin, .bytes = std::min(each, bytes - begin)});
  return segments;
}

class List {
 public:
  explicit List(const Arrays& arrays) : arrays_(arrays), bytes_(arrays.count() * kFloatBytes) {}

  void add_packing() {
    for (const auto& [name, each] : {std::pair{"64 KiB", 64U << 10}, std::pair{"4 MiB", 4U << 20}}) {
      const auto segments = segments_of(arrays_.values(), bytes_, each);
      on_device::gather(begin(std::string("pack, tensors of ") + name, 2 * bytes_), segments, arrays_.results());
      const auto targets = segments_of(arrays_.results(), bytes_, each);
      on_device::scatter(begin(std::string("unpack, tensors of ") + name, 2 * bytes_), arrays_.values(), targets);
    }
  }

  void add_reductions() {
    const std::uint64_t count = arrays_.count();
    std::byte* const to = arrays_.results();
    on_device::combine_values(begin("sum of two, float32", 3 * bytes_), kFloat, ReduceOp::sum, to, arrays_.values(),
                              arrays_.others(), count);
    on_device::combine_value(begin("sum and bfloat16 value", bytes_ * 5 / 2), DataType::bfloat16, ReduceOp::sum, to,
                             arrays_.values(), arrays_.others(), count);
    on_device::finish(begin("average, float32", 2 * bytes_), kFloat, ReduceOp::avg, to, count, 3);
    on_device::widen_float(begin("widen, bfloat16", bytes_ * 3 / 2), DataType::bfloat16, to, arrays_.values(), count);
    on_device::narrow_float(begin("narrow, bfloat16", bytes_ * 3 / 2), DataType::bfloat16, to, arrays_.values(), count);
    on_device::difference(begin("difference, float32", 3 * bytes_), kFloat, to, arrays_.values(), arrays_.others(), 1.0,
                          count);
  }

  void add_outer_steps() {
    const std::uint64_t count = arrays_.count();
    on_device::pseudo_gradient(begin("pseudo-gradient, bfloat16 inner", bytes_ * 5 / 2), DataType::bfloat16,
                               arrays_.results(), arrays_.values(), arrays_.others(), count, 1.0);
    // The outer values move away from what they were, which is no matter for the time.
    on_device::outer_step(begin("outer step with momentum, float32", 5 * bytes_), kFloat,
                          {.outer = arrays_.others(), .momentum = arrays_.results(), .delta = arrays_.values()},
                          count, {});
  }

  void add_digests() {
    on_device::digest_slices(begin("digest", bytes_), arrays_.values(), bytes_, 1, arrays_.results());
  }

  /// `passes`: how often quantising reads the values, since a scale of all comes from all of them.
  void add_quantization(const std::string& name, const Quantization& quantization, unsigned passes) {
    const std::uint64_t count = arrays_.count();
    const std::uint64_t small = quantized_bytes(quantization, kFloat, count);
    on_device::quantize(begin("quantise, " + name, passes * bytes_ + small), quantization, kFloat, arrays_.values(),
                        count, 1, arrays_.results(), nullptr, arrays_.scratch());
    // What the launches before have left there.
    on_device::dequantize(begin("decode, " + name, bytes_ + small), quantization, kFloat, arrays_.results(), count,
                          arrays_.others());
    on_device::dequantize_combine(begin("decode and sum, " + name, 2 * bytes_ + small), quantization, kFloat,
                                  ReduceOp::sum, arrays_.others(), arrays_.values(), arrays_.results(), count);
  }

  std::vector<MeasuredKernel> take() { return std::move(kernels_); }

 private:
  std::vector<device::Launch>& begin(std::string name, std::uint64_t bytes_moved) {
    kernels_.push_back({.name = std::move(name), .bytes_moved = bytes_moved, .launches = {}});
    return kernels_.back().launches;
  }

  const Arrays& arrays_;
  std::uint64_t bytes_;
  std::vector<MeasuredKernel> kernels_;
};

struct Scheme {
  const char* name;
  Quantization quantization;
  unsigned passes;
};
constexpr Scheme kSchemes[] = {
    {"block-8", {.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 256}, 1},
    {"block-4", {.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int4, .block = 256}, 1},
    {"min-max-8", {.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8}, 2},
    {"zero-point-8", {.scheme = QuantizationScheme::zero_point_scale, .type = QuantizedType::uint8}, 2},
    {"bfloat16", {.scheme = QuantizationScheme::cast, .type = QuantizedType::bfloat16}, 1},
    {"float16", {.scheme = QuantizationScheme::cast, .type = QuantizedType::float16}, 1}};

}  // namespace

Result<Arrays> Arrays::allocate(device::Devices& devices, int device, std::uint64_t count) {
  std::uint64_t scratch = 1;
  for (const Scheme& scheme : kSchemes)
    scratch = std::max(scratch, on_device::quantize_scratch_bytes(scheme.quantization, kFloat, count));
  Arrays arrays;
  arrays.count_ = count;
  for (const auto& [to, bytes] : {std::pair{&arrays.values_, count * kFloatBytes},
                                  std::pair{&arrays.others_, count * kFloatBytes},
                                  std::pair{&arrays.results_, count * kFloatBytes},
                                  std::pair{&arrays.scratch_, scratch}}) {
    auto memory = devices.allocate(device, bytes);
    if (!memory.ok()) return memory.error();
    *to = std::move(*memory);
  }
  return arrays;
}

std::vector<MeasuredKernel> measured_kernels(const Arrays& arrays) {
  List list(arrays);
  list.add_packing();
  list.add_reductions();
  for (const Scheme& scheme : kSchemes) list.add_quantization(scheme.name, scheme.quantization, scheme.passes);
  list.add_digests();
  list.add_outer_steps();
  return list.take();
}

}  // namespace hawser::kernel_bench
