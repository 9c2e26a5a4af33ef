#pragma once

#include <cstddef>
#include <cstdint>

#include "device_kernels/formats.hpp"
#include "optim/update_element.hpp"

/// The kernels of diloco_launches.hpp.
namespace hawser::device_kernels {

/// Calls visit(first, second) with the factors as numbers of the working type.
template <class Visit>
HAWSER_HOST_DEVICE inline void with_factors(bool is_double, double first, double second, const Visit& visit) {
  if (is_double)
    visit(first, second);
  else
    visit(static_cast<float>(first), static_cast<float>(second));
}

/// memory: outer, delta, momentum. The last one is missing without momentum.
struct StepOuter {
  static constexpr const char* kName = "hawser_step_outer";
  struct Parameters {
    std::uint64_t count;
    double rate;
    double momentum;  ///< 0: none.
    bool is_nesterov;
    bool is_double;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    with_factors(given.is_double, given.rate, given.momentum, [&](auto rate, auto factor) {
      using T = decltype(rate);
      const InOut<T> outer{{arguments.memory[0]}};
      const In<T> delta{arguments.memory[1]};
      if (given.momentum == 0)
        return for_elements(
            block, given.count,
            [&](std::uint64_t, T& value, T gradient) { value = element::stepped(value, gradient, rate); }, outer, delta);
      for_elements(
          block, given.count,
          [&](std::uint64_t, T& value, T gradient, T& moving) {
            value = element::stepped(value, element::direction_of(moving, gradient, factor, given.is_nesterov), rate);
          },
          outer, delta, InOut<T>{{arguments.memory[2]}});
    });
  }
};

/// memory: the values.
struct ScaleValues {
  static constexpr const char* kName = "hawser_scale_values";
  struct Parameters {
    std::uint64_t count;
    double multiplier;
    double divisor;
    bool is_double;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    with_factors(given.is_double, given.multiplier, given.divisor, [&](auto multiplier, auto divisor) {
      using T = decltype(divisor);
      for_elements(
          block, given.count, [&](std::uint64_t, T& value) { value = element::scaled(value, multiplier, divisor); },
          InOut<T>{{arguments.memory[0]}});
    });
  }
};

/// memory: the values, all of which become -0.
struct FillNegativeZeros {
  static constexpr const char* kName = "hawser_fill_negative_zeros";
  struct Parameters {
    std::uint64_t count;
    bool is_double;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    with_factors(given.is_double, -0.0, 0, [&](auto zero, auto) {
      using T = decltype(zero);
      for_elements(block, given.count, [&](std::uint64_t, T& value) { value = zero; }, Out<T>{arguments.memory[0]});
    });
  }
};

/// memory: local, global.
struct Mix {
  static constexpr const char* kName = "hawser_mix";
  struct Parameters {
    std::uint64_t count;
    double of_local;
    double of_global;
    bool is_double;
    Format local;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    with_factors(given.is_double, given.of_local, given.of_global, [&](auto of_local, auto of_global) {
      using T = decltype(of_local);
      for_elements(
          block, given.count,
          [&](std::uint64_t, T& local, T global) { local = element::mixed(local, global, of_local, of_global); },
          InOutAs<T>{{arguments.memory[0], given.local}}, In<T>{arguments.memory[1]});
    });
  }
};

/// memory: local, a, b.
struct AddDifference {
  static constexpr const char* kName = "hawser_add_difference";
  struct Parameters {
    std::uint64_t count;
    bool is_double;
    Format local;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    with_factors(given.is_double, 0, 0, [&](auto zero, auto) {
      using T = decltype(zero);
      for_elements(
          block, given.count,
          [](std::uint64_t, T& local, T a, T b) { local = element::plus_difference(local, a, b); },
          InOutAs<T>{{arguments.memory[0], given.local}}, In<T>{arguments.memory[1]}, In<T>{arguments.memory[2]});
    });
  }
};

}  // namespace hawser::device_kernels
