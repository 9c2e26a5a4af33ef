#include "kernels/reduce_vector.hpp"

#include <array>
#include <cstring>

#include "kernels/reduce_scalar.hpp"

namespace hawser {

#if defined(__GNUC__)

namespace {

// One body in vector types of the compiler, built once for each instruction set. Loads and stores go through
// memcpy, so that any alignment is good; all loads of a step come before its store, so that the output may be
// one of the inputs. What is left over goes to the scalar kernel.
template <std::size_t kBytes>
struct Lanes {
  using Float32 [[gnu::vector_size(kBytes)]] = float;
};

template <std::size_t kBytes>
[[gnu::always_inline]] inline void add_float32(std::byte* out, const std::byte* a, const std::byte* b,
                                               std::uint64_t count) {
  using Vector = typename Lanes<kBytes>::Float32;
  constexpr std::uint64_t kPerVector = kBytes / sizeof(float);
  const std::uint64_t whole = count / kPerVector;
  for (std::uint64_t at = 0; at < whole * kBytes; at += kBytes) {
    Vector left;
    Vector right;
    std::memcpy(&left, a + at, kBytes);
    std::memcpy(&right, b + at, kBytes);
    left = left + right;
    std::memcpy(out + at, &left, kBytes);
  }
  const std::uint64_t done = whole * kBytes;
  reduce_scalar().float32.add(out + done, a + done, b + done, count % kPerVector);
}

template <std::size_t kBytes>
[[gnu::always_inline]] inline void divide_float32(std::byte* values, std::uint64_t count, double divisor) {
  using Vector = typename Lanes<kBytes>::Float32;
  constexpr std::uint64_t kPerVector = kBytes / sizeof(float);
  const auto by = static_cast<float>(divisor);
  const std::uint64_t whole = count / kPerVector;
  for (std::uint64_t at = 0; at < whole * kBytes; at += kBytes) {
    Vector value;
    std::memcpy(&value, values + at, kBytes);
    value = value / by;
    std::memcpy(values + at, &value, kBytes);
  }
  reduce_scalar().float32.divide(values + whole * kBytes, count % kPerVector, divisor);
}

// 16 bytes: what every x86-64 (SSE2) and AArch64 (NEON) has.
void add_16(std::byte* out, const std::byte* a, const std::byte* b, std::uint64_t count) {
  add_float32<16>(out, a, b, count);
}
void divide_16(std::byte* values, std::uint64_t count, double divisor) {
  divide_float32<16>(values, count, divisor);
}
constexpr ReduceTable kVector16{.name = "vector16", .float32 = {.add = add_16, .divide = divide_16}};

#  if defined(__x86_64__)

[[gnu::target("avx2")]] void add_avx2(std::byte* out, const std::byte* a, const std::byte* b,
                                      std::uint64_t count) {
  add_float32<32>(out, a, b, count);
}
[[gnu::target("avx2")]] void divide_avx2(std::byte* values, std::uint64_t count, double divisor) {
  divide_float32<32>(values, count, divisor);
}
constexpr ReduceTable kAvx2{.name = "avx2", .float32 = {.add = add_avx2, .divide = divide_avx2}};

#  endif

}  // namespace

std::span<const ReduceTable* const> reduce_vector() {
#  if defined(__x86_64__)
  static constexpr std::array<const ReduceTable*, 2> tables{&kVector16, &kAvx2};
  static const std::size_t usable = __builtin_cpu_supports("avx2") ? 2 : 1;
  return std::span(tables).first(usable);
#  else
  static constexpr std::array<const ReduceTable*, 1> tables{&kVector16};
  return tables;
#  endif
}

#else

std::span<const ReduceTable* const> reduce_vector() { return {}; }

#endif

}  // namespace hawser
