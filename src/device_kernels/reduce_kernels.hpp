#pragma once

#include <cstddef>
#include <cstdint>

#include "device_kernels/formats.hpp"
#include "kernels/reduce_element.hpp"

/// The kernels of reduce_launches.hpp.
namespace hawser::device_kernels {

/// a op b, both accumulators. One function for all ops: they cost less than the memory does.
template <class T>
HAWSER_HOST_DEVICE inline T reduced(ReduceOp op, T a, T b) {
  if constexpr (kIsHalfBits<T>) {
    const float left = half_to_float(a);
    const float right = half_to_float(b);
    return float_to_half<T>(op == ReduceOp::max ? element::larger(left, right) : element::smaller(left, right));
  } else if constexpr (std::is_same_v<T, Uint128>) {
    return a + b;
  } else {
    switch (op) {
      case ReduceOp::prod: return element::prod(a, b);
      case ReduceOp::max: return element::larger(a, b);
      case ReduceOp::min: return element::smaller(a, b);
      default: return element::sum(a, b);
    }
  }
}

/// memory: out, a, b. out = a op b.
struct Combine {
  static constexpr const char* kName = "hawser_combine";
  struct Parameters {
    std::uint64_t count;
    ReduceOp op;
    Format accumulator;
    Format a;
    Format b;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    with_accumulator(given.accumulator, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      for_elements(
          block, given.count, [&](std::uint64_t, T& out, T a, T b) { out = reduced(given.op, a, b); },
          Out<T>{arguments.memory[0]}, InAs<T>{arguments.memory[1], given.a}, InAs<T>{arguments.memory[2], given.b});
    });
  }
};

/// memory: out, in. One of the two formats is the accumulator.
struct Convert {
  static constexpr const char* kName = "hawser_convert";
  struct Parameters {
    std::uint64_t count;
    Format accumulator;
    Format out;
    Format in;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    with_accumulator(given.accumulator, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      for_elements(
          block, given.count, [](std::uint64_t, T& out, T in) { out = in; }, OutAs<T>{arguments.memory[0], given.out},
          InAs<T>{arguments.memory[1], given.in});
    });
  }
};

/// memory: the sums. They become means.
struct Divide {
  static constexpr const char* kName = "hawser_divide";
  struct Parameters {
    std::uint64_t count;
    Format accumulator;
    std::uint32_t divisor;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    std::byte* const sums = arguments.memory[0];
    const auto divide_floats = [&](auto divisor) {
      using T = decltype(divisor);
      for_elements(block, given.count, [&](std::uint64_t, T& sum) { sum = sum / divisor; }, InOut<T>{{sums}});
    };
    const Divisor by(given.divisor);
    const auto divide_integers = [&](auto tag, bool is_signed) {
      using T = typename decltype(tag)::Type;
      for_elements(
          block, given.count, [&](std::uint64_t, T& sum) { sum = mean_of(sum, by, is_signed); }, InOut<T>{{sums}});
    };
    switch (given.accumulator) {
      case Format::float32: return divide_floats(static_cast<float>(given.divisor));
      case Format::float64: return divide_floats(static_cast<double>(given.divisor));
      case Format::int64: return divide_integers(Tag<std::uint64_t>(), true);
      case Format::uint64: return divide_integers(Tag<std::uint64_t>(), false);
      case Format::int128: return divide_integers(Tag<Uint128>(), true);
      default: return divide_integers(Tag<Uint128>(), false);
    }
  }
};

/// memory: out, a, b. out = (a - b) * scale in float64 or float32; b may be narrower.
struct Difference {
  static constexpr const char* kName = "hawser_difference";
  struct Parameters {
    std::uint64_t count;
    double scale;
    bool is_double;
    Format b;
  };
  using Shared = NothingShared;
  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    const auto differ = [&](auto scale) {
      using T = decltype(scale);
      for_elements(
          block, given.count,
          [&](std::uint64_t, T& out, T a, T b) { out = element::scaled_difference(a, b, scale); },
          Out<T>{arguments.memory[0]}, In<T>{arguments.memory[1]}, InAs<T>{arguments.memory[2], given.b});
    };
    if (given.is_double)
      differ(given.scale);
    else
      differ(static_cast<float>(given.scale));
  }
};

}  // namespace hawser::device_kernels
