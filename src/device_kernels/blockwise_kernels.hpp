#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/quantization.hpp"
#include "device_kernels/formats.hpp"
#include "kernels/dither.hpp"
#include "kernels/float_order.hpp"
#include "kernels/quantize_scale.hpp"

/// The kernel of blockwise quantize(). A group is what quantize.hpp calls a block: values with a scale of their own.
namespace hawser::device_kernels {

/// memory: the values, the steps, the codes, the decoded values or null.
///
/// A block of threads takes the elements of one tile, which are whole groups. Each thread finds the largest magnitude of
/// its packs. The packs of a group then find theirs in shared memory, and one thread for each group its step.
struct EncodeGroups {
  static constexpr const char* kName = "hawser_encode_groups";
  struct Parameters {
    std::uint64_t count;
    Dither dither;
    std::uint32_t group;
    QuantizedType type;
    bool is_stochastic;
    bool is_double;
    Format format;
  };
  static constexpr unsigned kTilePacks = device::kKernelThreads * 4;
  struct Shared {
    std::int64_t largest[kTilePacks];
    double step[kTilePacks / 16];
  };

  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared& shared) {
    const auto& given = parameters_of<Parameters>(arguments);
    if (given.is_double)
      Tile<double>{arguments, given, block, shared}.encode();
    else
      Tile<float>{arguments, given, block, shared}.encode();
  }

 private:
  template <class T>
  struct Tile {
    static constexpr unsigned kPack = Layout<sizeof(T)>::kPack;
    static constexpr unsigned kPacks = Layout<sizeof(T)>::kPacks;
    static_assert(kPacks * device::kKernelThreads == kTilePacks);
    struct Values {
      T of[kPacks][kPack];
    };

    const device::KernelArguments& arguments;
    const Parameters& given;
    unsigned block;
    Shared& shared;

    HAWSER_HOST_DEVICE void encode() const {
      PerThread<Values> values;
      each_thread([&](unsigned thread) {
        load(thread, values.of(thread));
        for (unsigned i = 0; i < kPacks; ++i) {
          BitsOf<T> largest = 0;
          for (unsigned j = 0; j < kPack; ++j) {
            const BitsOf<T> magnitude = std::bit_cast<BitsOf<T>>(values.of(thread).of[i][j]) & kMagnitude<T>;
            largest = magnitude > largest ? magnitude : largest;
          }
          shared.largest[i * device::kKernelThreads + thread] = largest;
        }
      });
      find_steps();
      each_thread([&](unsigned thread) {
        for (unsigned i = 0; i < kPacks; ++i) write(i * device::kKernelThreads + thread, values.of(thread).of[i]);
      });
    }

   private:
    HAWSER_HOST_DEVICE std::uint64_t first_of(unsigned pack) const {
      return std::uint64_t{block} * Layout<sizeof(T)>::kOfBlock + pack * kPack;
    }
    /// Of a pack's elements that exist.
    HAWSER_HOST_DEVICE unsigned count_of(unsigned pack) const {
      const std::uint64_t first = first_of(pack);
      if (first >= given.count) return 0;
      return given.count - first < kPack ? static_cast<unsigned>(given.count - first) : kPack;
    }

    HAWSER_HOST_DEVICE void load(unsigned thread, Values& values) const {
      const InAs<T> from{arguments.memory[0], given.format};
      const bool fits = from.fits(kPack);
      const bool fits_one = from.fits(1);
      for (unsigned i = 0; i < kPacks; ++i) {
        const unsigned pack = i * device::kKernelThreads + thread;
        const unsigned count = count_of(pack);
        if (count == kPack && fits) {
          from.load(values.of[i], first_of(pack), true);
          continue;
        }
        for (unsigned j = 0; j < kPack; ++j) {
          T one[1] = {0};
          if (j < count) from.load(one, first_of(pack) + j, fits_one);
          values.of[i][j] = one[0];
        }
      }
    }

    /// Of all groups of the tile.
    HAWSER_HOST_DEVICE void find_steps() const {
      const unsigned packs = given.group / kPack;
      unsigned width = packs;
      while (width > 1) {
        const unsigned ways = width % 4 == 0 ? 4 : 2;
        width /= ways;
        each_thread([&](unsigned thread) {
          for (unsigned pack = thread; pack < kTilePacks; pack += device::kKernelThreads) {
            if (pack % packs >= width) continue;
            for (unsigned way = 1; way < ways; ++way) {
              const std::int64_t other = shared.largest[pack + way * width];
              if (other > shared.largest[pack]) shared.largest[pack] = other;
            }
          }
        });
      }
      each_thread([&](unsigned thread) {
        const std::uint64_t group = first_of(0) / given.group + thread;
        if (thread >= kTilePacks / packs || group * given.group >= given.count) return;
        const T largest = finite_or_nan<T>(static_cast<BitsOf<T>>(shared.largest[thread * packs]));
        const T step[1] = {symmetric_scale(largest, block_levels(given.type)).first};
        shared.step[thread] = static_cast<double>(step[0]);
        const Out<T> steps{arguments.memory[1]};
        steps.store(step, group, steps.fits(1));
      });
    }

    HAWSER_HOST_DEVICE std::int32_t code(const Encoding<T>& encoding, T value, std::uint64_t index) const {
      if (given.is_stochastic)
        return code_of(encoding, value, given.dither.unit<T>(static_cast<std::uint32_t>(index)));
      return code_of(encoding, value);
    }

    HAWSER_HOST_DEVICE void write(unsigned pack, const T (&values)[kPack]) const {
      const unsigned count = count_of(pack);
      if (count == 0) return;
      const T step = static_cast<T>(shared.step[pack / (given.group / kPack)]);
      const std::int32_t levels = block_levels(given.type);
      const Encoding<T> encoding{.divisor = step_choice::divisor_of(step), .lowest = -levels, .highest = levels};
      const Decoding<T> decoding{.step = step};
      std::uint8_t codes[kPack] = {};
      T decoded[kPack];
      for (unsigned j = 0; j < kPack; ++j) {
        const std::int32_t found =
            j < count && !std::isnan(step) ? code(encoding, values[j], first_of(pack) + j) : 0;
        codes[j] = static_cast<std::uint8_t>(found);
        decoded[j] = value_of(decoding, found);
      }
      if (given.type == QuantizedType::int4) {
        std::uint8_t packed[kPack / 2];
        for (unsigned j = 0; j < kPack / 2; ++j)
          packed[j] = static_cast<std::uint8_t>((codes[2 * j] & 0xf) | codes[2 * j + 1] << 4);
        store_some(arguments.memory[2] + first_of(pack) / 2, packed, (count + 1) / 2);
      } else {
        store_some(arguments.memory[2] + first_of(pack), codes, count);
      }
      if (arguments.memory[3] != nullptr)
        store_some(arguments.memory[3] + first_of(pack) * sizeof(T), decoded, count);
    }

    /// The first `count` of them.
    template <class Stored, unsigned kCount>
    HAWSER_HOST_DEVICE static void store_some(std::byte* to, const Stored (&values)[kCount], unsigned count) {
      if (count == kCount && is_aligned(to, sizeof values)) return store_pack(to, values, true);
      const bool fits_one = is_aligned(to, sizeof(Stored));
      for (unsigned i = 0; i < kCount; ++i) {
        const Stored one[1] = {values[i]};
        if (i < count) store_pack(to + i * sizeof(Stored), one, fits_one);
      }
    }
  };
};

}  // namespace hawser::device_kernels
