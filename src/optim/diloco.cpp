#include "optim/diloco.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "optim/update_scalar.hpp"
#include "optim/update_vector.hpp"

namespace hawser {
namespace {

const UpdateKernels& kernels(DataType working) {
  static const UpdateTable& table = update_vector().empty() ? update_scalar() : *update_vector().back();
  return table.of(working);
}

/// As a number of the working type. GCC 12 loses the rounding where it inlines two of these and makes vector code.
[[gnu::noinline]] double rounded(DataType type, double value) {
  return working_type(type) == DataType::float64 ? value : static_cast<double>(static_cast<float>(value));
}

Error refuse(const char* name, double value, const char* must) {
  return {Status::invalid_argument,
          std::string(name) + " must be " + must + ", not " + std::to_string(value)};
}

/// 16-bit floats as float32, on a piece of the stack that stays in the nearest cache.
constexpr std::uint64_t kStaged = 512;
using Staged = std::array<std::byte, kStaged * sizeof(float)>;

/// Calls step(first, count) for consecutive pieces of at most kStaged elements.
template <class Step>
void in_pieces(std::uint64_t count, Step step) {
  for (std::uint64_t first = 0; first < count; first += kStaged)
    step(first, std::min(kStaged, count - first));
}

/// Calls change(values, first, count) with pieces of 16-bit floats as float32, and rounds what it makes of
/// them.
template <class Change>
void change_halves(DataType type, std::byte* halves, std::uint64_t count, Change change) {
  alignas(64) Staged staged;
  in_pieces(count, [&](std::uint64_t first, std::uint64_t n) {
    std::byte* const piece = halves + first * element_bytes(type);
    widen_float(type, staged.data(), piece, n);
    change(staged.data(), first * sizeof(float), n);
    narrow_float(type, piece, staged.data(), n);
  });
}

}  // namespace

void pseudo_gradient(DataType inner_type, std::byte* delta, const std::byte* outer, const std::byte* inner,
                     std::uint64_t count, double scale) {
  HAWSER_ASSERT(is_float(inner_type));
  HAWSER_ASSERT(check_factor(inner_type, scale, "the scale").ok());
  if (!is_half(inner_type)) return difference(inner_type, delta, outer, inner, scale, count);
  alignas(64) Staged staged;
  in_pieces(count, [&](std::uint64_t first, std::uint64_t n) {
    const std::uint64_t offset = first * sizeof(float);
    widen_float(inner_type, staged.data(), inner + first * element_bytes(inner_type), n);
    difference(DataType::float32, delta + offset, outer + offset, staged.data(), scale, n);
  });
}

void scale(DataType type, std::byte* values, std::uint64_t count, const Ratio& by) {
  HAWSER_ASSERT(check_ratio(type, by).ok());
  kernels(type).scale(values, count, by.multiplier, by.divisor);
}

void outer_step(DataType type, const OuterTensor& tensor, std::uint64_t count, const OuterStep& step) {
  HAWSER_ASSERT(check_step(type, step).ok());
  const UpdateKernels& of_type = kernels(type);
  if (step.momentum == 0) return of_type.step(tensor.outer, tensor.delta, count, step.learning_rate);
  const auto with_momentum = step.nesterov ? of_type.nesterov : of_type.heavy_ball;
  with_momentum(tensor.outer, tensor.momentum, tensor.delta, count, step.learning_rate, step.momentum);
}

void clear_momentum(DataType type, std::byte* momentum, std::uint64_t count) {
  HAWSER_ASSERT(type == working_type(type));
  const std::size_t bytes = element_bytes(type);
  constexpr std::byte kSign{0x80};
  // Little-endian: the sign is in the last byte.
  std::fill_n(momentum, count * bytes, std::byte{0});
  for (std::uint64_t i = 1; i <= count; ++i) momentum[i * bytes - 1] = kSign;
}

MixFactors mix_factors(DataType inner_type, double alpha) {
  HAWSER_ASSERT(is_float(inner_type));
  HAWSER_ASSERT(check_alpha(alpha).ok());
  return {.of_local = rounded(inner_type, alpha), .of_global = rounded(inner_type, 1 - alpha)};
}

void mix(DataType inner_type, std::byte* local, const std::byte* global, std::uint64_t count, double alpha) {
  const MixFactors factors = mix_factors(inner_type, alpha);
  if (factors.of_global == 0) return;
  if (factors.of_local == 0) return narrow_float(inner_type, local, global, count);
  const auto mix_in = kernels(working_type(inner_type)).mix;
  if (!is_half(inner_type)) return mix_in(local, global, count, factors.of_local, factors.of_global);
  change_halves(inner_type, local, count, [&](std::byte* values, std::uint64_t offset, std::uint64_t n) {
    mix_in(values, global + offset, n, factors.of_local, factors.of_global);
  });
}

void add_difference(DataType inner_type, std::byte* local, const std::byte* a, const std::byte* b,
                    std::uint64_t count) {
  HAWSER_ASSERT(is_float(inner_type));
  const auto add = kernels(working_type(inner_type)).add_difference;
  if (!is_half(inner_type)) return add(local, a, b, count);
  change_halves(inner_type, local, count, [&](std::byte* values, std::uint64_t offset, std::uint64_t n) {
    add(values, a + offset, b + offset, n);
  });
}

Result<void> check_factor(DataType type, double factor, const char* name) {
  if (!std::isfinite(rounded(type, factor)))
    return refuse(name, factor, "a finite number of the tensors' type");
  return {};
}

Result<void> check_step(DataType type, const OuterStep& step) {
  for (const auto& [value, name] :
       {std::pair{step.learning_rate, "the learning rate"}, std::pair{step.momentum, "the momentum"}}) {
    if (auto fine = check_factor(type, value, name); !fine.ok()) return fine;
    if (value < 0) return refuse(name, value, "0 or more");
  }
  if (step.nesterov && step.momentum == 0)
    return refuse("the momentum", step.momentum, "above 0 for Nesterov");
  return {};
}

Result<void> check_ratio(DataType type, const Ratio& ratio) {
  if (auto fine = check_factor(type, ratio.multiplier, "the multiplier"); !fine.ok()) return fine;
  if (auto fine = check_factor(type, ratio.divisor, "the divisor"); !fine.ok()) return fine;
  if (rounded(type, ratio.divisor) == 0)
    return refuse("the divisor", ratio.divisor, "a number of the tensors' type other than 0");
  return {};
}

Result<void> check_alpha(double alpha) {
  if (!(alpha >= 0 && alpha <= 1)) return refuse("alpha", alpha, "from 0 to 1");
  return {};
}

}  // namespace hawser
