#include "transport/fork_guard.hpp"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <mutex>

namespace hawser::transport {
namespace {

/// A descriptor's number may be in use again for something else; the socket's inode says which one was meant.
struct SocketIdentity {
  dev_t device;
  ino_t inode;
};

struct Guard {
  std::mutex mutex;
  std::map<int, SocketIdentity> sockets;
};

/// Never destroyed: a fork may come while the process ends.
Guard& the_guard() {
  static Guard* const guard = new Guard;
  return *guard;
}

void before_fork() { the_guard().mutex.lock(); }
void after_fork_in_parent() { the_guard().mutex.unlock(); }

/// Nothing here takes memory: another thread may have been inside the allocator.
void after_fork_in_child() {
  for (const auto& [fd, identity] : the_guard().sockets) {
    struct stat now {};
    if (::fstat(fd, &now) == 0 && now.st_dev == identity.device && now.st_ino == identity.inode) ::close(fd);
  }
  the_guard().mutex.unlock();
}

}  // namespace

void close_in_forked_children(int fd) noexcept {
  struct stat now {};
  if (::fstat(fd, &now) != 0) return;
  try {
    Guard& guard = the_guard();
    static const int installed = ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    (void)installed;
    const std::lock_guard lock(guard.mutex);
    guard.sockets[fd] = {.device = now.st_dev, .inode = now.st_ino};
  } catch (...) {
    // Without memory for it the socket stays open in children: their peers then notice a death by silence.
  }
}

}  // namespace hawser::transport
