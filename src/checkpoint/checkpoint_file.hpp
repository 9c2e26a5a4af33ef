#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/data_type.hpp"
#include "base/result.hpp"
#include "checkpoint/checkpoint_header.hpp"

/// Named tensors and their revision in one file, which is a safetensors file with digests:
///
///     8 bytes     length of the header, little-endian, at most kCheckpointHeaderBytesMax
///     header      JSON and spaces (checkpoint_header.hpp), so that the data begins at a multiple of 8 bytes
///     data        the tensors' bytes as in memory (little-endian), without gaps, up to the end of the file
///
/// Any safetensors reader reads it; load_checkpoint() reads only what Hawser wrote, since it wants the
/// digests. All functions block for as long as the file system takes, from any thread.
namespace hawser {

/// Gives the content of a tensor that the host cannot touch: in pieces, from the first byte to the last.
class ContentReader {
 public:
  virtual ~ContentReader() = default;
  /// The next piece; empty after the last one. All but the last are whole slices (kDigestSliceBytes). Valid until the
  /// next call. Error: system.
  virtual Result<std::span<const std::byte>> next() = 0;
};

/// Takes such content, likewise.
class ContentWriter {
 public:
  virtual ~ContentWriter() = default;
  /// Room for the next piece: whole slices, or all that is left.
  virtual Result<std::span<std::byte>> room() = 0;
  /// That piece is there, all of it.
  virtual Result<void> filled() = 0;
  /// Returns once all pieces are where they belong.
  virtual Result<void> finish() = 0;
};

struct CheckpointSource {
  std::string name;
  DataType type = DataType::float32;
  std::uint64_t count = 0;
  const void* data = nullptr;  ///< Not null unless count is 0. Must not change during the save.
  /// Unless empty: `data` does not lie on the host, and this reads it, from the start each time.
  std::function<Result<std::unique_ptr<ContentReader>>()> open{};
};

/// Puts a file in place whole or not at all: written beside it as PATH.partial, brought to the disk, then
/// renamed. On an error before the renaming a file that was there is as it was and PATH.partial is gone; a
/// process that dies may leave it, and the next save writes over it.
/// Errors: invalid_argument (names, limits, null data), invalid_usage (another save to this path is under
/// way), system (what the file system or a reader said). Their sentences name the file.
Result<void> save_checkpoint(const std::string& path, std::uint64_t revision,
                             std::span<const CheckpointSource> tensors);

struct CheckpointTarget {
  std::string name;
  DataType type = DataType::float32;
  std::uint64_t count = 0;
  void* data = nullptr;  ///< Not null unless count is 0.
  /// Unless empty: `data` does not lie on the host, and this writes it.
  std::function<Result<std::unique_ptr<ContentWriter>>()> open{};
};

/// Reads the revision, and all tensors into the caller's memory. The file and the caller must name the same
/// tensors with the same types and counts. The whole file is read and checked before the first byte of the
/// caller's is written, so on an error the caller's memory is as it was; save when somebody changes the
/// file between checking and reading or the disk then fails, of which the sentence says so.
/// Errors: invalid_argument (names, limits, null data), mismatch (other tensors than the file's), refused (no
/// checkpoint, or one that is damaged or cut off), system. Their sentences name the file.
/// `touched`, unless null, tells whether anything was written to the caller's memory.
Result<std::uint64_t> load_checkpoint(const std::string& path, std::span<const CheckpointTarget> tensors,
                                      bool* touched = nullptr);

/// Revision and tensors, from the header alone: its own digest is checked, the data is not read.
/// Errors: refused, system.
Result<CheckpointHeader> read_checkpoint_header(const std::string& path);

/// Bytes of data that have been checked, and of all.
using CheckpointProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Reads the whole file through 1 MiB of memory and checks every digest. `progress`, unless it is empty, is
/// called after each MiB and at the end of each tensor; what it throws comes out.
/// Errors: refused (as load_checkpoint()), system.
Result<CheckpointHeader> verify_checkpoint(const std::string& path, const CheckpointProgress& progress = {});

}  // namespace hawser
