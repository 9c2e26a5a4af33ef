#include "transport/listener.hpp"

#include <asio/error.hpp>
#include <asio/ip/v6_only.hpp>
#include <cerrno>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "transport/name_lookup.hpp"

namespace hawser::transport {
namespace {

/// Connections taken per readiness, so that a flood does not starve the others on this thread.
constexpr int kAcceptsAtOnce = 32;
/// When the system has no descriptor or memory to give.
constexpr auto kExhaustedPause = std::chrono::milliseconds(200);
constexpr auto kComplaintsApart = std::chrono::seconds(10);
/// Two starters that race for a port on Linux may both be told that it is taken: go over the range again.
constexpr int kPassesMax = 5;

bool is_gone_already(const std::error_code& error) {
  return error == asio::error::connection_aborted || error == asio::error::interrupted ||
         error == asio::error::connection_reset || error == asio::error::network_down ||
         error == asio::error::host_unreachable || error == asio::error::network_unreachable;
}

/// After the latest complaint; none yet: never.
bool is_too_soon(std::chrono::steady_clock::time_point latest, std::chrono::steady_clock::time_point now) {
  return latest != std::chrono::steady_clock::time_point{} && now - latest <= kComplaintsApart;
}

bool no_such_family(const std::error_code& error) {
  const int number = error.value();
  return number == EAFNOSUPPORT || number == EADDRNOTAVAIL || number == EPROTONOSUPPORT;
}

}  // namespace

Listener::Listener(asio::io_context& io) : io_(io) {}

std::error_code Listener::bind_all(const std::vector<asio::ip::address>& addresses, std::uint16_t port,
                                   bool dual_stack) {
  doors_.clear();
  std::error_code skipped;
  for (const auto& address : addresses) {
    Tcp::endpoint endpoint(address, port);
    Door door(io_);
    Tcp::acceptor& acceptor = door.acceptor;
    std::error_code error = open_acceptor(acceptor, endpoint.protocol());
    if (!error) {
      allow_rebinding(acceptor.native_handle());
      if (address.is_v6()) acceptor.set_option(asio::ip::v6_only(!dual_stack), error);
    }
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error && port == 0) port = acceptor.local_endpoint(error).port();
    if (!error) {
      doors_.push_back(std::move(door));
      continue;
    }
    // A name such as "localhost" may stand for a family that this host does not have.
    if (no_such_family(error) && addresses.size() > 1) {
      skipped = error;
      continue;
    }
    doors_.clear();
    return error;
  }
  return doors_.empty() ? skipped : std::error_code{};
}

Result<std::shared_ptr<Listener>> Listener::open(asio::io_context& io, const ListenPlace& place) {
  auto listener = std::make_shared<Listener>(io);
  std::vector<asio::ip::address> addresses;
  const bool everywhere = place.host.empty();
  if (!everywhere) {
    auto found = find_host_blocking(place.host);
    if (!found.ok()) return found.error();
    addresses = *found;
    for (const asio::ip::address& address : addresses)
      if (place.this_machine_only && !address.is_loopback())
        return Error{Status::invalid_argument, "without a key Hawser listens on this machine only, and other machines "
                                               "reach " + plain_host(address) + "; " + kHowToLeaveThisMachine};
  }

  std::error_code error;
  const auto try_port = [&](std::uint16_t port) {
    if (!everywhere) {
      error = listener->bind_all(addresses, port, false);
      return !error;
    }
    if (place.this_machine_only) {
      error = listener->bind_all({asio::ip::address_v4::loopback(), asio::ip::address_v6::loopback()}, port, false);
      return !error;
    }
    // One socket for both families, so that no other process can hold half of the port.
    error = listener->bind_all({asio::ip::address_v6::any()}, port, true);
    if (error && error != asio::error::address_in_use)
      error = listener->bind_all({asio::ip::address_v4::any()}, port, false);
    return !error;
  };

  bool bound = false;
  std::random_device seed;
  for (int pass = 0; pass < kPassesMax && !bound; ++pass) {
    if (pass > 0) std::this_thread::sleep_for(std::chrono::microseconds(500 + seed() % 4000));
    for (std::uint32_t port = place.port_first; port <= place.port_last && !bound; ++port)
      bound = try_port(static_cast<std::uint16_t>(port));
    if (error && error != asio::error::address_in_use) break;
  }
  if (!bound) {
    std::string ports = "port " + std::to_string(place.port_first);
    if (place.port_first != place.port_last)
      ports = "any port from " + std::to_string(place.port_first) + " to " + std::to_string(place.port_last);
    return Error{Status::system, "cannot listen on " + ports + " of " +
                                     (everywhere ? std::string("all interfaces") : place.host) + ": " +
                                     reason_of(error)};
  }
  // Only now: others that are about to listen still find the port taken.
  if (place.shares_port)
    for (Door& door : listener->doors_) share_port(door.acceptor.native_handle());
  const auto local = listener->doors_.front().acceptor.local_endpoint(error);
  listener->address_ = {.host = local.address().to_string(), .port = local.port()};
  return listener;
}

void Listener::start(Handlers handlers, TlsPtr tls) {
  handlers_ = std::move(handlers);
  tls_ = std::move(tls);
  for (std::size_t which = 0; which < doors_.size(); ++which) wait(which);
}

void Listener::close() {
  closed_ = true;
  std::error_code ignored;
  for (Door& door : doors_) {
    door.acceptor.close(ignored);
    door.pause.cancel();
  }
}

void Listener::wait(std::size_t which) {
  doors_[which].acceptor.async_wait(Tcp::acceptor::wait_read,
                                    [self = shared_from_this(), which](const std::error_code& error) {
                                      if (!self->closed_ && error != asio::error::operation_aborted)
                                        self->take(which);
                                    });
}

void Listener::take(std::size_t which) {
  for (int taken = 0; taken < kAcceptsAtOnce && !closed_; ++taken) {
    Tcp::socket socket(io_);
    std::error_code error = accept_waiting(doors_[which].acceptor, socket);
    if (error == asio::error::would_block || error == asio::error::try_again) break;
    if (is_gone_already(error)) continue;
    if (error) {
      pause(which, error);
      return;
    }
    const auto remote = socket.remote_endpoint(error);
    if (error) continue;  // It has gone again.
    tune_connection(socket);
    const std::string host = plain_host(remote.address());
    const auto failed = [weak = weak_from_this(), host](const std::string& why) {
      if (const auto self = weak.lock(); self && !self->closed_) self->handshake_failed(host, why);
    };
    handlers_.accepted(Stream::accepted(std::move(socket), tls_, failed), host);
  }
  if (!closed_) wait(which);
}

/// Whoever has mistaken a secret_file wants to know; whoever floods the port shall not flood the log.
void Listener::handshake_failed(const std::string& remote_host, const std::string& why) {
  const auto now = std::chrono::steady_clock::now();
  if (is_too_soon(complained_of_handshake_at_, now)) {
    ++handshakes_unsaid_;
    return;
  }
  const std::uint64_t others = std::exchange(handshakes_unsaid_, 0);
  complained_of_handshake_at_ = now;
  const std::string also =
      others == 0 ? std::string() : " (and " + std::to_string(others) + " others since the last line)";
  handlers_.log({LogLevel::warning, "handshake-failed",
                 "a connection from " + remote_host + " to " + to_string(address_) + " is refused: " + why + also});
}

void Listener::pause(std::size_t which, const std::error_code& error) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_too_soon(complained_at_, now)) {
    complained_at_ = now;
    handlers_.log(
        {LogLevel::warning, "accept-failed",
         "no connection can be accepted on " + to_string(address_) + " at the moment: " + reason_of(error)});
  }
  doors_[which].pause.expires_after(kExhaustedPause);
  doors_[which].pause.async_wait([self = shared_from_this(), which](const std::error_code&) {
    if (!self->closed_) self->wait(which);
  });
}

}  // namespace hawser::transport
