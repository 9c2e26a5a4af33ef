#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "wan/host_list.hpp"

namespace hawser::wan {
namespace {

constexpr const char* kName = "hawser-wan-hosts";

}  // namespace

std::vector<HostWords> words_of(const HostAddresses& addresses) {
  std::vector<HostWords> words;
  for (HostIndex i = 0; i < addresses.count(); ++i)
    words.push_back({.inside = address_text(addresses.inside(i)), .outside = address_text(addresses.outside(i))});
  return words;
}

Result<FileDescriptor> make_host_list(const HostAddresses& addresses) {
  std::string text;
  for (const HostWords& one : words_of(addresses)) text += one.inside + ' ' + one.outside + '\n';
  FileDescriptor file(::memfd_create(kName, MFD_CLOEXEC));
  if (!file || ::write(file.number(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return Error{.status = Status::system,
                 .sentence = std::string("cannot keep the list of the hosts: ") + std::strerror(errno)};
  return file;
}

std::vector<HostWords> read_host_list(const std::string& process) {
  std::vector<HostWords> words;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(process + "/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code unreadable;
    if (!std::filesystem::read_symlink(entry->path(), unreadable).string().starts_with(std::string("/memfd:") + kName))
      continue;
    std::ifstream file(entry->path());
    for (HostWords one; file >> one.inside >> one.outside;) words.push_back(one);
    break;
  }
  return words;
}

}  // namespace hawser::wan
