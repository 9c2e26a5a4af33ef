#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/kernel.hpp"
#include "optim/diloco.hpp"

/// The functions of optim/diloco.hpp on the memory of a device, and with the same bits. Each appends the launches that do
/// it, in order, and touches no memory itself. Nothing is appended where nothing is to be done. Aliasing as there.
namespace hawser::device_kernels {

void pseudo_gradient(std::vector<device::Launch>& out, DataType inner_type, std::byte* delta, const std::byte* outer,
                     const std::byte* inner, std::uint64_t count, double scale);
void scale(std::vector<device::Launch>& out, DataType type, std::byte* values, std::uint64_t count, const Ratio& by);
void outer_step(std::vector<device::Launch>& out, DataType type, const OuterTensor& tensor, std::uint64_t count,
                const OuterStep& step);
void clear_momentum(std::vector<device::Launch>& out, DataType type, std::byte* momentum, std::uint64_t count);
void mix(std::vector<device::Launch>& out, DataType inner_type, std::byte* local, const std::byte* global,
         std::uint64_t count, double alpha);
void add_difference(std::vector<device::Launch>& out, DataType inner_type, std::byte* local, const std::byte* a,
                    const std::byte* b, std::uint64_t count);

}  // namespace hawser::device_kernels
