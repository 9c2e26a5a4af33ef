#include "files/open_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/loggable_text.hpp"

namespace hawser {
namespace {

constexpr std::size_t kPathBytesMax = 400;

}  // namespace

OpenFile::~OpenFile() {
  if (is_open()) ::close(descriptor_);
}

int write_all(const OpenFile& file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.descriptor(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

int sync_file(const OpenFile& file) { return ::fsync(file.descriptor()) == 0 ? 0 : errno; }

int sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const OpenFile opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.is_open()) return errno;
  const int error = sync_file(opened);
  return error == EINVAL ? 0 : error;
}

std::string quoted_path(const std::string& path) { return "\"" + make_loggable(path, kPathBytesMax) + "\""; }

}  // namespace hawser
