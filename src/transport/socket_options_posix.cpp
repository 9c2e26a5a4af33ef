#if !defined(__linux__)

#  include <fcntl.h>

#  include "transport/fork_guard.hpp"
#  include "transport/socket_options.hpp"

namespace hawser::transport {
namespace {

template <class Socket>
std::error_code prepare(Socket& socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  close_in_forked_children(socket.native_handle());
  std::error_code error;
  socket.non_blocking(true, error);
  return error;
}

}  // namespace

std::error_code open_socket(Tcp::socket& socket, const Tcp& protocol) {
  std::error_code error;
  socket.open(protocol, error);
  return error ? error : prepare(socket);
}

std::error_code open_acceptor(Tcp::acceptor& acceptor, const Tcp& protocol) {
  std::error_code error;
  acceptor.open(protocol, error);
  return error ? error : prepare(acceptor);
}

std::error_code accept_waiting(Tcp::acceptor& acceptor, Tcp::socket& socket) {
  std::error_code error;
  acceptor.accept(socket, error);
  return error ? error : prepare(socket);
}

void tune_connection(Tcp::socket& socket) {
  std::error_code ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
}

Result<void> check_congestion_control(const std::string& name) {
  if (name.empty()) return {};
  return Error{Status::invalid_argument, "on this system a process cannot choose its congestion control"};
}

void use_bbr(Tcp::socket&) {}

void apply(const TcpOptions& options, Tcp::socket& socket) {
  std::error_code ignored;
  if (options.send_buffer_bytes != 0)
    socket.set_option(asio::socket_base::send_buffer_size(static_cast<int>(options.send_buffer_bytes)), ignored);
  if (options.receive_buffer_bytes != 0)
    socket.set_option(asio::socket_base::receive_buffer_size(static_cast<int>(options.receive_buffer_bytes)), ignored);
}

void keep_queue_short(Tcp::socket&, std::size_t) {}

}  // namespace hawser::transport

#endif
