#pragma once

#include "base/host_device.hpp"
#include "device/kernel.hpp"

namespace hawser::device_kernels {

/// Runs phase(thread) for each thread of a block. What the threads wrote before is seen by all after it. On the host
/// they come one after the other.
///
/// All that a kernel does stands in phases. Between them lies only what is the same for all threads of a block.
template <class Phase>
HAWSER_HOST_DEVICE inline void each_thread(const Phase& phase) {
#if defined(__CUDA_ARCH__)
  phase(threadIdx.x);
  __syncthreads();
#else
  for (unsigned thread = 0; thread < device::kKernelThreads; ++thread) phase(thread);
#endif
}

/// What each thread keeps from one phase to the next: registers on a GPU.
template <class T>
class PerThread {
 public:
#if defined(__CUDA_ARCH__)
  __device__ T& of(unsigned) { return value_; }

 private:
  T value_;
#else
  T& of(unsigned thread) { return values_[thread]; }

 private:
  T values_[device::kKernelThreads];
#endif
};

/// For kernels whose threads share no memory.
struct NothingShared {};

/// The parameters that the launch was made with.
template <class Parameters>
HAWSER_HOST_DEVICE inline const Parameters& parameters_of(const device::KernelArguments& arguments) {
  return *reinterpret_cast<const Parameters*>(arguments.parameters);
}

}  // namespace hawser::device_kernels
