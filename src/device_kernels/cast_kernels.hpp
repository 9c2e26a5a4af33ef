#pragma once

#include <cstddef>
#include <cstdint>

#include "device_kernels/formats.hpp"
#include "kernels/cast_rounding.hpp"
#include "kernels/dither.hpp"

/// The kernel of quantize() by a cast.
namespace hawser::device_kernels {

struct EncodeCastParameters {
  std::uint64_t count;
  Dither dither;
  bool is_float16;
  bool is_stochastic;
  Format format;
};

/// memory: the values, the 16-bit floats, the decoded values or null.
template <class T>
struct EncodeCast {
  static constexpr const char* kName = kIsDouble<T> ? "hawser_encode_cast_64" : "hawser_encode_cast_32";
  using Parameters = EncodeCastParameters;
  using Shared = NothingShared;

  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    const auto cast = [&](std::uint64_t index, T value, std::uint16_t& half, T& decoded) {
      std::uint32_t bits = 0;
      if constexpr (kIsDouble<T>)
        bits = rounded_to_odd(value);
      else
        bits = std::bit_cast<std::uint32_t>(value);
      const std::uint32_t random = given.dither.bits(static_cast<std::uint32_t>(index));
      if (given.is_float16) {
        half = float32_to_float16(given.is_stochastic ? float16_at_random(bits, random) : bits);
        decoded = static_cast<T>(half_to_float(Float16Bits{half}));
      } else {
        half = float32_to_bfloat16(given.is_stochastic ? bfloat16_at_random(bits, random) : bits);
        decoded = static_cast<T>(half_to_float(Bfloat16Bits{half}));
      }
    };
    for_elements(block, given.count, cast, InAs<T>{arguments.memory[0], given.format},
                 Out<std::uint16_t>{arguments.memory[1]}, Out<T>{arguments.memory[2]});
  }
};

}  // namespace hawser::device_kernels
