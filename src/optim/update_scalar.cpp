#include "optim/update_scalar.hpp"

#include <cstring>

#include "optim/update_element.hpp"

// Written for reading: one element after another.

namespace hawser {
namespace {

template <class T>
T load(const std::byte* from, std::uint64_t index) {
  T value;
  std::memcpy(&value, from + index * sizeof value, sizeof value);
  return value;
}

template <class T>
void store(std::byte* to, std::uint64_t index, T value) {
  std::memcpy(to + index * sizeof value, &value, sizeof value);
}

template <class T>
void step(std::byte* outer, const std::byte* delta, std::uint64_t count, double rate) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(outer, i, element::stepped(load<T>(outer, i), load<T>(delta, i), static_cast<T>(rate)));
}

template <class T, bool kNesterov>
void momentum_step(std::byte* outer, std::byte* momentum, const std::byte* delta, std::uint64_t count,
                   double rate, double factor) {
  for (std::uint64_t i = 0; i < count; ++i) {
    T moving = load<T>(momentum, i);
    const T direction = element::direction_of(moving, load<T>(delta, i), static_cast<T>(factor), kNesterov);
    store<T>(momentum, i, moving);
    store<T>(outer, i, element::stepped(load<T>(outer, i), direction, static_cast<T>(rate)));
  }
}

template <class T>
void scale(std::byte* values, std::uint64_t count, double multiplier, double divisor) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(values, i, element::scaled(load<T>(values, i), static_cast<T>(multiplier), static_cast<T>(divisor)));
}

template <class T>
void mix(std::byte* local, const std::byte* global, std::uint64_t count, double of_local, double of_global) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(local, i, element::mixed(load<T>(local, i), load<T>(global, i), static_cast<T>(of_local),
                                      static_cast<T>(of_global)));
}

template <class T>
void add_difference(std::byte* local, const std::byte* a, const std::byte* b, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    store<T>(local, i, element::plus_difference(load<T>(local, i), load<T>(a, i), load<T>(b, i)));
}

template <class T>
constexpr UpdateKernels kernels() {
  return {.step = step<T>,
          .heavy_ball = momentum_step<T, false>,
          .nesterov = momentum_step<T, true>,
          .scale = scale<T>,
          .mix = mix<T>,
          .add_difference = add_difference<T>};
}

}  // namespace

const UpdateTable& update_scalar() {
  static constexpr UpdateTable table{
      .name = "scalar", .float32 = kernels<float>(), .float64 = kernels<double>()};
  return table;
}

}  // namespace hawser
