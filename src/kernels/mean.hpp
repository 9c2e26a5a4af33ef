#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// Exact means of integer sums, rounded to nearest, ties to even. One implementation for all instruction
/// sets: none has a vector division of integers.
namespace hawser {

/// 128 bits as they lie in memory; signed ones in two's complement.
struct Uint128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  constexpr Uint128() = default;
  constexpr Uint128(std::uint64_t low_bits, std::uint64_t high_bits) : low(low_bits), high(high_bits) {}
  /// A signed one fills the upper half with its sign.
  constexpr explicit Uint128(std::int64_t value)
      : low(static_cast<std::uint64_t>(value)), high(value < 0 ? ~std::uint64_t{0} : 0) {}
  constexpr explicit Uint128(std::uint64_t value) : low(value) {}
  constexpr explicit operator std::uint64_t() const { return low; }
  constexpr explicit operator std::int64_t() const { return static_cast<std::int64_t>(low); }

  friend constexpr Uint128 operator+(Uint128 a, Uint128 b) {
    const std::uint64_t sum = a.low + b.low;
    return {sum, a.high + b.high + (sum < a.low ? 1 : 0)};
  }
};

/// All 128 bits of it.
constexpr Uint128 wide_product(std::uint64_t a, std::uint64_t b) {
#if defined(__SIZEOF_INT128__)
  __extension__ using Product = unsigned __int128;
  const Product product = Product{a} * b;
  return {static_cast<std::uint64_t>(product), static_cast<std::uint64_t>(product >> 64)};
#else
  const std::uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX);
  const std::uint64_t middle = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
  const std::uint64_t other = (a & UINT32_MAX) * (b >> 32) + (middle & UINT32_MAX);
  return {other << 32 | (low & UINT32_MAX), (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32)};
#endif
}

/// Divides by one number again and again: with a multiplication, where the machine has one of 64 bits by 64.
class Divisor {
 public:
  explicit constexpr Divisor(std::uint32_t value) : value_(value), reciprocal_(UINT64_MAX / value) {}
  constexpr std::uint32_t value() const { return value_; }
  constexpr std::uint64_t quotient(std::uint64_t of) const {
#if defined(__SIZEOF_INT128__)
    // The reciprocal is too small by one at most, so the estimate is too.
    const std::uint64_t estimate = wide_product(of, reciprocal_).high;
    return estimate + std::uint64_t{of - estimate * value_ >= value_};
#else
    return of / value_;
#endif
  }
  constexpr std::uint64_t remainder(std::uint64_t of) const { return of - quotient(of) * value_; }
  /// What to add to a quotient of which this remains: 1 if more than half of the divisor does, or half of it
  /// and the quotient is odd.
  constexpr std::uint64_t rounding(std::uint64_t quotient, std::uint64_t remains) const {
    return std::uint64_t{2 * remains + (quotient & 1) > value_};
  }

 private:
  std::uint32_t value_;
  std::uint64_t reciprocal_;
};

constexpr std::uint64_t mean_of(std::uint64_t sum, const Divisor& divisor) {
  const std::uint64_t quotient = divisor.quotient(sum);
  return quotient + divisor.rounding(quotient, sum - quotient * divisor.value());
}

/// Long division in digits of 32 bits.
constexpr Uint128 mean_of(Uint128 sum, const Divisor& divisor) {
  const std::uint64_t upper = divisor.remainder(sum.high) << 32 | sum.low >> 32;
  const std::uint64_t lower = divisor.remainder(upper) << 32 | (sum.low & UINT32_MAX);
  const Uint128 quotient(divisor.quotient(upper) << 32 | divisor.quotient(lower), divisor.quotient(sum.high));
  return quotient + Uint128(divisor.rounding(quotient.low, divisor.remainder(lower)), 0);
}

constexpr bool is_negative(std::uint64_t sum) { return static_cast<std::int64_t>(sum) < 0; }
constexpr bool is_negative(Uint128 sum) { return is_negative(sum.high); }
constexpr std::uint64_t negated(std::uint64_t sum) { return ~sum + 1; }
constexpr Uint128 negated(Uint128 sum) { return Uint128(~sum.low, ~sum.high) + Uint128(1, 0); }

/// Of a sum (std::uint64_t or Uint128, the bits of a signed one if is_signed).
template <class T>
constexpr T mean_of(T sum, const Divisor& divisor, bool is_signed) {
  const bool negative = is_signed && is_negative(sum);
  const T magnitude = mean_of(negative ? negated(sum) : sum, divisor);
  return negative ? negated(magnitude) : magnitude;
}

/// Each sum becomes its mean.
template <class T, bool kSigned>
void divide_integers(std::byte* sums, std::uint64_t count, std::uint32_t divisor) {
  const Divisor by(divisor);
  for (std::uint64_t i = 0; i < count; ++i) {
    T sum;
    std::memcpy(&sum, sums + i * sizeof sum, sizeof sum);
    sum = mean_of(sum, by, kSigned);
    std::memcpy(sums + i * sizeof sum, &sum, sizeof sum);
  }
}

}  // namespace hawser
