#pragma once

/// Before a function that GPUs run as well as the host. Functions that are constexpr need no such word.
#if defined(__CUDACC__)
#  define HAWSER_HOST_DEVICE __host__ __device__
#else
#  define HAWSER_HOST_DEVICE
#endif
