#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/quantization.hpp"
#include "device_kernels/formats.hpp"
#include "kernels/dither.hpp"
#include "kernels/float_order.hpp"
#include "kernels/quantize_scale.hpp"

/// The kernels of quantize() with one scale for all values. T: float, or double for float64.
namespace hawser::device_kernels {

/// A value in shared memory, which nothing may construct.
template <class T>
class Unconstructed {
 public:
  HAWSER_HOST_DEVICE T get() const {
    T value;
    std::memcpy(&value, bytes_, sizeof value);
    return value;
  }
  HAWSER_HOST_DEVICE void set(const T& value) { std::memcpy(bytes_, &value, sizeof value); }

 private:
  alignas(T) unsigned char bytes_[sizeof(T)];
};

/// Blocks that share the tiles of FindPlaces and of EncodeChunk, at most.
inline constexpr unsigned kFindersMax = 512;
inline constexpr unsigned kEncodersMax = 2048;

/// The places (float_order.hpp) of the smallest and the largest of some values.
struct Places {
  std::int64_t first;
  std::int64_t last;
};
/// Those of no value at all.
inline constexpr Places kNoPlaces{std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()};

HAWSER_HOST_DEVICE inline void extend(Places& places, const Places& by) {
  places.first = by.first < places.first ? by.first : places.first;
  places.last = by.last > places.last ? by.last : places.last;
}

/// What the threads of a block found becomes one, in of_thread[0].
HAWSER_HOST_DEVICE inline void extend_over_block(Places (&of_thread)[device::kKernelThreads]) {
  for (unsigned left = device::kKernelThreads / 4; left != 0; left /= 4)
    each_thread([&](unsigned thread) {
      if (thread < left)
        for (unsigned i = 1; i < 4; ++i) extend(of_thread[thread], of_thread[thread + i * left]);
    });
}

struct FindPlacesParameters {
  std::uint64_t count;
  std::uint32_t blocks;
  Format format;
};

/// memory: the values, the Places that each block finds in its tiles.
template <class T>
struct FindPlaces {
  static constexpr const char* kName = kIsDouble<T> ? "hawser_find_places_64" : "hawser_find_places_32";
  using Parameters = FindPlacesParameters;
  struct Shared {
    Places of_thread[device::kKernelThreads];
  };

  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared& shared) {
    const auto& given = parameters_of<Parameters>(arguments);
    find(arguments, given, block, shared);
    extend_over_block(shared.of_thread);
    each_thread([&](unsigned thread) {
      if (thread == 0) *reinterpret_cast<Places*>(arguments.memory[1] + block * sizeof(Places)) = shared.of_thread[0];
    });
  }

 private:
  HAWSER_HOST_DEVICE static void find(const device::KernelArguments& arguments, const Parameters& given, unsigned block,
                                      Shared& shared) {
    const InAs<T> values{arguments.memory[0], given.format};
    const std::uint64_t tiles = blocks_for(given.count, sizeof(T));
    each_thread([&](unsigned thread) {
      auto first = std::numeric_limits<BitsOf<T>>::max();
      auto last = std::numeric_limits<BitsOf<T>>::min();
      const auto take = [&](std::uint64_t, T value) {
        const BitsOf<T> place = ordered<T>(std::bit_cast<BitsOf<T>>(value));
        first = place < first ? place : first;
        last = place > last ? place : last;
      };
      for (std::uint64_t tile = block; tile < tiles; tile += given.blocks)
        tile_elements(thread, tile, given.count, take, values);
      shared.of_thread[thread] = first > last ? kNoPlaces : Places{first, last};
    });
  }
};

struct EncodeChunkParameters {
  std::uint64_t count;
  Dither dither;
  std::uint32_t blocks;
  std::uint32_t found;
  QuantizationScheme scheme;
  QuantizedType type;
  bool is_stochastic;
  Format format;
};

/// memory: the values, what FindPlaces found, the scale, the codes, the decoded values or null.
template <class T>
struct EncodeChunk {
  static constexpr const char* kName = kIsDouble<T> ? "hawser_encode_chunk_64" : "hawser_encode_chunk_32";
  using Parameters = EncodeChunkParameters;
  struct Shared {
    Places of_thread[device::kKernelThreads];
    Unconstructed<Scale<T>> scale;
  };

  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared& shared) {
    const auto& given = parameters_of<Parameters>(arguments);
    choose_scale(arguments, given, block, shared);
    if (given.type == QuantizedType::uint16)
      write_codes<std::uint16_t>(arguments, given, block, shared.scale);
    else
      write_codes<std::uint8_t>(arguments, given, block, shared.scale);
  }

 private:
  /// Each block for itself; the first one writes it.
  HAWSER_HOST_DEVICE static void choose_scale(const device::KernelArguments& arguments, const Parameters& given,
                                              unsigned block, Shared& shared) {
    const auto* const found = reinterpret_cast<const Places*>(arguments.memory[1]);
    each_thread([&](unsigned thread) {
      Places places = kNoPlaces;
      for (unsigned i = thread; i < given.found; i += device::kKernelThreads) extend(places, found[i]);
      shared.of_thread[thread] = places;
    });
    extend_over_block(shared.of_thread);
    each_thread([&](unsigned thread) {
      if (thread != 0) return;
      const auto extremes = extremes_of<T>(static_cast<BitsOf<T>>(shared.of_thread[0].first),
                                           static_cast<BitsOf<T>>(shared.of_thread[0].last));
      const Scale<T> scale = chunk_scale(given.scheme, given.type, extremes);
      shared.scale.set(scale);
      if (block == 0) {
        const Out<T> header{arguments.memory[2]};
        const T numbers[2] = {scale.first, scale.second};
        store_pack(header.at, numbers, header.fits(2));
      }
    });
  }

  template <class Code>
  HAWSER_HOST_DEVICE static void write_codes(const device::KernelArguments& arguments, const Parameters& given,
                                             unsigned block, const Unconstructed<Scale<T>>& shared) {
    const InAs<T> values{arguments.memory[0], given.format};
    const Out<Code> codes{arguments.memory[3]};
    const Out<T> decoded{arguments.memory[4]};
    const std::uint32_t flipped = given.type == QuantizedType::int8 ? kSignBit : 0;
    const std::uint64_t tiles = blocks_for(given.count, sizeof(T));
    each_thread([&](unsigned thread) {
      const Scale<T> scale = shared.get();
      const Decoding<T> decoding = chunk_decoding(given.scheme, scale.first, scale.second);
      const auto encode = [&](std::uint64_t index, T value, Code& code, T& back) {
        std::int32_t found = 0;
        if (scale.representable)
          found = given.is_stochastic
                      ? code_of(scale.encoding, value, given.dither.unit<T>(static_cast<std::uint32_t>(index)))
                      : code_of(scale.encoding, value);
        code = static_cast<Code>(found);
        back = value_of(decoding, static_cast<std::int32_t>(code ^ flipped));
      };
      for (std::uint64_t tile = block; tile < tiles; tile += given.blocks)
        tile_elements(thread, tile, given.count, encode, values, codes, decoded);
    });
  }
};

}  // namespace hawser::device_kernels
