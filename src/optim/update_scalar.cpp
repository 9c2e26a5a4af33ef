#include "optim/update_scalar.hpp"

#include <cstring>

// Written for reading: one element after another, one operation a line.

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
  for (std::uint64_t i = 0; i < count; ++i) {
    const T change = static_cast<T>(rate) * load<T>(delta, i);
    store<T>(outer, i, load<T>(outer, i) - change);
  }
}

template <class T, bool kNesterov>
void momentum_step(std::byte* outer, std::byte* momentum, const std::byte* delta, std::uint64_t count,
                   double rate, double factor) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const T gradient = load<T>(delta, i);
    const T kept = static_cast<T>(factor) * load<T>(momentum, i);
    const T moving = kept + gradient;
    store<T>(momentum, i, moving);
    const T ahead = static_cast<T>(factor) * moving;
    const T direction = kNesterov ? gradient + ahead : moving;
    const T change = static_cast<T>(rate) * direction;
    store<T>(outer, i, load<T>(outer, i) - change);
  }
}

template <class T>
void scale(std::byte* values, std::uint64_t count, double multiplier, double divisor) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const T multiplied = load<T>(values, i) * static_cast<T>(multiplier);
    store<T>(values, i, multiplied / static_cast<T>(divisor));
  }
}

template <class T>
void mix(std::byte* local, const std::byte* global, std::uint64_t count, double of_local, double of_global) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const T mine = static_cast<T>(of_local) * load<T>(local, i);
    const T everybodys = static_cast<T>(of_global) * load<T>(global, i);
    store<T>(local, i, mine + everybodys);
  }
}

template <class T>
void add_difference(std::byte* local, const std::byte* a, const std::byte* b, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const T difference = load<T>(a, i) - load<T>(b, i);
    store<T>(local, i, load<T>(local, i) + difference);
  }
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
