#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace hawser {

/// A descriptor that is closed with its owner.
class OpenFile {
 public:
  /// Takes it over; negative: none.
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  OpenFile(OpenFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();
  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// Each answers an error number of the system, or 0. They block for the file system.

int write_all(const OpenFile& file, std::span<const std::byte> bytes);
/// What was written outlives a power cut.
int sync_file(const OpenFile& file);
/// The name of a file that was made or renamed does, too. Some file systems have no such thing for folders: then 0.
int sync_folder_of(const std::string& path);

/// A path as it stands in sentences: quoted, short, and fit for a log.
std::string quoted_path(const std::string& path);

}  // namespace hawser
