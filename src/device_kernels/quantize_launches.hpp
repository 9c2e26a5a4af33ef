#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/quantization.hpp"
#include "device/kernel.hpp"
#include "kernels/reduce.hpp"

/// The functions of kernels/quantize.hpp on the memory of a device, and with the same bits. Each appends the launches
/// that do it, in order, and touches no memory itself. Nothing is appended for no values. Aliasing as there.
namespace hawser::device_kernels {

/// Of the scratch memory of quantize(), which may be 0. Launches of one stream may share it.
std::uint64_t quantize_scratch_bytes(const Quantization& quantization, DataType type, std::uint64_t count);

/// `scratch`: aligned to 16 bytes, and no other argument's memory.
void quantize(std::vector<device::Launch>& out, const Quantization& quantization, DataType type,
              const std::byte* values, std::uint64_t count, std::uint64_t seed, std::byte* to, std::byte* decoded,
              std::byte* scratch);

/// As quantize(), of values of `type` itself rather than of the working type: no widen_float() is needed before.
/// `decoded`: of the working type.
void quantize_values(std::vector<device::Launch>& out, const Quantization& quantization, DataType type,
                     const std::byte* values, std::uint64_t count, std::uint64_t seed, std::byte* to,
                     std::byte* decoded, std::byte* scratch);

void dequantize(std::vector<device::Launch>& out, const Quantization& quantization, DataType type,
                const std::byte* quantized, std::uint64_t count, std::byte* to);

/// As dequantize() and narrow_float(): `to` has elements of `type` itself.
void dequantize_values(std::vector<device::Launch>& out, const Quantization& quantization, DataType type,
                       const std::byte* quantized, std::uint64_t count, std::byte* to);

void dequantize_combine(std::vector<device::Launch>& out, const Quantization& quantization, DataType type, ReduceOp op,
                        std::byte* to, const std::byte* own, const std::byte* quantized, std::uint64_t count);

}  // namespace hawser::device_kernels
