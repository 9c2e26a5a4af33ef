#pragma once

// How one body becomes one function per instruction set. A kernel is a struct with an always-inlined static
// run(): a plain loop over elements, which the compiler turns into the vector instructions of the function
// that it is inlined into. Elements are loaded and stored one by one through memcpy, so that any alignment is
// good.

#if defined(__clang__)
// Says that no iteration of the next loop reads what another one wrote: an output is an input's own memory or
// shares none with it.
#  define HAWSER_INDEPENDENT_ITERATIONS _Pragma("clang loop vectorize(assume_safety)")
#  define HAWSER_VECTORIZED 1
#elif defined(__GNUC__)
#  define HAWSER_INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#  define HAWSER_VECTORIZED 1
#else
#  define HAWSER_VECTORIZED 0
#endif

#if HAWSER_VECTORIZED

#  if defined(__x86_64__)
#    include <cpuid.h>
#  endif

#  include <cstddef>
#  include <cstdint>
#  include <cstring>

namespace hawser {

/// What every machine of this architecture has: SSE2 on x86-64, NEON on AArch64.
struct Vector16 {
  static constexpr const char* kName = "vector16";
  static bool usable() { return true; }
  template <class Kernel, class Result, class... Arguments>
  static Result run(Arguments... arguments) {
    return Kernel::run(arguments...);
  }
};

#  if defined(__x86_64__)

/// AVX2, with the conversions of 16-bit floats that all but the oddest processors with AVX2 have.
struct Avx2 {
  static constexpr const char* kName = "avx2";
  static bool usable() {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
    return __builtin_cpu_supports("avx2") != 0 && f16c;
  }
  template <class Kernel, class Result, class... Arguments>
  [[gnu::target("avx2,f16c")]] static Result run(Arguments... arguments) {
    return Kernel::run(arguments...);
  }
};

#  endif

template <class T>
[[gnu::always_inline]] inline T load(const std::byte* from, std::uint64_t index) {
  T value;
  std::memcpy(&value, from + index * sizeof(T), sizeof value);
  return value;
}

template <class T>
[[gnu::always_inline]] inline void store(std::byte* to, std::uint64_t index, T value) {
  std::memcpy(to + index * sizeof(T), &value, sizeof value);
}

}  // namespace hawser

#endif
