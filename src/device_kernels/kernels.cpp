#include "device_kernels/kernels.hpp"

#include "device_kernels/kernel_list.hpp"

namespace hawser::device_kernels {

std::vector<const device::Kernel*> all_kernels() {
#define HAWSER_KERNEL_ADDRESS(name, Body) &kKernel<Body>,
  return {HAWSER_DEVICE_KERNELS(HAWSER_KERNEL_ADDRESS)};
#undef HAWSER_KERNEL_ADDRESS
}

}  // namespace hawser::device_kernels
