#pragma once

#include <cstddef>
#include <cstdint>

#include "base/quantization.hpp"

/// Floats made smaller for the wire, and back. The formulas work in T: float32, or float64 for float64
/// values. Every implementation gives the same bits, on every machine: IEEE operations as written, one
/// rounding each, nothing fused. All numbers are little-endian; a call with `count` values of 0 has 0 bytes,
/// otherwise:
///
///     scheme            bytes, in this order                       decodes to
///     min_max           T low, T step, count codes                 low + code * step
///     zero_point_scale  T step, T zero, count codes                (code - zero) * step
///     blockwise         T step for each block, then count codes    code * step
///     cast              count 16-bit floats                        itself
///
/// A code is of the quantised type. Those of int8 in min_max and zero_point_scale count from -128: code + 128
/// takes the place of code. Those of int4 are signed, two to a byte, the earlier in the low four bits; an odd
/// last one has four zero bits beside it. The last block may be shorter. -0 decodes to +0, except with cast.
///
/// How a value finds its code: (value - low) / step or value / step, rounded to nearest, ties to even; or, if
/// stochastic, away from 0 with the probability of the fraction, which is right on average. zero is then
/// added, and what lies beyond the first or the last code becomes that one. L = 255, or 65535 for uint16:
///
/// - min_max: low is the smallest value, step = (largest - low) / L. low decodes exactly, so equal values do.
///   Where the range exceeds half of the largest float, everything is scaled by 1/4: step is negative as a
///   sign of it, and the value is 4 * (low + code * -step).
/// - zero_point_scale: the range is extended to 0, step = (largest - smallest) / L, zero = -smallest / step,
///   rounded. 0 decodes to 0.
/// - blockwise: step = largest magnitude / 127, or / 7 for int4. 0 decodes to 0. The codes -128 and -8 are
///   never made, and decode like any other.
/// - cast: rounds as IEEE does; overflow gives infinity, a NaN becomes the canonical one. step is the unit in
///   the last place of the result.
///
/// Bound on the error: half a step, or a step if stochastic; and but for cast, 4 units in the last place of
/// the group's largest magnitude in T, for the rounding of the arithmetic.
///
/// What breaks scales: with any NaN or infinity, the whole chunk (min_max, zero_point_scale) or block decodes
/// to NaN, so that it is never lost. Where the range / L is denormal, step is the next float above it, so
/// that no value lies beyond the last code. Where a code would decode to infinity it is not used, so that
/// finite values stay finite; there zero_point_scale is off by a step at most.
///
/// Nothing here blocks or allocates; safe from any thread. Buffers may have any alignment.
namespace hawser {

/// Bytes of `count` quantised values, scales included.
std::size_t quantized_bytes(const Quantization& quantization, DataType type, std::uint64_t count);
/// Those of them that come before the codes.
std::size_t scale_bytes(const Quantization& quantization, DataType type, std::uint64_t count);

/// `values`: of the working type (reduce.hpp). `seed` decides stochastic rounding and nothing else; the same
/// seed gives the same bits. `decoded`, if not null, gets what dequantize() would give; it may be `values`.
/// `out` shares no memory with either.
void quantize(const Quantization& quantization, DataType type, const std::byte* values, std::uint64_t count,
              std::uint64_t seed, std::byte* out, std::byte* decoded);

/// `out`: of the working type. Any bytes are good: those that quantize() did not make decode to some floats.
void dequantize(const Quantization& quantization, DataType type, const std::byte* quantized,
                std::uint64_t count, std::byte* out);

/// out = own op what dequantize() gives; out and own of the working type, and may be the same memory.
void dequantize_combine(const Quantization& quantization, DataType type, ReduceOp op, std::byte* out,
                        const std::byte* own, const std::byte* quantized, std::uint64_t count);

}  // namespace hawser
