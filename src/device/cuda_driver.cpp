#include "device/cuda_driver.hpp"

#include <dlfcn.h>

#include <atomic>
#include <mutex>

namespace hawser::device {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

/// False if one of them is missing: a driver that is too old.
bool find_all(void* library, CudaDriver& driver) {
  const auto find = [library](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(::dlsym(library, name));
    return function != nullptr;
  };
  // The names with _v2 are what cuda.h makes of the plain ones.
  return find(driver.cuInit, "cuInit") && find(driver.cuDeviceGetCount, "cuDeviceGetCount") &&
         find(driver.cuDeviceGet, "cuDeviceGet") && find(driver.cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain") &&
         find(driver.cuCtxPushCurrent, "cuCtxPushCurrent_v2") && find(driver.cuCtxPopCurrent, "cuCtxPopCurrent_v2") &&
         find(driver.cuPointerGetAttributes, "cuPointerGetAttributes") &&
         find(driver.cuStreamCreate, "cuStreamCreate") && find(driver.cuStreamDestroy, "cuStreamDestroy_v2") &&
         find(driver.cuStreamSynchronize, "cuStreamSynchronize") &&
         find(driver.cuStreamWaitEvent, "cuStreamWaitEvent") && find(driver.cuEventCreate, "cuEventCreate") &&
         find(driver.cuEventDestroy, "cuEventDestroy_v2") && find(driver.cuEventRecord, "cuEventRecord") &&
         find(driver.cuEventQuery, "cuEventQuery") && find(driver.cuMemcpyAsync, "cuMemcpyAsync") &&
         find(driver.cuMemAlloc, "cuMemAlloc_v2") && find(driver.cuMemFree, "cuMemFree_v2") &&
         find(driver.cuMemHostAlloc, "cuMemHostAlloc") && find(driver.cuMemFreeHost, "cuMemFreeHost") &&
         find(driver.cuModuleLoadData, "cuModuleLoadData") && find(driver.cuModuleGetFunction, "cuModuleGetFunction") &&
         find(driver.cuLaunchKernel, "cuLaunchKernel") && find(driver.cuStreamWaitValue32, "cuStreamWaitValue32_v2") &&
         find(driver.cuGetErrorString, "cuGetErrorString");
}

/// What to do about it; empty where its words say enough.
const char* advice(CuResult result) {
  switch (result) {
    case 2: return "; free memory on the GPU, or make the tensors of a call smaller";
    // CUDA_ERROR_INVALID_CONTEXT, _CONTEXT_IS_DESTROYED.
    case 201:
    case 709:
      return "; the GPU's context was destroyed under this process, as cudaDeviceReset does: reset no GPU while a "
             "communicator is open, and start this process again";
    // CUDA_ERROR_ECC_UNCORRECTABLE, _ILLEGAL_ADDRESS, _LAUNCH_TIMEOUT, _ASSERT, _HARDWARE_STACK_ERROR,
    // _ILLEGAL_INSTRUCTION, _MISALIGNED_ADDRESS, _INVALID_ADDRESS_SPACE, _INVALID_PC, _LAUNCH_FAILED.
    case 214:
    case 700:
    case 702:
    case 710:
    case 714:
    case 715:
    case 716:
    case 717:
    case 718:
    case 719:
      return "; a kernel of this process, its own or a library's, has broken the GPU's context, and nothing runs there "
             "any "
             "more: find it with compute-sanitizer, and start this process again";
    default: return "";
  }
}

}  // namespace

Error CudaDriver::error(const char* what, CuResult result) const {
  const char* words = nullptr;
  if (cuGetErrorString(result, &words) != kCuSuccess || words == nullptr) words = "unknown error";
  return {Status::system,
          std::string(what) + ": " + words + " (CUDA error " + std::to_string(result) + ")" + advice(result)};
}

const CudaDriver* cuda_driver(bool load) {
  static std::mutex mutex;
  static CudaDriver driver;
  static std::atomic<const CudaDriver*> found{nullptr};
  if (const CudaDriver* const known = found.load(std::memory_order_acquire)) return known;
  const std::lock_guard lock(mutex);
  if (const CudaDriver* const known = found.load(std::memory_order_acquire)) return known;
  void* const library = ::dlopen(kLibrary, RTLD_LAZY | RTLD_LOCAL | (load ? 0 : RTLD_NOLOAD));
  if (library == nullptr) return nullptr;
  // It stays open: its functions are called until the process ends.
  if (!find_all(library, driver)) return nullptr;
  found.store(&driver, std::memory_order_release);
  return &driver;
}

}  // namespace hawser::device
