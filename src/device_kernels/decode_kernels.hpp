#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/quantization.hpp"
#include "device_kernels/formats.hpp"
#include "device_kernels/reduce_kernels.hpp"
#include "kernels/quantize_scale.hpp"

/// The kernel of dequantize() and dequantize_combine().
namespace hawser::device_kernels {

/// Codes of 4 bits with a sign, two to a byte.
struct InNibbles {
  using Value = std::int32_t;
  static constexpr unsigned kBytes = 1;
  const std::byte* at;

  HAWSER_HOST_DEVICE bool fits(unsigned pack) const { return pack == 1 || is_aligned(at, pack / 2); }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(std::int32_t (&codes)[kCount], std::uint64_t index, bool aligned) const {
    std::uint8_t pairs[(kCount + 1) / 2];
    load_pack(pairs, at + index / 2, aligned);
    for (unsigned i = 0; i < kCount; ++i) {
      const std::uint32_t code = (pairs[i / 2] >> ((index + i) % 2 == 0 ? 0 : 4)) & 0xf;
      codes[i] = static_cast<std::int32_t>(code ^ 8) - 8;
    }
  }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void store(const std::int32_t (&)[kCount], std::uint64_t, bool) const {}
};

/// Null: the elements are not looked at.
template <class T>
struct InMaybe : In<T> {
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(T (&values)[kCount], std::uint64_t index, bool aligned) const {
    for (unsigned i = 0; i < kCount; ++i) values[i] = 0;
    if (this->at != nullptr) load_pack(values, this->at + index * sizeof(T), aligned);
  }
};

struct DecodeParameters {
  std::uint64_t count;
  std::uint32_t group_shift;  ///< Of blockwise: the logarithm of the values per scale.
  QuantizationScheme scheme;
  QuantizedType type;
  ReduceOp op;
  Format out;
};

/// memory: the scales, the codes, own values or null, out.
template <class T>
struct Decode {
  static constexpr const char* kName = kIsDouble<T> ? "hawser_decode_64" : "hawser_decode_32";
  using Parameters = DecodeParameters;
  using Shared = NothingShared;

  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    Of{arguments, parameters_of<Parameters>(arguments), block}.decode();
  }

 private:
  struct Of {
    const device::KernelArguments& arguments;
    const Parameters& given;
    unsigned block;

    HAWSER_HOST_DEVICE void decode() const {
      const std::byte* const codes = arguments.memory[1];
      switch (given.scheme) {
        case QuantizationScheme::cast:
          return each(InAs<float>{codes, given.type == QuantizedType::float16 ? Format::float16 : Format::bfloat16},
                      [](std::uint64_t, float value) { return static_cast<T>(value); });
        case QuantizationScheme::blockwise:
          if (given.type == QuantizedType::int4) return each(InNibbles{codes}, of_groups());
          return each(In<std::int8_t>{codes}, of_groups());
        default:
          if (given.type == QuantizedType::uint16) return each(In<std::uint16_t>{codes}, of_chunk(0));
          return each(In<std::uint8_t>{codes}, of_chunk(given.type == QuantizedType::int8 ? kSignBit : 0));
      }
    }

   private:
    HAWSER_HOST_DEVICE T scale_number(std::uint64_t index) const {
      const In<T> scales{arguments.memory[0]};
      T number[1];
      scales.load(number, index, scales.fits(1));
      return number[0];
    }
    HAWSER_HOST_DEVICE auto of_chunk(std::uint32_t flipped) const {
      const Decoding<T> decoding = chunk_decoding(given.scheme, scale_number(0), scale_number(1));
      return [decoding, flipped](std::uint64_t, std::uint32_t code) {
        return value_of(decoding, static_cast<std::int32_t>(code ^ flipped));
      };
    }
    HAWSER_HOST_DEVICE auto of_groups() const {
      return [this](std::uint64_t index, std::int32_t code) {
        return value_of(Decoding<T>{.step = scale_number(index >> given.group_shift)}, code);
      };
    }

    template <class Codes, class ValueOf>
    HAWSER_HOST_DEVICE void each(const Codes& codes, const ValueOf& value_of_code) const {
      const bool combines = arguments.memory[2] != nullptr;
      for_elements(
          block, given.count,
          [&](std::uint64_t index, T& out, T own, const typename Codes::Value& code) {
            const T value = value_of_code(index, code);
            out = combines ? reduced(given.op, own, value) : value;
          },
          OutAs<T>{arguments.memory[3], given.out}, InMaybe<T>{{arguments.memory[2]}}, codes);
    }
  };
};

}  // namespace hawser::device_kernels
