#include "device/cuda_driver.hpp"

#include <dlfcn.h>

#include <atomic>
#include <mutex>

namespace hawser::device {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

template <class Function>
bool find(void* library, Function& function, const char* name) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

/// The first that is missing, in a driver that is too old; null otherwise.
const char* find_all(void* library, CudaDriver& driver) {
  const char* missing = nullptr;
  const auto need = [&](auto& function, const char* name) {
    if (!find(library, function, name) && missing == nullptr) missing = name;
  };
  // The names with _v2 are what cuda.h makes of the plain ones.
  need(driver.cuInit, "cuInit");
  need(driver.cuDeviceGetCount, "cuDeviceGetCount");
  need(driver.cuDeviceGet, "cuDeviceGet");
  need(driver.cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain");
  need(driver.cuCtxPushCurrent, "cuCtxPushCurrent_v2");
  need(driver.cuCtxPopCurrent, "cuCtxPopCurrent_v2");
  need(driver.cuPointerGetAttributes, "cuPointerGetAttributes");
  need(driver.cuStreamCreate, "cuStreamCreate");
  need(driver.cuStreamDestroy, "cuStreamDestroy_v2");
  need(driver.cuStreamSynchronize, "cuStreamSynchronize");
  need(driver.cuStreamWaitEvent, "cuStreamWaitEvent");
  need(driver.cuEventCreate, "cuEventCreate");
  need(driver.cuEventDestroy, "cuEventDestroy_v2");
  need(driver.cuEventRecord, "cuEventRecord");
  need(driver.cuEventQuery, "cuEventQuery");
  need(driver.cuMemcpyAsync, "cuMemcpyAsync");
  need(driver.cuMemAlloc, "cuMemAlloc_v2");
  need(driver.cuMemFree, "cuMemFree_v2");
  need(driver.cuMemHostAlloc, "cuMemHostAlloc");
  need(driver.cuMemFreeHost, "cuMemFreeHost");
  need(driver.cuModuleLoadData, "cuModuleLoadData");
  need(driver.cuModuleGetFunction, "cuModuleGetFunction");
  need(driver.cuLaunchKernel, "cuLaunchKernel");
  need(driver.cuStreamWaitValue32, "cuStreamWaitValue32_v2");
  need(driver.cuGetErrorString, "cuGetErrorString");
  static_cast<void>(find(library, driver.cuDeviceGetAttribute, "cuDeviceGetAttribute"));
  static_cast<void>(find(library, driver.cuMemPoolCreate, "cuMemPoolCreate"));
  static_cast<void>(find(library, driver.cuMemPoolSetAttribute, "cuMemPoolSetAttribute"));
  static_cast<void>(find(library, driver.cuMemAllocFromPoolAsync, "cuMemAllocFromPoolAsync"));
  static_cast<void>(find(library, driver.cuMemFreeAsync, "cuMemFreeAsync"));
  static_cast<void>(find(library, driver.cuFuncLoad, "cuFuncLoad"));
  return missing;
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

Error OldCudaDriver::error(const std::string& what) const {
  return {Status::invalid_argument,
          what + ", and the CUDA driver here is too old: it has no " + missing +
              "; install a driver of CUDA 11.7 or later, or use tensors of the host"};
}

FoundDriver cuda_driver(bool load) {
  static std::mutex mutex;
  static CudaDriver usable;
  static OldCudaDriver too_old;
  static FoundDriver found;
  static std::atomic<bool> is_found{false};
  if (is_found.load(std::memory_order_acquire)) return found;
  const std::lock_guard lock(mutex);
  if (is_found.load(std::memory_order_acquire)) return found;
  void* const library = ::dlopen(kLibrary, RTLD_LAZY | RTLD_LOCAL | (load ? 0 : RTLD_NOLOAD));
  if (library == nullptr) return {};
  // It stays open: its functions are called until the process ends.
  too_old.missing = find_all(library, usable);
  if (too_old.missing == nullptr) {
    found.usable = &usable;
  } else {
    too_old.cuDeviceGetCount = usable.cuDeviceGetCount;
    static_cast<void>(find(library, too_old.cuPointerGetAttribute, "cuPointerGetAttribute"));
    found.too_old = &too_old;
  }
  is_found.store(true, std::memory_order_release);
  return found;
}

}  // namespace hawser::device
