#include "pccl_addresses.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace hawser_pccl {
namespace {

constexpr int kReachMsMax = 5000;

bool is_any(const ccoip_inet_address_t& inet) {
  const auto is_zero = [](const auto& bytes) {
    return std::all_of(std::begin(bytes), std::end(bytes), [](std::uint8_t byte) { return byte == 0; });
  };
  return inet.protocol == inetIPv4 ? is_zero(inet.ipv4.data) : is_zero(inet.ipv6.data);
}

}  // namespace

std::string text_of(const ccoip_socket_address_t& address) {
  char host[INET6_ADDRSTRLEN] = "";
  const bool is_v4 = address.inet.protocol == inetIPv4;
  const void* const bytes =
      is_v4 ? static_cast<const void*>(address.inet.ipv4.data) : static_cast<const void*>(address.inet.ipv6.data);
  inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, host, sizeof host);
  const std::string port = ":" + std::to_string(address.port);
  return is_v4 ? host + port : "[" + std::string(host) + "]" + port;
}

std::string listen_text_of(const ccoip_socket_address_t& address) {
  return is_any(address.inet) ? ":" + std::to_string(address.port) : text_of(address);
}

bool read_address(const std::string& text, ccoip_socket_address_t& address) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  ccoip_socket_address_t read{};
  read.port = static_cast<std::uint16_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 10));
  std::string host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') {
    read.inet.protocol = inetIPv6;
    host = host.substr(1, host.size() - 2);
  }
  const bool is_v4 = read.inet.protocol == inetIPv4;
  void* const bytes = is_v4 ? static_cast<void*>(read.inet.ipv4.data) : static_cast<void*>(read.inet.ipv6.data);
  if (inet_pton(is_v4 ? AF_INET : AF_INET6, host.c_str(), bytes) != 1) return false;
  address = read;
  return true;
}

bool is_reachable(const ccoip_socket_address_t& address) {
  const bool is_v4 = address.inet.protocol == inetIPv4;
  const int descriptor = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return true;  // Hawser's own attempt will say why.
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(address.port);
  std::memcpy(&v4.sin_addr, address.inet.ipv4.data, sizeof v4.sin_addr);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  std::memcpy(&v6.sin6_addr, address.inet.ipv6.data, sizeof v6.sin6_addr);
  const auto* const to = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  bool reached = connect(descriptor, to, is_v4 ? sizeof v4 : sizeof v6) == 0;
  if (!reached && errno == EINPROGRESS) {
    pollfd waits{.fd = descriptor, .events = POLLOUT, .revents = 0};
    int polled = 0;
    do polled = poll(&waits, 1, kReachMsMax);
    while (polled < 0 && errno == EINTR);
    int error = 0;
    socklen_t bytes = sizeof error;
    reached = polled > 0 && getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0;
  }
  close(descriptor);
  return reached;
}

}  // namespace hawser_pccl
