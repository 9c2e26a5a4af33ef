#pragma once

#include <cstdint>

namespace hawser {

/// Rounded up.
constexpr std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return a == 0 ? 0 : (a - 1) / b + 1; }

/// How a buffer of elements is cut. All-reduce and broadcast see one segment; all-gather and reduce-scatter
/// one per rank, and no chunk crosses from one to the next: chunk c lies in segment c % segments. All chunks
/// of a segment are equal but the last.
struct Chunking {
  std::uint64_t elements = 0;  ///< Of one segment.
  std::uint64_t chunk_elements = 1;
  std::uint32_t segments = 1;

  std::uint64_t chunks() const { return elements == 0 ? 0 : ((elements - 1) / chunk_elements + 1) * segments; }
  std::uint32_t segment(std::uint64_t chunk) const { return static_cast<std::uint32_t>(chunk % segments); }
  /// In elements from the start of its segment.
  std::uint64_t offset_in_segment(std::uint64_t chunk) const { return chunk / segments * chunk_elements; }
  /// From the start of the buffer.
  std::uint64_t offset(std::uint64_t chunk) const { return segment(chunk) * elements + offset_in_segment(chunk); }
  std::uint64_t count(std::uint64_t chunk) const {
    const std::uint64_t left = elements - offset_in_segment(chunk);
    return left < chunk_elements ? left : chunk_elements;
  }
  friend bool operator==(const Chunking&, const Chunking&) = default;
};

struct ChunkingInput {
  std::uint64_t elements = 0;  ///< Of one segment.
  std::uint32_t element_bytes = 4;
  std::uint32_t world_size = 2;
  std::uint32_t segments = 1;
  /// Of the slowest link that chunks may have to take; 0: unknown.
  std::uint64_t bytes_per_second = 0;
  bool between_hosts = false;  ///< Some members are on other hosts than others. Matters while rates are unknown.
};

/// On one host chunks have 4 KiB for each member, and 32 to 256 KiB, at the least: there a frame costs as much as many
/// bytes do. Otherwise:
///
/// Chunks of 16 to 512 KiB: small enough that every root has several of them, so that transfer and
/// reduction overlap; whole cache lines; spread evenly over `world_size` roots once there are enough.
/// No larger than what one of sixteen connections of the slowest link carries in 50 ms, but 16 KiB at least: others
/// wait behind a chunk, and the last one of a collective is waited for by all. Between hosts that know nothing of their
/// links yet, 128 KiB: many connections then have something to carry, and none of them a lot.
Chunking cut(const ChunkingInput& input);

}  // namespace hawser
