#include "optim/update_vector.hpp"

#include <array>

#include "kernels/instruction_sets.hpp"

namespace hawser {

#if HAWSER_VECTORIZED

namespace {

template <class T>
struct Step {
  [[gnu::always_inline]] static void run(std::byte* outer, const std::byte* delta, std::uint64_t count,
                                         double rate) {
    const auto by = static_cast<T>(rate);
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) store<T>(outer, i, load<T>(outer, i) - by * load<T>(delta, i));
  }
};

template <class T, bool kNesterov>
struct MomentumStep {
  [[gnu::always_inline]] static void run(std::byte* outer, std::byte* momentum, const std::byte* delta,
                                         std::uint64_t count, double rate, double factor) {
    const auto by = static_cast<T>(rate);
    const auto keep = static_cast<T>(factor);
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) {
      const T gradient = load<T>(delta, i);
      const T moving = keep * load<T>(momentum, i) + gradient;
      store<T>(momentum, i, moving);
      const T direction = kNesterov ? gradient + keep * moving : moving;
      store<T>(outer, i, load<T>(outer, i) - by * direction);
    }
  }
};

template <class T>
struct Scale {
  [[gnu::always_inline]] static void run(std::byte* values, std::uint64_t count, double multiplier,
                                         double divisor) {
    const auto times = static_cast<T>(multiplier);
    const auto by = static_cast<T>(divisor);
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i) store<T>(values, i, load<T>(values, i) * times / by);
  }
};

template <class T>
struct Mix {
  [[gnu::always_inline]] static void run(std::byte* local, const std::byte* global, std::uint64_t count,
                                         double of_local, double of_global) {
    const auto mine = static_cast<T>(of_local);
    const auto everybodys = static_cast<T>(of_global);
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i)
      store<T>(local, i, mine * load<T>(local, i) + everybodys * load<T>(global, i));
  }
};

template <class T>
struct AddDifference {
  [[gnu::always_inline]] static void run(std::byte* local, const std::byte* a, const std::byte* b,
                                         std::uint64_t count) {
    HAWSER_INDEPENDENT_ITERATIONS
    for (std::uint64_t i = 0; i < count; ++i)
      store<T>(local, i, load<T>(local, i) + (load<T>(a, i) - load<T>(b, i)));
  }
};

template <class Isa, class T>
constexpr UpdateKernels kernels() {
  return {.step = &Isa::template run<Step<T>>,
          .heavy_ball = &Isa::template run<MomentumStep<T, false>>,
          .nesterov = &Isa::template run<MomentumStep<T, true>>,
          .scale = &Isa::template run<Scale<T>>,
          .mix = &Isa::template run<Mix<T>>,
          .add_difference = &Isa::template run<AddDifference<T>>};
}

template <class Isa>
constexpr UpdateTable kTable{
    .name = Isa::kName, .float32 = kernels<Isa, float>(), .float64 = kernels<Isa, double>()};

}  // namespace

std::span<const UpdateTable* const> update_vector() {
#  if defined(__x86_64__)
  static constexpr std::array<const UpdateTable*, 2> tables{&kTable<Vector16>, &kTable<Avx2>};
  static const std::size_t usable = Avx2::usable() ? 2 : 1;
  return std::span(tables).first(usable);
#  else
  static constexpr std::array<const UpdateTable*, 1> tables{&kTable<Vector16>};
  return tables;
#  endif
}

#else

std::span<const UpdateTable* const> update_vector() { return {}; }

#endif

}  // namespace hawser
