#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "device/kernel.hpp"

namespace hawser::device_kernels {

/// Runs launches one after the other, on memory of the host.
inline void run_on_host(const std::vector<device::Launch>& launches) {
  for (const device::Launch& launch : launches) {
    device::KernelArguments arguments{};
    for (std::size_t i = 0; i < launch.memory.size(); ++i) arguments.memory[i] = launch.memory[i].at;
    std::memcpy(arguments.parameters, launch.parameters.data(), launch.parameters.size());
    for (unsigned block = 0; block < launch.blocks; ++block) launch.kernel->run_block(arguments, block);
  }
}

}  // namespace hawser::device_kernels
