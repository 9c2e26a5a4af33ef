#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/log_event.hpp"
#include "base/result.hpp"
#include "transport/stream.hpp"

namespace hawser::transport {

/// Where to listen.
struct ListenPlace {
  /// IPv4 or IPv6 literal or host name; empty: all interfaces, IPv4 and IPv6 as far as the host has them.
  std::string host;
  /// First to last are tried in order; 0 and 0: any free port.
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  /// Loopback addresses only: all of them for an empty host, and another host is an error.
  bool this_machine_only = false;
  /// Dials of this process may leave from the port.
  bool shares_port = false;
};

/// A listening port on one or more addresses. Lives on one io_context; not thread-safe.
class Listener : public std::enable_shared_from_this<Listener> {
 public:
  struct Handlers {
    std::function<void(Stream stream, std::string remote_host)> accepted;
    std::function<void(LogEvent event)> log;
  };

  /// Binds and listens. A live listener's port is never shared or taken over. Blocks for the lookup of a
  /// host name, else for some milliseconds at most. Errors: system, with a sentence that names the port;
  /// invalid_argument for a host that other machines reach, if it must be this machine.
  static Result<std::shared_ptr<Listener>> open(asio::io_context& io, const ListenPlace& place);

  /// The place as asked for, with the real port. The host is a literal ("0.0.0.0" or "::" for all).
  const Address& address() const { return address_; }

  /// Hands over connections from now on; with `tls`, such as have still to prove who they are.
  void start(Handlers handlers, TlsPtr tls = {});
  /// Stops listening; no handler is called any more.
  void close();

  explicit Listener(asio::io_context& io);

 private:
  std::error_code bind_all(const std::vector<asio::ip::address>& addresses, std::uint16_t port,
                           bool dual_stack);
  void wait(std::size_t which);
  void take(std::size_t which);
  void pause(std::size_t which, const std::error_code& error);
  void handshake_failed(const std::string& remote_host, const std::string& why);

  struct Door {
    explicit Door(asio::io_context& io) : acceptor(io), pause(io) {}
    Tcp::acceptor acceptor;
    asio::steady_timer pause;
  };

  asio::io_context& io_;
  std::vector<Door> doors_;  ///< One for each address.
  std::chrono::steady_clock::time_point complained_at_{};
  std::chrono::steady_clock::time_point complained_of_handshake_at_{};
  std::uint64_t handshakes_unsaid_ = 0;  ///< That have failed since.
  Address address_;
  Handlers handlers_;
  TlsPtr tls_;
  bool closed_ = false;
};

}  // namespace hawser::transport
