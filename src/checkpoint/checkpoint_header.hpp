#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/data_type.hpp"
#include "base/digest128.hpp"
#include "base/result.hpp"

/// The header of a checkpoint, text to values and back; checkpoint_file.hpp has the whole file. It is that of
/// a safetensors file: one JSON object with an entry for each tensor, and `__metadata__`, strings only, with
///
///     hawser.checkpoint   "1", the version of what follows
///     hawser.revision     the revision, decimal
///     hawser.digest       of revision, names, types, counts and digests: checkpoint_digest()
///     hawser.digest:NAME  digest_content() of the tensor NAME
namespace hawser {

/// A safetensors reader takes no longer header either.
inline constexpr std::uint64_t kCheckpointHeaderBytesMax = 100'000'000;

struct CheckpointEntry {
  std::string name;
  DataType type = DataType::float32;
  std::uint64_t count = 0;
  Digest128 digest;
  friend bool operator==(const CheckpointEntry&, const CheckpointEntry&) = default;
};

/// Bytes of the content of a checked entry.
inline std::uint64_t content_bytes(const CheckpointEntry& entry) {
  return entry.count * element_bytes(entry.type);
}

struct CheckpointHeader {
  std::uint64_t revision = 0;
  /// In the order of their content, which lies without gaps from the first byte of the data to its last.
  std::vector<CheckpointEntry> entries;
  friend bool operator==(const CheckpointHeader&, const CheckpointHeader&) = default;
};

/// Of everything that the header says but for the order of its entries.
Digest128 checkpoint_digest(const CheckpointHeader& header);

/// Error: invalid_argument: a name that is none or comes twice, too many tensors or bytes.
Result<void> check_checkpoint_header(const CheckpointHeader& header);

/// Orders entries so that, with the data at a multiple of 8 bytes, every tensor is aligned to its elements.
void order_for_file(std::vector<CheckpointEntry>& entries);

/// Of a checked header: the JSON, with spaces behind it up to a multiple of 8 bytes.
std::string encode_checkpoint_header(const CheckpointHeader& header);

/// Of any text, and of the bytes of data in the file: the header, if it says just what a Hawser checkpoint
/// says, the digest over it is right, and the tensors fill the data. The order of the JSON's members does
/// not matter. Error: refused, with the reason as the rest of a sentence ("its header ..").
Result<CheckpointHeader> decode_checkpoint_header(std::string_view json, std::uint64_t data_bytes);

}  // namespace hawser
