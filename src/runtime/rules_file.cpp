#include "runtime/rules_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <system_error>

namespace hawser {
namespace {

constexpr std::size_t kRulesBytesMax = 16 << 20;

Error failed(const std::string& what, const std::string& path) {
  const std::error_code why(errno, std::generic_category());
  return {Status::system, what + " the rules file '" + path + "': " + why.message()};
}

/// Closes it, whatever happens.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

bool write_whole(int descriptor, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(descriptor, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return ::fsync(descriptor) == 0;
}

}  // namespace

Result<AdmissionRules> read_rules(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return AdmissionRules{};
    return failed("cannot read", path);
  }
  std::string text;
  text.resize(kRulesBytesMax + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  // Half of the rules would let in whom the other half denies.
  if (file.bad()) return failed("cannot read", path);
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kRulesBytesMax)
    return Error{Status::invalid_argument, "the rules file '" + path + "' has more than 16 MiB"};
  auto rules = parse_rules(text);
  if (!rules.ok()) return Error{rules.status(), "'" + path + "': " + rules.error().sentence};
  return rules;
}

Result<void> write_rules(const std::string& path, const AdmissionRules& rules) {
  const std::string beside = path + ".new";
  const Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.number() < 0 || !write_whole(file.number(), to_text(rules))) return failed("cannot write", beside);
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed("cannot replace", path);
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.number() < 0 || ::fsync(directory.number()) != 0) return failed("cannot make safe", path);
  return {};
}

}  // namespace hawser
