#include "device_kernels/quantize_launches.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"
#include "device_kernels/blockwise_kernels.hpp"
#include "device_kernels/cast_kernels.hpp"
#include "device_kernels/decode_kernels.hpp"
#include "device_kernels/kernels.hpp"
#include "device_kernels/quantize_kernels.hpp"
#include "kernels/quantize.hpp"

namespace hawser::device_kernels {
namespace {

using Launches = std::vector<device::Launch>;

bool has_chunk_scale(const Quantization& q) {
  return q.scheme == QuantizationScheme::min_max || q.scheme == QuantizationScheme::zero_point_scale;
}

/// Blocks that share the tiles of so many elements.
std::uint32_t sharing_blocks(std::uint64_t count, std::size_t bytes, unsigned most) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks_for(count, bytes), most));
}

/// What all encoders are given.
struct Encoding {
  const Quantization& quantization;
  DataType type;
  Format format;  ///< Of the values in memory.
  const std::byte* values;
  std::uint64_t count;
  Dither dither;
  std::byte* to;
  std::byte* decoded;

  bool is_double() const { return type == DataType::float64; }
  std::size_t working_bytes() const { return element_bytes(working_type(type)); }
  std::size_t before_codes() const { return scale_bytes(quantization, type, count); }

  device::Launch::Memory values_memory() const { return reads(values, count * format_bytes(format)); }
  device::Launch::Memory scales_memory() const { return writes(to, before_codes()); }
  device::Launch::Memory codes_memory() const {
    return writes(to + before_codes(), quantized_bytes(quantization, type, count) - before_codes());
  }
  device::Launch::Memory decoded_memory() const {
    return writes(decoded, decoded == nullptr ? 0 : count * working_bytes());
  }
};

void append_chunk(Launches& out, const Encoding& e, std::byte* scratch) {
  const std::uint32_t finders = sharing_blocks(e.count, e.working_bytes(), kFindersMax);
  const device::Launch::Memory found = writes(scratch, finders * sizeof(Places));
  append_for<FindPlaces>(e.is_double(), out, finders, {e.values_memory(), found},
                         {.count = e.count, .blocks = finders, .format = e.format});
  const std::uint32_t encoders = sharing_blocks(e.count, e.working_bytes(), kEncodersMax);
  append_for<EncodeChunk>(e.is_double(), out, encoders,
                          {e.values_memory(), found, e.scales_memory(), e.codes_memory(), e.decoded_memory()},
                          {.count = e.count,
                           .dither = e.dither,
                           .blocks = encoders,
                           .found = finders,
                           .scheme = e.quantization.scheme,
                           .type = e.quantization.type,
                           .is_stochastic = e.quantization.stochastic,
                           .format = e.format});
}

void append_groups(Launches& out, const Encoding& e) {
  append_for<EncodeGroups>(e.is_double(), out, blocks_for(e.count, e.working_bytes()),
                           {e.values_memory(), e.scales_memory(), e.codes_memory(), e.decoded_memory()},
                           {.count = e.count,
                            .dither = e.dither,
                            .group = e.quantization.block,
                            .type = e.quantization.type,
                            .is_stochastic = e.quantization.stochastic,
                            .format = e.format});
}

void append_cast(Launches& out, const Encoding& e) {
  append_for<EncodeCast>(e.is_double(), out, blocks_for(e.count, e.working_bytes()),
                         {e.values_memory(), e.codes_memory(), e.decoded_memory()},
                         {.count = e.count,
                          .dither = e.dither,
                          .is_float16 = e.quantization.type == QuantizedType::float16,
                          .is_stochastic = e.quantization.stochastic,
                          .format = e.format});
}

void append_encode(Launches& out, const Encoding& e, std::byte* scratch) {
  HAWSER_ASSERT(is_float(e.type));
  if (e.count == 0) return;
  if (has_chunk_scale(e.quantization)) return append_chunk(out, e, scratch);
  if (e.quantization.scheme == QuantizationScheme::blockwise) return append_groups(out, e);
  append_cast(out, e);
}

/// What is decoded, and into what.
struct Decoding {
  const Quantization& quantization;
  DataType type;
  const std::byte* quantized;
  std::uint64_t count;
  std::byte* to;
  Format to_format;
  const std::byte* own = nullptr;
  ReduceOp op = ReduceOp::sum;
};

void append_decode(Launches& out, const Decoding& d) {
  HAWSER_ASSERT(is_float(d.type));
  if (d.count == 0) return;
  const Quantization& q = d.quantization;
  const std::size_t bytes = element_bytes(working_type(d.type));
  const std::size_t before_codes = scale_bytes(q, d.type, d.count);
  append_for<Decode>(d.type == DataType::float64, out, blocks_for(d.count, bytes),
                     {reads(d.quantized, before_codes),
                      reads(d.quantized + before_codes, quantized_bytes(q, d.type, d.count) - before_codes),
                      reads(d.own, d.own == nullptr ? 0 : d.count * bytes),
                      writes(d.to, d.count * format_bytes(d.to_format))},
                     {.count = d.count,
                      .group_shift = static_cast<std::uint32_t>(std::bit_width(std::uint32_t{q.block} >> 1)),
                      .scheme = q.scheme,
                      .type = q.type,
                      .op = d.op,
                      .out = d.to_format});
}

}  // namespace

std::uint64_t quantize_scratch_bytes(const Quantization& quantization, DataType type, std::uint64_t count) {
  if (!has_chunk_scale(quantization)) return 0;
  return sharing_blocks(count, element_bytes(working_type(type)), kFindersMax) * sizeof(Places);
}

void quantize(Launches& out, const Quantization& quantization, DataType type, const std::byte* values,
              std::uint64_t count, std::uint64_t seed, std::byte* to, std::byte* decoded, std::byte* scratch) {
  append_encode(out,
                {quantization, type, format_of(working_type(type)), values, count, Dither::of(seed), to, decoded},
                scratch);
}

void quantize_values(Launches& out, const Quantization& quantization, DataType type, const std::byte* values,
                     std::uint64_t count, std::uint64_t seed, std::byte* to, std::byte* decoded,
                     std::byte* scratch) {
  append_encode(out, {quantization, type, format_of(type), values, count, Dither::of(seed), to, decoded}, scratch);
}

void dequantize(Launches& out, const Quantization& quantization, DataType type, const std::byte* quantized,
                std::uint64_t count, std::byte* to) {
  append_decode(out, {quantization, type, quantized, count, to, format_of(working_type(type))});
}

void dequantize_values(Launches& out, const Quantization& quantization, DataType type, const std::byte* quantized,
                       std::uint64_t count, std::byte* to) {
  append_decode(out, {quantization, type, quantized, count, to, format_of(type)});
}

void dequantize_combine(Launches& out, const Quantization& quantization, DataType type, ReduceOp op, std::byte* to,
                        const std::byte* own, const std::byte* quantized, std::uint64_t count) {
  append_decode(out, {quantization, type, quantized, count, to, format_of(working_type(type)), own, op});
}

}  // namespace hawser::device_kernels
