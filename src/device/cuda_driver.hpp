#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.hpp"

/// The part of NVIDIA's driver API that is used here, found at run time in the library that the process has loaded. So
/// one build runs with and without a driver. Names, numbers and types are those of the CUDA Driver API, version 12.
namespace hawser::device {

using CuResult = int;
using CuDevice = int;
using CuDevicePtr = unsigned long long;
using CuContext = void*;
using CuStream = void*;
using CuEvent = void*;
using CuModule = void*;
using CuFunction = void*;
using CuMemPool = void*;

inline constexpr CuResult kCuSuccess = 0;
inline constexpr CuResult kCuNotReady = 600;
inline constexpr unsigned kCuStreamNonBlocking = 1;
inline constexpr unsigned kCuEventDisableTiming = 2;
inline constexpr unsigned kCuMemHostAllocPortable = 1;
inline constexpr unsigned kCuMemoryTypeDevice = 2;
inline constexpr unsigned kCuStreamWaitValueGeq = 0;
inline constexpr int kCuDeviceMemoryPoolsSupported = 115;
inline constexpr int kCuMemPoolReuseAllowInternalDependencies = 3;

/// CUpointer_attribute.
enum class CuPointerAttribute : int {
  memory_type = 2,
  is_managed = 8,
  device_ordinal = 9,
  is_legacy_ipc_capable = 10,
  range_start = 11,
  range_size = 12
};

/// CUmemPoolProps.
struct CuMemPoolProps {
  int allocation_type = 1;  ///< CU_MEM_ALLOCATION_TYPE_PINNED: there is no other.
  int handle_types = 0;
  int location_type = 1;  ///< CU_MEM_LOCATION_TYPE_DEVICE.
  int location = 0;
  void* security_attributes = nullptr;
  unsigned char reserved[64] = {};  ///< Later versions have more there, for which 0 is as before.
};
static_assert(sizeof(CuMemPoolProps) == 88);

struct CudaDriver {
  CuResult (*cuInit)(unsigned) = nullptr;
  CuResult (*cuDeviceGetCount)(int*) = nullptr;
  CuResult (*cuDeviceGet)(CuDevice*, int) = nullptr;
  CuResult (*cuDevicePrimaryCtxRetain)(CuContext*, CuDevice) = nullptr;
  CuResult (*cuCtxPushCurrent)(CuContext) = nullptr;
  CuResult (*cuCtxPopCurrent)(CuContext*) = nullptr;
  CuResult (*cuPointerGetAttributes)(unsigned, const CuPointerAttribute*, void**, CuDevicePtr) = nullptr;
  CuResult (*cuStreamCreate)(CuStream*, unsigned) = nullptr;
  CuResult (*cuStreamDestroy)(CuStream) = nullptr;
  CuResult (*cuStreamSynchronize)(CuStream) = nullptr;
  CuResult (*cuStreamWaitEvent)(CuStream, CuEvent, unsigned) = nullptr;
  CuResult (*cuEventCreate)(CuEvent*, unsigned) = nullptr;
  CuResult (*cuEventDestroy)(CuEvent) = nullptr;
  CuResult (*cuEventRecord)(CuEvent, CuStream) = nullptr;
  CuResult (*cuEventQuery)(CuEvent) = nullptr;
  CuResult (*cuMemcpyAsync)(CuDevicePtr, CuDevicePtr, std::size_t, CuStream) = nullptr;
  CuResult (*cuMemAlloc)(CuDevicePtr*, std::size_t) = nullptr;
  CuResult (*cuMemFree)(CuDevicePtr) = nullptr;
  CuResult (*cuMemHostAlloc)(void**, std::size_t, unsigned) = nullptr;
  CuResult (*cuMemFreeHost)(void*) = nullptr;
  CuResult (*cuModuleLoadData)(CuModule*, const void*) = nullptr;
  CuResult (*cuModuleGetFunction)(CuFunction*, CuModule, const char*) = nullptr;
  CuResult (*cuLaunchKernel)(CuFunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CuStream,
                             void**, void**) = nullptr;
  CuResult (*cuStreamWaitValue32)(CuStream, CuDevicePtr, std::uint32_t, unsigned) = nullptr;
  CuResult (*cuGetErrorString)(CuResult, const char**) = nullptr;

  // Null where the driver does not have them.
  CuResult (*cuDeviceGetAttribute)(int*, int, CuDevice) = nullptr;
  CuResult (*cuMemPoolCreate)(CuMemPool*, const CuMemPoolProps*) = nullptr;
  CuResult (*cuMemPoolSetAttribute)(CuMemPool, int, void*) = nullptr;
  CuResult (*cuMemAllocFromPoolAsync)(CuDevicePtr*, std::size_t, CuMemPool, CuStream) = nullptr;
  CuResult (*cuMemFreeAsync)(CuDevicePtr, CuStream) = nullptr;
  CuResult (*cuFuncLoad)(CuFunction) = nullptr;

  /// "what: the driver's words (number)".
  Error error(const char* what, CuResult result) const;
};

/// Of a driver that lacks a function which is needed here, enough to know memory of its devices.
struct OldCudaDriver {
  const char* missing = nullptr;
  CuResult (*cuDeviceGetCount)(int*) = nullptr;
  CuResult (*cuPointerGetAttribute)(void*, CuPointerAttribute, CuDevicePtr) = nullptr;

  /// "what", and what to do about it.
  Error error(const std::string& what) const;
};

struct FoundDriver {
  const CudaDriver* usable = nullptr;
  const OldCudaDriver* too_old = nullptr;
};

/// Neither, while the process has not loaded the driver's library: then no pointer is a device's. `load`:
/// loads it. Safe from any thread.
FoundDriver cuda_driver(bool load);

}  // namespace hawser::device
