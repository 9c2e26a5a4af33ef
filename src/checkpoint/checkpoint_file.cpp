#include "checkpoint/checkpoint_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "files/open_file.hpp"
#include "kernels/content_digest.hpp"

namespace hawser {
namespace {

// Tensors are written as they lie in memory, and the format says little-endian.
static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kLengthBytes = 8;

Error error_of(const std::string& path, Status status, const std::string& why) {
  return {status, "checkpoint " + quoted_path(path) + ": " + why};
}

Error system_error(const std::string& path, const std::string& what, int error) {
  return error_of(path, Status::system, what + ": " + std::generic_category().message(error));
}

/// All of a tensor on the host, as one piece.
class HostReader final : public ContentReader {
 public:
  explicit HostReader(std::span<const std::byte> content) : content_(content) {}
  Result<std::span<const std::byte>> next() override { return std::exchange(content_, {}); }

 private:
  std::span<const std::byte> content_;
};

class HostWriter final : public ContentWriter {
 public:
  explicit HostWriter(std::span<std::byte> content) : content_(content) {}
  Result<std::span<std::byte>> room() override { return content_; }
  Result<void> filled() override { return {}; }
  Result<void> finish() override { return {}; }

 private:
  std::span<std::byte> content_;
};

Result<std::unique_ptr<ContentReader>> open_content(const CheckpointSource& tensor) {
  if (tensor.open) return tensor.open();
  return std::unique_ptr<ContentReader>(std::make_unique<HostReader>(
      std::span(static_cast<const std::byte*>(tensor.data), tensor.count * element_bytes(tensor.type))));
}
Result<std::unique_ptr<ContentWriter>> open_content(const CheckpointTarget& tensor) {
  if (tensor.open) return tensor.open();
  return std::unique_ptr<ContentWriter>(std::make_unique<HostWriter>(
      std::span(static_cast<std::byte*>(tensor.data), tensor.count * element_bytes(tensor.type))));
}

/// Gives all pieces of a tensor to `take`, which answers an error or none.
template <class Take>
Result<void> read_content(const CheckpointSource& tensor, const Take& take) {
  const auto reader = open_content(tensor);
  if (!reader.ok()) return reader.error();
  while (true) {
    const auto piece = (*reader)->next();
    if (!piece.ok()) return piece.error();
    if (piece->empty()) return {};
    if (const auto taken = take(*piece); !taken.ok()) return taken;
  }
}

/// Of the slices that a piece consists of.
void append_digests(std::span<const std::byte> piece, std::vector<Digest128>& digests) {
  for (std::uint64_t slice = 0; slice < slice_count(piece.size()); ++slice)
    digests.push_back(digest_slice(piece.subspan(static_cast<std::size_t>(slice * kDigestSliceBytes),
                                                 static_cast<std::size_t>(slice_bytes(piece.size(), slice))),
                                   0));
}

Result<Digest128> digest_of(const CheckpointSource& tensor) {
  std::vector<Digest128> digests;
  const auto read = read_content(tensor, [&](std::span<const std::byte> piece) -> Result<void> {
    append_digests(piece, digests);
    return {};
  });
  if (!read.ok()) return read.error();
  return digest_of_slices(digests, tensor.count * element_bytes(tensor.type), 0);
}

/// Of the caller's tensors, without digests.
template <class Tensor>
Result<CheckpointHeader> header_of(const std::string& path, std::span<const Tensor> tensors) {
  CheckpointHeader header;
  for (const Tensor& tensor : tensors) {
    if (tensor.data == nullptr && tensor.count != 0)
      return error_of(path, Status::invalid_argument, "the data of a tensor is null");
    header.entries.push_back({.name = tensor.name, .type = tensor.type, .count = tensor.count});
  }
  if (const auto checked = check_checkpoint_header(header); !checked.ok())
    return error_of(path, Status::invalid_argument, checked.error().sentence);
  return header;
}

template <class Tensor>
std::map<std::string_view, const Tensor*> by_name(std::span<const Tensor> tensors) {
  std::map<std::string_view, const Tensor*> found;
  for (const Tensor& tensor : tensors) found.emplace(tensor.name, &tensor);
  return found;
}

// Saving.

/// None for 0.
Result<void> checked(int error) {
  if (error == 0) return {};
  return Error{Status::system, std::generic_category().message(error)};
}

/// Opens PATH.partial empty, for this save alone.
Result<OpenFile> open_partial(const std::string& path, const std::string& partial) {
  // A save that ended between our open and our lock has renamed or removed what we opened: open again.
  for (int attempt = 0; attempt < 16; ++attempt) {
    OpenFile file(::open(partial.c_str(), O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file.is_open()) return system_error(path, "its partial file cannot be created", errno);
    if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        return error_of(path, Status::invalid_usage, "another save to it is under way");
      return system_error(path, "cannot lock its partial file", errno);
    }
    struct stat opened {};
    struct stat named {};
    const bool is_ours = ::fstat(file.descriptor(), &opened) == 0 && ::lstat(partial.c_str(), &named) == 0 &&
                         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
    if (!is_ours) continue;
    if (!S_ISREG(opened.st_mode) || ::ftruncate(file.descriptor(), 0) != 0)
      return system_error(path, "its partial file cannot be written",
                          S_ISREG(opened.st_mode) ? errno : EINVAL);
    return file;
  }
  return error_of(path, Status::invalid_usage, "other saves to it are under way");
}

Result<void> write_checkpoint(const OpenFile& file, const CheckpointHeader& header,
                              const std::map<std::string_view, const CheckpointSource*>& tensors) {
  const std::string json = encode_checkpoint_header(header);
  const std::uint64_t length = json.size();
  const auto write = [&file](std::span<const std::byte> bytes) { return checked(write_all(file, bytes)); };
  if (const auto written = write(std::as_bytes(std::span(&length, 1))); !written.ok()) return written;
  if (const auto written = write(std::as_bytes(std::span(json))); !written.ok()) return written;
  for (const CheckpointEntry& entry : header.entries)
    if (const auto written = read_content(*tensors.at(entry.name), write); !written.ok()) return written;
  return checked(sync_file(file));
}

// Loading.

/// Fewer bytes only at the end of the file.
Result<std::size_t> read_at(const std::string& path, const OpenFile& file, std::uint64_t offset,
                            std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got =
        ::pread(file.descriptor(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno != EINTR) return system_error(path, "cannot be read", errno);
    if (got == 0) break;
    if (got > 0) done += static_cast<std::size_t>(got);
  }
  return done;
}

/// An opened file whose header was good.
struct Opened {
  OpenFile file;
  CheckpointHeader header;
  std::uint64_t data_offset = 0;
};

Result<Opened> open_checkpoint(const std::string& path) {
  // Non-blocking, so that a pipe by that name is an error and not a wait.
  OpenFile file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (!file.is_open() || ::fstat(file.descriptor(), &status) != 0)
    return system_error(path, "cannot be opened", errno);
  const auto refuse = [&](const std::string& why) { return error_of(path, Status::refused, why); };
  if (!S_ISREG(status.st_mode)) return refuse("it is no regular file");

  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  std::uint64_t length = 0;
  const auto of_length = read_at(path, file, 0, std::as_writable_bytes(std::span(&length, 1)));
  if (!of_length.ok()) return of_length.error();
  if (*of_length < kLengthBytes)
    return refuse("it has only " + std::to_string(*of_length) + " bytes: it is cut off or no checkpoint");
  if (length > kCheckpointHeaderBytesMax)
    return refuse("its header would have " + std::to_string(length) + " bytes; at most " +
                  std::to_string(kCheckpointHeaderBytesMax) + " are allowed");
  if (file_bytes < kLengthBytes || length > file_bytes - kLengthBytes)
    return refuse("its header would have " + std::to_string(length) + " bytes, and the file has " +
                  std::to_string(file_bytes) + ": it is cut off or no checkpoint");
  std::string json(static_cast<std::size_t>(length), ' ');
  const auto of_header = read_at(path, file, kLengthBytes, std::as_writable_bytes(std::span(json)));
  if (!of_header.ok()) return of_header.error();
  if (*of_header < length) return refuse("it was cut off while it was read");
  const std::uint64_t data_offset = kLengthBytes + length;
  auto header = decode_checkpoint_header(json, file_bytes - data_offset);
  if (!header.ok()) return refuse(header.error().sentence);
  return Opened{.file = std::move(file), .header = std::move(*header), .data_offset = data_offset};
}

/// Each tensor's digest, through one slice of memory.
Result<void> verify_data(const std::string& path, const Opened& opened,
                         const CheckpointProgress& progress = {}) {
  std::vector<std::byte> room(kDigestSliceBytes);
  std::vector<Digest128> digests;
  std::uint64_t data_bytes = 0;
  for (const CheckpointEntry& entry : opened.header.entries) data_bytes += content_bytes(entry);
  std::uint64_t offset = opened.data_offset;
  for (const CheckpointEntry& entry : opened.header.entries) {
    const std::uint64_t total = content_bytes(entry);
    digests.clear();
    for (std::uint64_t slice = 0; slice < slice_count(total); ++slice) {
      const auto bytes = std::span(room).first(static_cast<std::size_t>(slice_bytes(total, slice)));
      const auto got = read_at(path, opened.file, offset, bytes);
      if (!got.ok()) return got.error();
      if (*got < bytes.size()) return error_of(path, Status::refused, "it was cut off while it was read");
      digests.push_back(digest_slice(bytes, 0));
      offset += bytes.size();
      if (progress) progress(offset - opened.data_offset, data_bytes);
    }
    if (digest_of_slices(digests, total, 0) != entry.digest)
      return error_of(path, Status::refused,
                      "the content of the tensor \"" + entry.name + "\" is damaged: its digest is another");
  }
  return {};
}

std::string describe(const CheckpointEntry& entry) {
  return std::to_string(entry.count) + " " + to_string(entry.type);
}

Result<void> compare(const std::string& path, const CheckpointHeader& file, const CheckpointHeader& wanted) {
  const auto differ = [&](const std::string& tensor, const std::string& how) {
    return error_of(path, Status::mismatch, "the tensor \"" + tensor + "\" " + how);
  };
  std::map<std::string_view, const CheckpointEntry*> in_file;
  for (const CheckpointEntry& entry : file.entries) in_file.emplace(entry.name, &entry);
  for (const CheckpointEntry& want : wanted.entries) {
    const auto found = in_file.find(want.name);
    if (found == in_file.end()) return differ(want.name, "is missing in the file");
    if (found->second->type != want.type || found->second->count != want.count)
      return differ(want.name, "is " + describe(*found->second) + " in the file, and " + describe(want) +
                                   " is asked for");
    in_file.erase(found);
  }
  if (in_file.empty()) return {};
  return differ(std::string(in_file.begin()->first), "is in the file, and not among those asked for");
}

/// From the file into a tensor. Answers the digest of what was read; none if the file has not all of it.
Result<std::optional<Digest128>> read_tensor(const std::string& path, const OpenFile& file, std::uint64_t offset,
                                             const CheckpointTarget& target) {
  const std::uint64_t total = target.count * element_bytes(target.type);
  const auto writer = open_content(target);
  if (!writer.ok()) return writer.error();
  std::vector<Digest128> digests;
  for (std::uint64_t done = 0; done < total;) {
    const auto room = (*writer)->room();
    if (!room.ok()) return room.error();
    const auto got = read_at(path, file, offset + done, *room);
    if (!got.ok() || *got < room->size()) return std::optional<Digest128>();
    append_digests(*room, digests);
    if (const auto filled = (*writer)->filled(); !filled.ok()) return filled.error();
    done += room->size();
  }
  if (const auto finished = (*writer)->finish(); !finished.ok()) return finished.error();
  return std::optional(digest_of_slices(digests, total, 0));
}

Result<void> read_data(const std::string& path, const Opened& opened,
                       const std::map<std::string_view, const CheckpointTarget*>& targets) {
  std::uint64_t offset = opened.data_offset;
  for (const CheckpointEntry& entry : opened.header.entries) {
    const auto fail = [&](const std::string& why) {
      return error_of(path, Status::system, why + "; the content of the caller's tensors is now unspecified");
    };
    const auto read = read_tensor(path, opened.file, offset, *targets.at(entry.name));
    if (!read.ok()) return fail("the tensor \"" + entry.name + "\" cannot be written: " + read.error().sentence);
    if (*read != entry.digest)
      return fail("it changed or failed between checking and reading, at the tensor \"" + entry.name + "\"");
    offset += content_bytes(entry);
  }
  return {};
}

}  // namespace

Result<void> save_checkpoint(const std::string& path, std::uint64_t revision,
                             std::span<const CheckpointSource> tensors) {
  auto header = header_of(path, tensors);
  if (!header.ok()) return header.error();
  const auto sources = by_name(tensors);
  header->revision = revision;
  order_for_file(header->entries);
  for (CheckpointEntry& entry : header->entries) {
    const auto digest = digest_of(*sources.at(entry.name));
    if (!digest.ok())
      return error_of(path, Status::system,
                      "the tensor \"" + entry.name + "\" cannot be read: " + digest.error().sentence);
    entry.digest = *digest;
  }

  const std::string partial = path + ".partial";
  auto file = open_partial(path, partial);
  if (!file.ok()) return file.error();
  if (const auto written = write_checkpoint(*file, *header, sources); !written.ok()) {
    ::unlink(partial.c_str());
    return error_of(path, Status::system, "its partial file cannot be written: " + written.error().sentence);
  }
  // Renamed while the lock is held, so that no other save writes to what is renamed.
  if (std::rename(partial.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(partial.c_str());
    return system_error(path, "its partial file cannot be renamed to it", error);
  }
  if (const int error = sync_folder_of(path); error != 0)
    return system_error(path, "the file is in place, but its folder cannot be brought to the disk", error);
  return {};
}

Result<std::uint64_t> load_checkpoint(const std::string& path, std::span<const CheckpointTarget> tensors,
                                      bool* touched) {
  if (touched != nullptr) *touched = false;
  const auto wanted = header_of(path, tensors);
  if (!wanted.ok()) return wanted.error();
  const auto opened = open_checkpoint(path);
  if (!opened.ok()) return opened.error();
  if (const auto same = compare(path, opened->header, *wanted); !same.ok()) return same.error();
  if (const auto good = verify_data(path, *opened); !good.ok()) return good.error();
  if (touched != nullptr) *touched = true;
  if (const auto read = read_data(path, *opened, by_name(tensors)); !read.ok()) return read.error();
  return opened->header.revision;
}

Result<CheckpointHeader> read_checkpoint_header(const std::string& path) {
  auto opened = open_checkpoint(path);
  if (!opened.ok()) return opened.error();
  return std::move(opened->header);
}

Result<CheckpointHeader> verify_checkpoint(const std::string& path, const CheckpointProgress& progress) {
  auto opened = open_checkpoint(path);
  if (!opened.ok()) return opened.error();
  if (const auto good = verify_data(path, *opened, progress); !good.ok()) return good.error();
  return std::move(opened->header);
}

}  // namespace hawser
