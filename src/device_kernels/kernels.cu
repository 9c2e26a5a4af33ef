#include "device_kernels/kernel_list.hpp"

namespace hawser::device_kernels {

/// Blocks that a multiprocessor must have registers for. With fewer the memory has to wait for arithmetic.
constexpr unsigned kBlocksAtOnce = 3;

#define HAWSER_GPU_KERNEL(name, Body)                                                 \
  extern "C" __global__ void __launch_bounds__(device::kKernelThreads, kBlocksAtOnce) \
      name(const __grid_constant__ device::KernelArguments arguments) {               \
    __shared__ Body::Shared shared;                                                   \
    Body::run(arguments, blockIdx.x, shared);                                         \
  }
HAWSER_DEVICE_KERNELS(HAWSER_GPU_KERNEL)
#undef HAWSER_GPU_KERNEL

}  // namespace hawser::device_kernels
