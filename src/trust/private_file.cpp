#include "trust/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/loggable_text.hpp"

namespace hawser::trust {
namespace {

constexpr std::size_t kPathBytesMax = 400;
constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

/// A descriptor that is closed with its owner.
class OpenFile {
 public:
  OpenFile(const std::string& path, int flags, mode_t mode = 0) : descriptor_(::open(path.c_str(), flags, mode)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

Error file_error(const char* what, const std::string& path, int error) {
  return {Status::system, std::string(what) + " " + quoted_path(path) + ": " + std::generic_category().message(error)};
}

Result<void> check_private(const std::string& path, const struct stat& found) {
  if (!S_ISREG(found.st_mode))
    return Error{Status::invalid_argument, quoted_path(path) + " is no ordinary file; give the path of a key file"};
  if ((found.st_mode & kOthers) == 0) return {};
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%03o", static_cast<unsigned>(found.st_mode & 0777));
  return Error{Status::invalid_argument, quoted_path(path) + " holds a secret, and others than its owner may use it " +
                                             "(mode " + mode.data() + "); run: chmod 600 " +
                                             make_loggable(path, kPathBytesMax)};
}

int write_all(int descriptor, const std::string& content) {
  for (std::size_t written = 0; written < content.size();) {
    const ssize_t count = ::write(descriptor, content.data() + written, content.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    written += static_cast<std::size_t>(count);
  }
  return ::fsync(descriptor) == 0 ? 0 : errno;
}

}  // namespace

std::string quoted_path(const std::string& path) { return "\"" + make_loggable(path, kPathBytesMax) + "\""; }

Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max) {
  // Not blocking: the path may be that of a pipe.
  const OpenFile file(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.descriptor() < 0) return file_error("cannot open", path, errno);
  struct stat found {};
  if (::fstat(file.descriptor(), &found) != 0) return file_error("cannot look at", path, errno);
  if (const auto checked = check_private(path, found); !checked.ok()) return checked.error();
  std::string content(bytes_max + 1, '\0');
  std::size_t count = 0;
  while (count < content.size()) {
    const ssize_t got = ::read(file.descriptor(), content.data() + count, content.size() - count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error("cannot read", path, errno);
    if (got == 0) break;
    count += static_cast<std::size_t>(got);
  }
  if (count > bytes_max)
    return Error{Status::invalid_argument,
                 quoted_path(path) + " has more than " + std::to_string(bytes_max) + " bytes: it is no key file"};
  content.resize(count);
  return content;
}

Result<void> write_private_file(const std::string& path, const std::string& content) {
  const OpenFile file(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly);
  if (file.descriptor() < 0 && errno == EEXIST)
    return Error{Status::invalid_argument,
                 quoted_path(path) + " exists already, and a key is never overwritten; choose another name"};
  if (file.descriptor() < 0) return file_error("cannot make", path, errno);
  if (const int error = write_all(file.descriptor(), content); error != 0) {
    (void)::unlink(path.c_str());
    return file_error("cannot write", path, error);
  }
  return {};
}

}  // namespace hawser::trust
