#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/kernel.hpp"
#include "kernels/reduce.hpp"

/// The functions of kernels/reduce.hpp on the memory of a device, and with the same bits. Each appends the launches
/// that do it, in order, and touches no memory itself. Nothing is appended where nothing is to be done. Aliasing as
/// there.
namespace hawser::device_kernels {

using Launches = std::vector<device::Launch>;

void widen(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* values, std::uint64_t count);
void combine_values(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* a, const std::byte* b,
                    std::uint64_t count);
void combine_value(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* a, const std::byte* b,
                   std::uint64_t count);
void combine(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* a, const std::byte* b,
             std::uint64_t count);
void finish(Launches& out, DataType type, ReduceOp op, std::byte* accumulators, std::uint64_t count,
            std::uint32_t contributors);
void narrow(Launches& out, DataType type, ReduceOp op, std::byte* to, const std::byte* accumulators,
            std::uint64_t count);
void widen_float(Launches& out, DataType type, std::byte* to, const std::byte* values, std::uint64_t count);
void narrow_float(Launches& out, DataType type, std::byte* to, const std::byte* accumulators, std::uint64_t count);
void add_residual(Launches& out, DataType type, std::byte* to, const std::byte* values, const std::byte* residual,
                  std::uint64_t count);
void difference(Launches& out, DataType type, std::byte* to, const std::byte* a, const std::byte* b, double scale,
                std::uint64_t count);

}  // namespace hawser::device_kernels
