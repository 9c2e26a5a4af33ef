#include "trust/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <span>
#include <system_error>

#include "base/loggable_text.hpp"
#include "files/open_file.hpp"

namespace hawser::trust {
namespace {

constexpr std::size_t kPathBytesMax = 400;
constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

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

}  // namespace

Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max) {
  // Not blocking: the path may be that of a pipe.
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return file_error("cannot open", path, errno);
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
  const OpenFile file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly));
  if (!file.is_open() && errno == EEXIST)
    return Error{Status::invalid_argument,
                 quoted_path(path) + " exists already, and a key is never overwritten; choose another name"};
  if (!file.is_open()) return file_error("cannot make", path, errno);
  int error = write_all(file, std::as_bytes(std::span(content)));
  if (error == 0) error = sync_file(file);
  if (error != 0) {
    (void)::unlink(path.c_str());
    return file_error("cannot write", path, error);
  }
  return {};
}

}  // namespace hawser::trust
