#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dither.hpp"
#include "kernels/quantize.hpp"
#include "kernels/quantize_scale.hpp"

namespace hawser {

/// Values, T: float or double, from and to codes. Buffers have any alignment and share no memory.
template <class T>
struct CodecKernels {
  /// Of at least one value.
  Extremes<T> (*extremes)(const std::byte* values, std::uint64_t count);

  /// By Quantization::stochastic. A code is the low bits of what Encoding says.
  using Encode = void(const Encoding<T>& encoding, const std::byte* values, std::uint64_t count,
                      const Dither& dither, std::byte* codes);
  Encode* encode_8[2];
  Encode* encode_16[2];

  /// `flipped`: bits to flip in each code first, 0x80 for one with a sign.
  using Decode = void(const Decoding<T>& decoding, std::uint8_t flipped, const std::byte* codes,
                      std::uint64_t count, std::byte* out);
  Decode* decode_8;
  Decode* decode_16;

  /// Blockwise: chooses and writes the steps too. The 4-bit ones: count codes take (count + 1) / 2 bytes.
  using EncodeBlocks = void(const std::byte* values, std::uint64_t count, std::uint32_t block,
                            const Dither& dither, std::byte* steps, std::byte* codes);
  EncodeBlocks* encode_blocks_8[2];
  EncodeBlocks* encode_blocks_4[2];
  using DecodeBlocks = void(const std::byte* steps, const std::byte* codes, std::uint64_t count,
                            std::uint32_t block, std::byte* out);
  DecodeBlocks* decode_blocks_8;
  DecodeBlocks* decode_blocks_4;
};

/// What a cast needs besides the conversions in reduce.hpp. All but the first: between elements of one size,
/// and the output may be the input.
struct CastKernels {
  /// float64 to float32, rounded to odd: what is not exact gets an odd last bit, so that a second rounding to
  /// fewer bits is right (Boldo and Melquiond 2008).
  void (*round_to_odd)(std::byte* out, const std::byte* values, std::uint64_t count);
  void (*to_float64)(std::byte* out, const std::byte* values, std::uint64_t count);
  /// float32 to float32s that are 16-bit floats or too large for one: one of the two around the value, at
  /// random. The output may be the input.
  using Round = void(std::byte* out, const std::byte* values, std::uint64_t count, const Dither& dither);
  Round* round_to_bfloat16;
  Round* round_to_float16;
};

/// One implementation of everything.
struct QuantizeTable {
  const char* name;
  CodecKernels<float> float32;
  CodecKernels<double> float64;
  CastKernels cast;

  template <class T>
  const CodecKernels<T>& of() const {
    if constexpr (sizeof(T) == sizeof(float))
      return float32;
    else
      return float64;
  }
};

/// The functions in quantize.hpp with these kernels, for tests that compare them.
void quantize_with(const QuantizeTable& table, const Quantization& quantization, DataType type,
                   const std::byte* values, std::uint64_t count, std::uint64_t seed, std::byte* out,
                   std::byte* decoded);
void dequantize_with(const QuantizeTable& table, const Quantization& quantization, DataType type,
                     const std::byte* quantized, std::uint64_t count, std::byte* out);

}  // namespace hawser
