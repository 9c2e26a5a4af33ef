#include "hostile/hanging_resolver.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace hawser::hostile {
namespace {

/// Of the lab's network, and no host's: what is sent there is lost without a word.
constexpr const char* kNobody = "nameserver 10.77.255.254\n";

[[noreturn]] void refuse(const char* what) {
  throw std::runtime_error(std::string("cannot hide the name servers: ") + what + ": " + std::strerror(errno));
}

}  // namespace

void hang_resolver() {
  if (::unshare(CLONE_NEWNS) != 0) refuse("no mount namespace");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) refuse("the mounts stay shared");
  char path[] = "/tmp/hawser-hostile-XXXXXX";
  const int file = ::mkstemp(path);
  if (file < 0) refuse("no file");
  const auto size = static_cast<ssize_t>(std::strlen(kNobody));
  const bool written = ::write(file, kNobody, static_cast<std::size_t>(size)) == size;
  ::close(file);
  const bool mounted = written && ::mount(path, "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0;
  const int error = errno;
  ::unlink(path);
  errno = error;
  if (!mounted) refuse("/etc/resolv.conf");
}

}  // namespace hawser::hostile
