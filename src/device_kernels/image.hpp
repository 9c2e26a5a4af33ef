#pragma once

/// The code for GPUs of all kernels of this folder.
namespace hawser::device_kernels {

#if defined(HAWSER_HAS_GPU_IMAGE)
extern "C" const unsigned char hawser_gpu_image[];
inline constexpr const void* kImage = hawser_gpu_image;
#else
inline constexpr const void* kImage = nullptr;
#endif

}  // namespace hawser::device_kernels
