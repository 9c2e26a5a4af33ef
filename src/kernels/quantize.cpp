#include "kernels/quantize.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/assert.hpp"
#include "kernels/quantize_scalar.hpp"
#include "kernels/quantize_scale.hpp"
#include "kernels/quantize_vector.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

const QuantizeTable& kernels() {
  static const QuantizeTable& table =
      quantize_vector().empty() ? quantize_scalar() : *quantize_vector().back();
  return table;
}

// What is converted twice goes through a piece of the stack that stays in the nearest cache. A multiple of
// every block.
constexpr std::uint64_t kStaged = kQuantizationBlockMax;
template <class T>
using Staged = std::array<std::byte, kStaged * sizeof(T)>;

/// Calls step(first, count) for consecutive pieces of at most kStaged values.
template <class Step>
void in_pieces(std::uint64_t count, Step step) {
  for (std::uint64_t first = 0; first < count; first += kStaged)
    step(first, std::min(kStaged, count - first));
}

std::uint64_t code_bits(QuantizedType type) {
  switch (type) {
    case QuantizedType::int4: return 4;
    case QuantizedType::uint8:
    case QuantizedType::int8: return 8;
    case QuantizedType::uint16:
    case QuantizedType::bfloat16:
    case QuantizedType::float16: return 16;
  }
  HAWSER_ASSERT(false && "a quantised type without a size");
}

template <class T>
T read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void write(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

/// Bytes before the codes.
template <class T>
std::uint64_t header_bytes(const Quantization& q, std::uint64_t count) {
  switch (q.scheme) {
    case QuantizationScheme::min_max:
    case QuantizationScheme::zero_point_scale: return 2 * sizeof(T);
    case QuantizationScheme::blockwise:
      HAWSER_ASSERT(q.block != 0 && kStaged % q.block == 0);
      return (count + q.block - 1) / q.block * sizeof(T);
    case QuantizationScheme::cast: return 0;
    case QuantizationScheme::none: break;
  }
  HAWSER_ASSERT(false && "no quantisation scheme");
}

template <class T>
void encode_chunk(const QuantizeTable& table, const Quantization& q, const std::byte* values,
                  std::uint64_t count, std::uint64_t seed, std::byte* out) {
  const CodecKernels<T>& codec = table.of<T>();
  const Scale<T> scale = chunk_scale(q.scheme, q.type, codec.extremes(values, count));
  write(out, scale.first);
  write(out + sizeof(T), scale.second);
  std::byte* const codes = out + 2 * sizeof(T);
  if (!scale.representable) {
    std::memset(codes, 0, count * code_bits(q.type) / 8);
    return;
  }
  const auto encode =
      (q.type == QuantizedType::uint16 ? codec.encode_16 : codec.encode_8)[q.stochastic ? 1 : 0];
  encode(scale.encoding, values, count, Dither::of(seed), codes);
}

template <class T>
void encode_blocks(const QuantizeTable& table, const Quantization& q, const std::byte* values,
                   std::uint64_t count, std::uint64_t seed, std::byte* out) {
  const CodecKernels<T>& codec = table.of<T>();
  const auto& by_rounding = q.type == QuantizedType::int4 ? codec.encode_blocks_4 : codec.encode_blocks_8;
  by_rounding[q.stochastic ? 1 : 0](values, count, q.block, Dither::of(seed), out,
                                    out + header_bytes<T>(q, count));
}

DataType cast_type(const Quantization& q) {
  return q.type == QuantizedType::float16 ? DataType::float16 : DataType::bfloat16;
}

template <class T>
void encode_cast(const QuantizeTable& table, const Quantization& q, const std::byte* values,
                 std::uint64_t count, std::uint64_t seed, std::byte* out) {
  const Dither dither = Dither::of(seed);
  const auto round =
      q.type == QuantizedType::float16 ? table.cast.round_to_float16 : table.cast.round_to_bfloat16;
  alignas(64) Staged<float> staged;
  in_pieces(count, [&](std::uint64_t first, std::uint64_t n) {
    const std::byte* from = values + first * sizeof(T);
    if constexpr (sizeof(T) == sizeof(double)) {
      table.cast.round_to_odd(staged.data(), from, n);
      from = staged.data();
    }
    if (q.stochastic) {
      round(staged.data(), from, n, dither.from(first));
      from = staged.data();
    }
    narrow_float(cast_type(q), out + 2 * first, from, n);
  });
}

/// Decodes a payload, whole or in pieces.
template <class T>
class Decoder {
 public:
  Decoder(const QuantizeTable& table, const Quantization& q, const std::byte* quantized, std::uint64_t count)
      : table_(table), q_(q), header_(quantized), codes_(quantized + header_bytes<T>(q, count)) {
    if (q.scheme == QuantizationScheme::min_max || q.scheme == QuantizationScheme::zero_point_scale)
      decoding_ = chunk_decoding(q.scheme, read<T>(header_), read<T>(header_ + sizeof(T)));
  }

  /// `first` is a multiple of kStaged.
  void decode(std::uint64_t first, std::uint64_t count, std::byte* out) const {
    const CodecKernels<T>& codec = table_.of<T>();
    const std::byte* const codes = codes_ + first * code_bits(q_.type) / 8;
    if (q_.scheme == QuantizationScheme::blockwise) {
      const auto decode = q_.type == QuantizedType::int4 ? codec.decode_blocks_4 : codec.decode_blocks_8;
      decode(header_ + first / q_.block * sizeof(T), codes, count, q_.block, out);
    } else if (q_.scheme == QuantizationScheme::cast) {
      decode_cast(codes, count, out);
    } else if (q_.type == QuantizedType::uint16) {
      codec.decode_16(decoding_, 0, codes, count, out);
    } else {
      codec.decode_8(decoding_, q_.type == QuantizedType::int8 ? kSignBit : 0, codes, count, out);
    }
  }

 private:
  void decode_cast(const std::byte* codes, std::uint64_t count, std::byte* out) const {
    if constexpr (sizeof(T) == sizeof(float)) {
      widen_float(cast_type(q_), out, codes, count);
    } else {
      alignas(64) Staged<float> staged;
      in_pieces(count, [&](std::uint64_t first, std::uint64_t n) {
        widen_float(cast_type(q_), staged.data(), codes + 2 * first, n);
        table_.cast.to_float64(out + first * sizeof(T), staged.data(), n);
      });
    }
  }

  const QuantizeTable& table_;
  const Quantization& q_;
  const std::byte* header_;
  const std::byte* codes_;
  Decoding<T> decoding_;
};

template <class T>
void quantize_as(const QuantizeTable& table, const Quantization& q, const std::byte* values,
                 std::uint64_t count, std::uint64_t seed, std::byte* out, std::byte* decoded) {
  if (q.scheme == QuantizationScheme::cast)
    encode_cast<T>(table, q, values, count, seed, out);
  else if (q.scheme == QuantizationScheme::blockwise)
    encode_blocks<T>(table, q, values, count, seed, out);
  else
    encode_chunk<T>(table, q, values, count, seed, out);
  if (decoded != nullptr) Decoder<T>(table, q, out, count).decode(0, count, decoded);
}

template <class T>
void dequantize_combine_as(const Quantization& q, ReduceOp op, std::byte* out, const std::byte* own,
                           const std::byte* quantized, std::uint64_t count) {
  constexpr DataType kType = sizeof(T) == sizeof(double) ? DataType::float64 : DataType::float32;
  const Decoder<T> decoder(kernels(), q, quantized, count);
  alignas(64) Staged<T> staged;
  in_pieces(count, [&](std::uint64_t first, std::uint64_t n) {
    decoder.decode(first, n, staged.data());
    combine(kType, op, out + first * sizeof(T), own + first * sizeof(T), staged.data(), n);
  });
}

}  // namespace

std::size_t quantized_bytes(const Quantization& quantization, DataType type, std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  const std::uint64_t bits = code_bits(quantization.type);
  return scale_bytes(quantization, type, count) + (bits == 4 ? count / 2 + count % 2 : count * (bits / 8));
}

std::size_t scale_bytes(const Quantization& quantization, DataType type, std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  if (count == 0) return 0;
  return type == DataType::float64 ? header_bytes<double>(quantization, count)
                                   : header_bytes<float>(quantization, count);
}

void quantize_with(const QuantizeTable& table, const Quantization& quantization, DataType type,
                   const std::byte* values, std::uint64_t count, std::uint64_t seed, std::byte* out,
                   std::byte* decoded) {
  HAWSER_ASSERT(is_float(type));
  if (count == 0) return;
  const auto quantize = type == DataType::float64 ? quantize_as<double> : quantize_as<float>;
  quantize(table, quantization, values, count, seed, out, decoded);
}

void dequantize_with(const QuantizeTable& table, const Quantization& quantization, DataType type,
                     const std::byte* quantized, std::uint64_t count, std::byte* out) {
  HAWSER_ASSERT(is_float(type));
  if (count == 0) return;
  if (type == DataType::float64)
    Decoder<double>(table, quantization, quantized, count).decode(0, count, out);
  else
    Decoder<float>(table, quantization, quantized, count).decode(0, count, out);
}

void quantize(const Quantization& quantization, DataType type, const std::byte* values, std::uint64_t count,
              std::uint64_t seed, std::byte* out, std::byte* decoded) {
  quantize_with(kernels(), quantization, type, values, count, seed, out, decoded);
}

void dequantize(const Quantization& quantization, DataType type, const std::byte* quantized,
                std::uint64_t count, std::byte* out) {
  dequantize_with(kernels(), quantization, type, quantized, count, out);
}

void dequantize_combine(const Quantization& quantization, DataType type, ReduceOp op, std::byte* out,
                        const std::byte* own, const std::byte* quantized, std::uint64_t count) {
  HAWSER_ASSERT(is_float(type));
  if (count == 0) return;
  const auto apply = type == DataType::float64 ? dequantize_combine_as<double> : dequantize_combine_as<float>;
  apply(quantization, op, out, own, quantized, count);
}

}  // namespace hawser
