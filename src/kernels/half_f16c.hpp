#pragma once

#include <cstddef>
#include <cstdint>

namespace hawser {

#if defined(__GNUC__) && defined(__x86_64__)

/// The conversions of half_float.hpp, same bits, for processors with AVX2 and F16C only.
void widen_float16_f16c(std::byte* out, const std::byte* from, std::uint64_t count);
void narrow_float16_f16c(std::byte* out, const std::byte* from, std::uint64_t count);

#endif

}  // namespace hawser
