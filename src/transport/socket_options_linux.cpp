#if defined(__linux__)

#  include <netinet/in.h>
#  include <netinet/tcp.h>
#  include <sys/socket.h>
#  include <unistd.h>

#  include <asio/error.hpp>
#  include <cerrno>
#  include <fstream>
#  include <string>
#  include <string_view>

#  include "transport/fork_guard.hpp"
#  include "transport/socket_options.hpp"

namespace hawser::transport {
namespace {

/// A connection whose other machine has gone is broken after idle + count * interval, one that has data
/// under way after kUserTimeoutMs.
constexpr int kKeepaliveIdleS = 10;
constexpr int kKeepaliveIntervalS = 3;
constexpr int kKeepaliveCount = 4;
/// Below the stall bound: one dead flow is replaced before its peer is blamed.
constexpr int kUserTimeoutMs = 4'000;

/// In the category that Asio gives its own errors, or they would not compare equal.
std::error_code last_error() { return {errno, asio::error::get_system_category()}; }

template <class Socket>
std::error_code open_into(Socket& socket, const Tcp& protocol) {
  const int fd = ::socket(protocol.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) return last_error();
  std::error_code error;
  socket.assign(protocol, fd, error);
  if (error) {
    ::close(fd);
    return error;
  }
  close_in_forked_children(fd);
  socket.non_blocking(true, error);
  return error;
}

void set_int(int fd, int level, int name, int value) {
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

std::error_code open_socket(Tcp::socket& socket, const Tcp& protocol) { return open_into(socket, protocol); }

std::error_code open_acceptor(Tcp::acceptor& acceptor, const Tcp& protocol) {
  return open_into(acceptor, protocol);
}

std::error_code accept_waiting(Tcp::acceptor& acceptor, Tcp::socket& socket) {
  sockaddr_storage from{};
  socklen_t bytes = sizeof from;
  const int fd = ::accept4(acceptor.native_handle(), reinterpret_cast<sockaddr*>(&from), &bytes,
                           SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return last_error();
  std::error_code error;
  socket.assign(from.ss_family == AF_INET6 ? Tcp::v6() : Tcp::v4(), fd, error);
  if (error) {
    ::close(fd);
    return error;
  }
  close_in_forked_children(fd);
  socket.non_blocking(true, error);
  return error;
}

void tune_connection(Tcp::socket& socket) {
  const int fd = socket.native_handle();
  set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleS);
  set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalS);
  set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveCount);
  set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
}

Result<void> check_congestion_control(const std::string& name) {
  if (name.empty()) return {};
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  const int refused =
      fd < 0 || ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) != 0;
  if (fd >= 0) ::close(fd);
  if (!refused) return {};
  std::string there;
  std::getline(std::ifstream("/proc/sys/net/ipv4/tcp_allowed_congestion_control"), there);
  return Error{Status::invalid_argument,
               "this system does not let this process use the congestion control " + name +
                   (there.empty() ? std::string() : "; it allows: " + there) +
                   " (others: modprobe tcp_" + name + ", and net.ipv4.tcp_allowed_congestion_control)"};
}

void use_bbr(Tcp::socket& socket) {
  (void)::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_CONGESTION, kBbr.data(),
                     static_cast<socklen_t>(kBbr.size()));
}

void apply(const TcpOptions& options, Tcp::socket& socket) {
  const int fd = socket.native_handle();
  const std::string& name = options.congestion_control;
  if (!name.empty())
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size()));
  if (options.send_buffer_bytes != 0)
    set_int(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(options.send_buffer_bytes));
  if (options.receive_buffer_bytes != 0)
    set_int(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(options.receive_buffer_bytes));
}

void keep_queue_short(Tcp::socket& socket, std::size_t bytes) {
  set_int(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bytes));
}

}  // namespace hawser::transport

#endif
