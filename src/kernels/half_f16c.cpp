#include "kernels/half_f16c.hpp"

#if defined(__GNUC__) && defined(__x86_64__)

#  include <immintrin.h>

#  include "kernels/half_float.hpp"
#  include "kernels/instruction_sets.hpp"

namespace hawser {
namespace {

constexpr std::uint64_t kPerVector = 8;

}  // namespace

[[gnu::target("avx2,f16c")]] void widen_float16_f16c(std::byte* out, const std::byte* from,
                                                     std::uint64_t count) {
  std::uint64_t i = 0;
  for (; count - i >= kPerVector; i += kPerVector) {
    const __m128i halves =
        _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(from + i * sizeof(std::uint16_t)));
    _mm256_storeu_ps(reinterpret_cast<float*>(out + i * sizeof(float)), _mm256_cvtph_ps(halves));
  }
  for (; i < count; ++i) store<std::uint32_t>(out, i, float16_to_float32(load<std::uint16_t>(from, i)));
}

[[gnu::target("avx2,f16c")]] void narrow_float16_f16c(std::byte* out, const std::byte* from,
                                                      std::uint64_t count) {
  std::uint64_t i = 0;
  for (; count - i >= kPerVector; i += kPerVector) {
    const __m256 values = _mm256_loadu_ps(reinterpret_cast<const float*>(from + i * sizeof(float)));
    const __m128i halves = _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT);
    const __m128i magnitudes = _mm_and_si128(halves, _mm_set1_epi16(0x7fff));
    const __m128i is_nan = _mm_cmpgt_epi16(magnitudes, _mm_set1_epi16(kFloat16Infinity));
    _mm_storeu_si128(reinterpret_cast<__m128i_u*>(out + i * sizeof(std::uint16_t)),
                     _mm_blendv_epi8(halves, _mm_set1_epi16(kFloat16Nan), is_nan));
  }
  for (; i < count; ++i) store<std::uint16_t>(out, i, float32_to_float16(load<std::uint32_t>(from, i)));
}

}  // namespace hawser

#endif
