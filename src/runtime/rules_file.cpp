#include "runtime/rules_file.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <span>
#include <system_error>
#include <utility>

#include "files/open_file.hpp"

namespace hawser {
namespace {

constexpr std::size_t kRulesBytesMax = 16 << 20;

Error failed(const std::string& what, const std::string& path, int error) {
  const std::string why = std::generic_category().message(error);
  return {Status::system, what + " the rules file " + quoted_path(path) + ": " + why};
}

}  // namespace

Result<std::optional<AdmissionRules>> read_rules(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return std::optional<AdmissionRules>();
    return failed("cannot read", path, errno);
  }
  std::string text;
  text.resize(kRulesBytesMax + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  // Half of the rules would let in whom the other half denies.
  if (file.bad()) return failed("cannot read", path, errno);
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kRulesBytesMax)
    return Error{Status::invalid_argument, "the rules file " + quoted_path(path) + " has more than 16 MiB"};
  auto rules = parse_rules(text);
  if (!rules.ok()) return Error{rules.status(), quoted_path(path) + ": " + rules.error().sentence};
  return std::optional(std::move(*rules));
}

Result<void> write_rules(const std::string& path, const AdmissionRules& rules) {
  const std::string beside = path + ".new";
  const OpenFile file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.is_open()) return failed("cannot write", beside, errno);
  const std::string text = to_text(rules);
  int error = write_all(file, std::as_bytes(std::span(text)));
  if (error == 0) error = sync_file(file);
  if (error != 0) return failed("cannot write", beside, error);
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed("cannot replace", path, errno);
  if (error = sync_folder_of(path); error != 0) return failed("cannot make safe", path, error);
  return {};
}

}  // namespace hawser
