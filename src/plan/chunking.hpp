#pragma once

#include <cstdint>

namespace hawser {

/// How a buffer of elements is cut. All chunks are equal but the last.
struct Chunking {
  std::uint64_t elements = 0;
  std::uint64_t chunk_elements = 1;

  std::uint64_t chunks() const { return elements == 0 ? 0 : (elements - 1) / chunk_elements + 1; }
  std::uint64_t offset(std::uint64_t chunk) const { return chunk * chunk_elements; }
  std::uint64_t count(std::uint64_t chunk) const {
    const std::uint64_t left = elements - offset(chunk);
    return left < chunk_elements ? left : chunk_elements;
  }
  friend bool operator==(const Chunking&, const Chunking&) = default;
};

struct ChunkingInput {
  std::uint64_t elements = 0;
  std::uint32_t element_bytes = 4;
  std::uint32_t world_size = 2;
};

/// Chunks of 16 to 512 KiB: small enough that every root has several of them, so that transfer and
/// reduction overlap; whole cache lines; spread evenly over `world_size` roots once there are enough.
Chunking cut(const ChunkingInput& input);

}  // namespace hawser
