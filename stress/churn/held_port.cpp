#include "held_port.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace hawser::churn {

// Bound, and never listening: with SO_REUSEADDR on both, Linux lets a process listen there, and gives the port to
// nobody who asks for any.
HeldPort::HeldPort() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (socket_ < 0 || ::fcntl(socket_, F_SETFD, FD_CLOEXEC) != 0 ||
      ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int error = errno;
    if (socket_ >= 0) ::close(socket_);
    throw std::runtime_error(std::string("can't hold a port: ") + std::strerror(error));
  }
  port_ = ntohs(address.sin_port);
#if !defined(__linux__)
  ::close(std::exchange(socket_, -1));
#endif
}

HeldPort::~HeldPort() {
  if (socket_ >= 0) ::close(socket_);
}

std::string HeldPort::address() const { return "127.0.0.1:" + std::to_string(port_); }

}  // namespace hawser::churn
