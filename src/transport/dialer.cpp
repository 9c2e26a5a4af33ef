#include "transport/dialer.hpp"

#include <sys/socket.h>

#include <asio/error.hpp>
#include <asio/post.hpp>
#include <chrono>

#include "transport/socket_wait.hpp"

namespace hawser::transport {
namespace {

/// The third repetition of what opens a connection is sent after 7 s. A newcomer has 10 s to learn what is wrong.
constexpr auto kDialBound = std::chrono::seconds(8);
constexpr auto kNextAddressAfter = std::chrono::milliseconds(300);

}  // namespace

bool is_own_echo(const Tcp::socket& socket) {
  std::error_code ignored;
  return socket.local_endpoint(ignored) == socket.remote_endpoint(ignored);
}

Dial::Dial(asio::io_context& io, Address to, Done done, DialOptions options)
    : io_(io), next_(io), bound_(io), to_(std::move(to)), done_(std::move(done)), options_(std::move(options)) {}

std::shared_ptr<Dial> Dial::start(asio::io_context& io, NameLookup& names, const Address& to, Done done,
                                  DialOptions options) {
  auto dial = std::make_shared<Dial>(io, to, std::move(done), std::move(options));
  dial->bound();
  names.find(to.host, [dial](const Result<HostAddresses>& found) { dial->found(found); }, dial->options_.source);
  return dial;
}

std::shared_ptr<Dial> Dial::go_on(asio::io_context& io, Stream stream, const Address& to, Done done,
                                  DialOptions options) {
  auto dial = std::make_shared<Dial>(io, to, std::move(done), std::move(options));
  dial->bound();
  dial->connected_ = std::move(stream);
  // Not before its caller has it.
  asio::post(io, [dial] {
    if (!dial->over_) dial->shake_hands();
  });
  return dial;
}

void Dial::bound() {
  bound_.expires_after(kDialBound);
  bound_.async_wait([dial = shared_from_this()](const std::error_code& error) {
    if (!error && !dial->over_)
      dial->finish(Error{Status::system, to_string(dial->to_) + " does not answer"});
  });
}

void Dial::close() {
  if (over_) return;
  over_ = true;
  next_.cancel();
  bound_.cancel();
  tries_.clear();
  connected_.reset();
  done_ = {};
}

void Dial::finish(Result<Stream> result) {
  Done done = std::move(done_);
  close();
  done(std::move(result));
}

void Dial::found(const Result<HostAddresses>& addresses) {
  if (over_) return;
  if (!addresses.ok()) return finish(addresses.error());
  addresses_ = *addresses;
  if (!options_.tls && !options_.insecure)
    for (const asio::ip::address& address : addresses_)
      if (!address.is_loopback())
        return finish(Error{Status::invalid_argument, "without a key Hawser connects to this machine only, and " +
                                                          to_string(to_) + " is another one; " +
                                                          kHowToLeaveThisMachine});
  tries_.reserve(addresses_.size());
  try_next();
}

void Dial::try_next() {
  if (over_ || connected_ || tries_.size() == addresses_.size()) return;
  const std::size_t which = tries_.size();
  tries_.emplace_back(io_);
  connect(which);
  if (over_ || connected_) return;
  next_.expires_after(kNextAddressAfter);
  next_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (!error) self->try_next();
  });
}

void Dial::connect(std::size_t which) {
  const Tcp::endpoint endpoint(addresses_[which], to_.port);
  Tcp::socket& socket = tries_[which];
  if (const auto error = open_socket(socket, endpoint.protocol())) return tried(which, error);
  allow_rebinding(socket.native_handle());
  if (options_.from.port != 0 &&
      bind_for_dial(socket, endpoint.protocol(), options_.from.host, options_.from.port)) {
    options_.from = {};
    std::error_code ignored;
    socket.close(ignored);
    if (const auto error = open_socket(socket, endpoint.protocol())) return tried(which, error);
    allow_rebinding(socket.native_handle());
  }
  socket.async_connect(endpoint, [self = shared_from_this(), which](const std::error_code& error) {
    if (self->over_ || self->connected_) return;
    // An earlier connection between the same ports lingers.
    const bool is_taken = error == asio::error::address_in_use || error == std::errc::address_not_available;
    if (!is_taken || self->options_.from.port == 0) return self->tried(which, error);
    self->options_.from = {};
    std::error_code ignored;
    self->tries_[which].close(ignored);
    self->connect(which);
  });
}

void Dial::tried(std::size_t which, const std::error_code& error) {
  std::error_code why = error;
  if (!why && is_own_echo(tries_[which])) {
    // Without lingering: the port must be free again at once.
    tries_[which].set_option(asio::socket_base::linger(true, 0), why);
    why = asio::error::connection_refused;
  }
  if (!why) {
    tune_connection(tries_[which]);
    connected_ = Stream::dialled(std::move(tries_[which]), options_.tls);
    tries_.clear();
    next_.cancel();
    return shake_hands();
  }
  std::error_code ignored;
  tries_[which].close(ignored);
  last_error_ = why;
  refused_ += why == asio::error::connection_refused ? 1 : 0;
  if (++failed_ == addresses_.size())
    return finish(
        Error{Status::system, "cannot connect to " + to_string(to_) + ": " + reason_of(last_error_)});
  if (failed_ == tries_.size()) try_next();
}

void Dial::shake_hands() {
  std::error_code error;
  connected_->shake_hands(error);
  if (is_wait(error)) {
    connected_->async_wait(Tcp::socket::wait_read, [self = shared_from_this()](const std::error_code& failure) {
      if (!self->over_ && failure != asio::error::operation_aborted) self->shake_hands();
    });
    return;
  }
  if (error)
    return finish(Error{error == std::errc::protocol_error ? Status::refused : Status::system,
                        "no trust in " + to_string(to_) + ": " + connected_->reason(error)});
  if (const auto checked = check_expected(); !checked.ok()) return finish(checked.error());
  Stream stream = std::move(*connected_);
  finish(std::move(stream));
}

Result<void> Dial::check_expected() const {
  const Badge* const badge = connected_->badge();
  if (badge == nullptr || !options_.expected || badge->key == *options_.expected) return {};
  return Error{Status::refused, "who answers at " + to_string(to_) + " is of this run, but not who was expected: " +
                                   badge->name + " with the key " + to_string(badge->key) + " instead of " +
                                   to_string(*options_.expected)};
}

}  // namespace hawser::transport
