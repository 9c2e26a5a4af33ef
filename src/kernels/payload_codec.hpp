#pragma once

#include <cstddef>
#include <optional>
#include <span>

/// Lossless compression of data payloads: bytes of equal significance side by side (shuffled by the element
/// size), then zstd at level 1. Nothing here throws or blocks; safe from any thread. Each thread that calls
/// keeps a context of zstd and a buffer of the largest size it has seen.
namespace hawser {

/// Shuffles and compresses, and says how many bytes of `out` that took. None if they would be more than `out`
/// has, which is the most that pays, or if memory is short.
/// `stride`: bytes of an element; what is left beyond whole elements is kept as it is.
std::optional<std::size_t> compress_payload(std::span<const std::byte> from, std::size_t stride,
                                            std::span<std::byte> out);
/// False if the bytes, which may be anything, are no such payload, or one of another length than `to`, whose
/// content is then unspecified. `stride` as for compression. Memory depends on the length of `to` alone.
bool decompress_payload(std::span<const std::byte> from, std::size_t stride, std::span<std::byte> to);

}  // namespace hawser
