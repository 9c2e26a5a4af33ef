#pragma once

#include <cstddef>
#include <cstdint>

#include "device_kernels/elementwise.hpp"

/// The kernel of list_launches.hpp.
namespace hawser::device_kernels {

/// memory: the one buffer, then the segments. Copies segments into or out of the buffer.
struct CopySegments {
  static constexpr const char* kName = "hawser_copy_segments";
  static constexpr unsigned kSegments = 60;
  /// Bytes that one block copies.
  static constexpr unsigned kOfBlock = 32768;
  struct Parameters {
    std::uint64_t begins[kSegments + 1];     ///< Of each segment in the buffer, and the end of the last.
    std::uint32_t first_block[kSegments + 1];  ///< Of each segment, and the number of all blocks.
    std::uint32_t segments;
    bool is_gather;
  };
  using Shared = NothingShared;

  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared&) {
    const auto& given = parameters_of<Parameters>(arguments);
    unsigned segment = 0;
    unsigned behind = given.segments;
    while (behind - segment > 1) {
      const unsigned middle = (segment + behind) / 2;
      (given.first_block[middle] <= block ? segment : behind) = middle;
    }
    const std::uint64_t first = std::uint64_t{block - given.first_block[segment]} * kOfBlock;
    const std::uint64_t left = given.begins[segment + 1] - given.begins[segment] - first;
    std::byte* const packed = arguments.memory[0] + given.begins[segment] + first;
    std::byte* const apart = arguments.memory[1 + segment] + first;
    copy_part(given.is_gather ? packed : apart, given.is_gather ? apart : packed, left < kOfBlock ? left : kOfBlock);
  }

 private:
  HAWSER_HOST_DEVICE static void copy_part(std::byte* to, const std::byte* from, std::uint64_t bytes) {
    const std::uintptr_t both = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
    if (both % 4 == 0)
      copy_as<std::uint32_t>(to, from, bytes);
    else if (both % 2 == 0)
      copy_as<std::uint16_t>(to, from, bytes);
    else
      copy_as<std::uint8_t>(to, from, bytes);
  }
  template <class T>
  HAWSER_HOST_DEVICE static void copy_as(std::byte* to, const std::byte* from, std::uint64_t bytes) {
    const std::uint64_t count = bytes / sizeof(T);
    const std::uint64_t tiles = (count + elements_of_block(sizeof(T)) - 1) / elements_of_block(sizeof(T));
    const auto assign = [](std::uint64_t, T& copied, T value) { copied = value; };
    each_thread([&](unsigned thread) {
      for (std::uint64_t tile = 0; tile < tiles; ++tile)
        tile_elements(thread, tile, count, assign, Out<T>{to}, In<T>{from});
      const std::uint64_t rest = count * sizeof(T) + thread;
      if (rest < bytes) to[rest] = from[rest];
    });
  }
};

}  // namespace hawser::device_kernels
