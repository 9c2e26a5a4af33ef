#include "reset_connections.hpp"

#if defined(__linux__)
#  include <arpa/inet.h>
#  include <dirent.h>
#  include <netinet/in.h>
#  include <sys/socket.h>
#  include <unistd.h>

#  include <cstdlib>
#  include <cstring>
#  include <vector>

namespace hawser::churn {
namespace {

std::vector<int> open_descriptors() {
  std::vector<int> descriptors;
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return descriptors;
  while (const dirent* const entry = ::readdir(folder))
    if (entry->d_name[0] != '.') descriptors.push_back(std::atoi(entry->d_name));
  ::closedir(folder);
  return descriptors;
}

/// "1.2.3.4:80". An IPv4 address in an IPv6 socket is written as IPv4.
std::string peer_of(int socket) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return {};
  char host[INET6_ADDRSTRLEN] = "";
  if (peer.ss_family == AF_INET) {
    const auto* const inet = reinterpret_cast<const sockaddr_in*>(&peer);
    ::inet_ntop(AF_INET, &inet->sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(ntohs(inet->sin_port));
  }
  if (peer.ss_family != AF_INET6) return {};
  const auto* const inet = reinterpret_cast<const sockaddr_in6*>(&peer);
  ::inet_ntop(AF_INET6, &inet->sin6_addr, host, sizeof host);
  const std::string port = ":" + std::to_string(ntohs(inet->sin6_port));
  return IN6_IS_ADDR_V4MAPPED(&inet->sin6_addr) ? std::string(host).substr(7) + port
                                                : "[" + std::string(host) + "]" + port;
}

}  // namespace

std::uint32_t reset_connections_to(const std::string& address) {
  std::uint32_t count = 0;
  for (const int descriptor : open_descriptors()) {
    // The owner may close its descriptor at any moment: the copy still means the same connection.
    const int copy = ::dup(descriptor);
    if (copy < 0) continue;
    if (peer_of(copy) == address) {
      // Which sends a reset, and leaves the socket with the error that a reset from the other end leaves.
      const sockaddr nothing{.sa_family = AF_UNSPEC, .sa_data = {}};
      if (::connect(copy, &nothing, sizeof nothing) == 0) ++count;
    }
    ::close(copy);
  }
  return count;
}

}  // namespace hawser::churn

#else

namespace hawser::churn {

std::uint32_t reset_connections_to(const std::string&) { return 0; }

}  // namespace hawser::churn

#endif
