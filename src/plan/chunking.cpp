#include "plan/chunking.hpp"

#include <algorithm>

namespace hawser {
namespace {

constexpr std::uint64_t kChunkBytesMin = 16 << 10;
// On one host each frame costs as much time as some ten KiB, and the members share the cores: the fewer the better.
constexpr std::uint64_t kChunkBytesMinOnHost = 32 << 10;
constexpr std::uint64_t kChunkBytesOnHostPerMember = 4 << 10;
constexpr std::uint64_t kChunkBytesMinOnHostMax = 256 << 10;
constexpr std::uint64_t kChunkBytesMax = 512 << 10;
constexpr std::uint64_t kChunkBytesMaxBetweenHosts = 128 << 10;
constexpr std::uint64_t kChunksPerRoot = 4;
constexpr std::uint64_t kCacheLineBytes = 64;
constexpr std::uint64_t kHoldMs = 50;
constexpr std::uint64_t kConnections = 16;

}  // namespace

Chunking cut(const ChunkingInput& in) {
  // Sizes are reckoned in elements: elements * element_bytes could pass 64 bits.
  const std::uint64_t bytes_min = in.between_hosts || in.bytes_per_second != 0
                                      ? kChunkBytesMin
                                      : std::clamp(in.world_size * kChunkBytesOnHostPerMember, kChunkBytesMinOnHost,
                                                   kChunkBytesMinOnHostMax);
  const std::uint64_t min = std::max<std::uint64_t>(1, bytes_min / in.element_bytes);
  std::uint64_t bytes_max = in.between_hosts ? kChunkBytesMaxBetweenHosts : kChunkBytesMax;
  if (in.bytes_per_second != 0)
    bytes_max = std::clamp(in.bytes_per_second / 1000 * kHoldMs / kConnections, kChunkBytesMin, kChunkBytesMax);
  const std::uint64_t max = std::max<std::uint64_t>(1, bytes_max / in.element_bytes);
  // A segment of a rank has one root; a segment that all share has them all.
  const std::uint32_t roots = in.segments > 1 ? 1 : in.world_size;
  const std::uint64_t wanted = std::clamp(in.elements / (roots * kChunksPerRoot), min, max);
  std::uint64_t chunks = std::max<std::uint64_t>(1, divide_up(in.elements, wanted));
  if (chunks > roots) chunks = divide_up(chunks, roots) * roots;
  const std::uint64_t line = std::max<std::uint64_t>(1, kCacheLineBytes / in.element_bytes);
  const std::uint64_t size = divide_up(divide_up(in.elements, chunks), line) * line;
  return {.elements = in.elements,
          .chunk_elements = std::min(std::max<std::uint64_t>(size, 1), max),
          .segments = in.segments};
}

}  // namespace hawser
