#pragma once

/// - HAWSER_HOST_DEVICE: before a function that GPUs run as well as the host. One that is constexpr needs no such word.
/// - HAWSER_UNROLLED: before a loop whose arrays a GPU should keep in registers.
/// - HAWSER_ROLLED: before a loop that should stay one.
#if defined(__CUDACC__)
#  define HAWSER_HOST_DEVICE __host__ __device__
#  define HAWSER_UNROLLED _Pragma("unroll")
#  define HAWSER_ROLLED _Pragma("unroll 1")
#else
#  define HAWSER_HOST_DEVICE
#  define HAWSER_UNROLLED
#  define HAWSER_ROLLED
#endif
