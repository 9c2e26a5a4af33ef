#include "transport/punch.hpp"

#include <asio/error.hpp>
#include <asio/post.hpp>
#include <chrono>
#include <utility>

#include "transport/socket_wait.hpp"

namespace hawser::transport {
namespace {

/// Of one name.
constexpr std::size_t kAddressesOfNameMax = 2;
constexpr auto kRedialAfter = std::chrono::milliseconds(100);

/// It may come through the next time: the other side was not ready, or what it had dialled is still there.
bool is_worth_another(const std::error_code& error) {
  return error == asio::error::connection_refused || error == asio::error::connection_reset ||
         error == asio::error::connection_aborted || error == asio::error::eof ||
         error == asio::error::address_in_use || error == std::errc::address_not_available;
}

}  // namespace

Punch::Punch(asio::io_context& io, Plan plan, Done done) : io_(io), plan_(std::move(plan)), done_(std::move(done)) {}

std::shared_ptr<Punch> Punch::start(asio::io_context& io, NameLookup& names, Plan plan, Done done) {
  auto punch = std::make_shared<Punch>(io, std::move(plan), std::move(done));
  const std::vector<Address> all = punch->plan_.to;
  for (const Address& to : all)
    names.find(to.host, [punch, to](const Result<HostAddresses>& addresses) { punch->found(to, addresses); },
               punch->plan_.source);
  return punch;
}

void Punch::close() {
  if (over_) return;
  over_ = true;
  for (const TryPtr& one : tries_) {
    std::error_code ignored;
    one->socket.close(ignored);
    one->pause.cancel();
    if (one->handshake) one->handshake->close();
    one->handshake.reset();
  }
  done_ = {};
}

void Punch::finish(Outcome outcome) {
  Done done = std::move(done_);
  close();
  done(std::move(outcome));
}

void Punch::found(const Address& to, const Result<HostAddresses>& addresses) {
  if (over_) return;
  ++looked_up_;
  if (!addresses.ok()) failed_.emplace_back(to, addresses.error().sentence);
  std::size_t count = 0;
  if (addresses.ok())
    for (const asio::ip::address& address : *addresses) {
      if (++count > kAddressesOfNameMax) break;
      if (!plan_.tls && !plan_.insecure && !address.is_loopback()) continue;
      const auto one = std::make_shared<Try>(io_, to, Tcp::endpoint(address, to.port));
      tries_.push_back(one);
      dial(one);
      if (over_) return;
    }
  look_whether_over();
}

void Punch::dial(const TryPtr& one) {
  if (over_) return;
  one->said_bytes = 0;
  if (const auto error = open_socket(one->socket, one->endpoint.protocol())) return failed(one, error);
  if (plan_.from.port != 0)
    if (const auto error =
            bind_for_dial(one->socket, one->endpoint.protocol(), plan_.from.host, plan_.from.port))
      return failed(one, error);
  one->socket.async_connect(one->endpoint, [self = shared_from_this(), one](const std::error_code& error) {
    if (self->over_ || one->is_over) return;
    error ? self->failed(one, error) : self->connected(one);
  });
}

void Punch::connected(const TryPtr& one) {
  std::error_code error;
  if (is_own_echo(one->socket)) {
    one->socket.set_option(asio::socket_base::linger(true, 0), error);
    return give_up(one, "it is this side's own address");
  }
  tune_connection(one->socket);
  const auto hello = encode_punch_hello(PunchHello::dialled);
  if (one->socket.write_some(asio::buffer(hello), error) != hello.size())
    return failed(one, error ? error : asio::error::connection_aborted);
  wait(one);
}

void Punch::wait(const TryPtr& one) {
  one->socket.async_wait(Tcp::socket::wait_read, [self = shared_from_this(), one](const std::error_code& error) {
    if (!self->over_ && !one->is_over && error != asio::error::operation_aborted) self->read(one);
  });
}

void Punch::read(const TryPtr& one) {
  std::error_code error;
  one->said_bytes += one->socket.read_some(
      asio::buffer(one->said.data() + one->said_bytes, one->said.size() - one->said_bytes), error);
  if (error && !is_wait(error)) return failed(one, error);
  if (one->said_bytes < one->said.size()) return wait(one);
  const auto hello = decode_punch_hello(one->said);
  if (!hello.ok()) return give_up(one, hello.error().sentence);
  go_on(one, *hello == PunchHello::dialled);
}

void Punch::go_on(const TryPtr& one, bool is_crossed) {
  if (is_crossed && !plan_.greets_if_crossed)
    return finish({.stream = Stream::accepted(std::move(one->socket), plan_.tls),
                   .to = one->to,
                   .is_crossed = true,
                   .yields = true});
  one->handshake = Dial::go_on(
      io_, Stream::dialled(std::move(one->socket), plan_.tls), one->to,
      [self = shared_from_this(), one, is_crossed](Result<Stream> stream) {
        one->handshake.reset();
        if (self->over_) return;
        if (!stream.ok()) return self->give_up(one, stream.error().sentence);
        self->finish({.stream = std::move(stream), .to = one->to, .is_crossed = is_crossed});
      },
      {.tls = plan_.tls, .insecure = plan_.insecure, .expected = plan_.key});
}

void Punch::failed(const TryPtr& one, const std::error_code& error) {
  one->why = reason_of(error);
  std::error_code ignored;
  one->socket.close(ignored);
  if (!is_worth_another(error)) return give_up(one, one->why);
  one->pause.expires_after(kRedialAfter);
  one->pause.async_wait([self = shared_from_this(), one](const std::error_code& stopped) {
    if (!stopped && !one->is_over) self->dial(one);
  });
}

void Punch::give_up(const TryPtr& one, std::string why) {
  std::error_code ignored;
  one->socket.close(ignored);
  one->is_over = true;
  failed_.emplace_back(one->to, std::move(why));
  look_whether_over();
}

void Punch::look_whether_over() {
  if (over_ || looked_up_ < plan_.to.size()) return;
  for (const TryPtr& one : tries_)
    if (!one->is_over) return;
  // Not from within start().
  asio::post(io_, [self = shared_from_this()] {
    if (self->over_) return;
    std::string why = "none of its addresses can be dialled";
    if (!self->failed_.empty())
      why = "cannot connect to " + to_string(self->failed_.back().first) + ": " + self->failed_.back().second;
    self->finish({.stream = Error{Status::system, std::move(why)}, .failed = std::move(self->failed_)});
  });
}

}  // namespace hawser::transport
