#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/signature.hpp"

/// Element-wise arithmetic of reductions. Every implementation gives the same bits (a NaN's payload apart):
/// IEEE operations in the order of the arguments, one rounding each, nothing fused. Nothing here blocks or
/// allocates; safe from any thread.
namespace hawser {

/// accumulator += x. Equal sizes; the two may be the same memory, or share none.
void add(std::span<float> accumulator, std::span<const float> x);
/// out = a + b. Equal sizes; out may be the same memory as a or b, else shares none with them.
void add_to(std::span<float> out, std::span<const float> a, std::span<const float> b);
/// Each value divided by the divisor, correctly rounded.
void divide(std::span<float> values, float divisor);

/// accumulator = own op incoming, for `count` elements at any alignment. The accumulator may be the same
/// memory as own or incoming, else shares none with them. For avg this is the sum: finish() divides.
void combine(DataType type, ReduceOp op, std::byte* accumulator, const std::byte* own,
             const std::byte* incoming, std::uint64_t count);
/// Makes the final value from the combination of all `contributors` (1 to 2^24): avg divides by their number,
/// correctly rounded; sum is final already.
void finish(DataType type, ReduceOp op, std::byte* value, std::uint64_t count, std::uint32_t contributors);

}  // namespace hawser
