#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "link_fixture.hpp"
#include "transport/dialer.hpp"
#include "transport/socket_wait.hpp"
#include "trust/key_fixture.hpp"

namespace hawser::test {

using transport::Dial;
using transport::Stream;

/// Two ends of a connection over loopback, with the handshake over. Without TLS contexts in plain.
struct StreamPair {
  StreamPair(asio::io_context& io, const transport::TlsPtr& accepting, const transport::TlsPtr& dialling)
      : here(io), there(io) {
    auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
    listener->start({.accepted = [&](Stream stream, const std::string&) { there = std::move(stream); },
                     .log = [](const LogEvent&) {}},
                    accepting);
    NameLookup names(io);
    std::optional<Error> failure;
    const auto dial = Dial::start(
        io, names, {.host = "127.0.0.1", .port = listener->address().port},
        [&](Result<Stream> result) {
          if (result.ok())
            here = std::move(result.value());
          else
            failure = result.error();
        },
        {.tls = dialling});
    REQUIRE(run_until(io, [&] {
      std::error_code ignored;
      if (there.is_open()) there.shake_hands(ignored);
      if (failure) FAIL(failure->sentence);
      return here.is_open() && there.is_open() && (!accepting || there.badge() != nullptr);
    }));
    listener->close();
  }
  Stream here, there;
};

/// A run with a holder of its secret and a member.
struct TlsRun {
  RunSecret secret = RunSecret::draw().value();
  transport::TlsPtr holder = holder_of(secret);
  transport::TlsPtr member = context_of(issued(secret, {.name = "madrid"}));
};

/// Writes all of some bytes to a stream in pieces of any size, and reads what the other side writes likewise.
class Talk {
 public:
  Talk(Stream& stream, std::vector<std::byte> said, std::uint64_t seed)
      : stream_(stream), said_(std::move(said)), random_(seed) {}

  void start() {
    write();
    wait_to_read();
  }
  bool has_said_all() const { return written_ == said_.size(); }
  const std::vector<std::byte>& heard() const { return heard_; }
  const std::error_code& failure() const { return failure_; }
  /// Bytes heard after which it reads no more.
  std::size_t heard_most = SIZE_MAX;

 private:
  void write() {
    while (written_ < said_.size()) {
      const std::size_t left = said_.size() - written_;
      const std::size_t first = std::min<std::size_t>(left, random_.below(100'000));
      const std::size_t second = std::min<std::size_t>(left - first, random_.below(100'000));
      std::error_code error;
      const Stream::FromBuffers from{asio::buffer(said_.data() + written_, first),
                                     asio::buffer(said_.data() + written_ + first, second)};
      const std::size_t count = stream_.write_some(from, error);
      written_ += count;
      if (error && !transport::is_wait(error)) {
        failure_ = error;
        return;
      }
      if (count < first + second) return wait_to_write();
    }
  }
  void wait_to_write() {
    stream_.async_wait(Tcp::socket::wait_write, [this](const std::error_code& error) {
      if (!error) write();
    });
  }
  void wait_to_read() {
    stream_.async_wait(Tcp::socket::wait_read, [this](const std::error_code& error) {
      if (!error) read();
    });
  }
  void read() {
    for (int i = 0; i < 3 && heard_.size() < heard_most; ++i) {
      std::vector<std::byte> into(std::min<std::size_t>(random_.below(40'000) + 1, heard_most - heard_.size()));
      const std::size_t first = random_.below(into.size() + 1);
      std::error_code error;
      const std::size_t count = stream_.read_some(
          Stream::IntoBuffers{asio::buffer(into.data(), first), asio::buffer(into.data() + first, into.size() - first)},
          error);
      heard_.insert(heard_.end(), into.begin(), into.begin() + static_cast<std::ptrdiff_t>(count));
      if (transport::is_wait(error)) break;
      if (error) {
        failure_ = error;
        return;
      }
      if (count < into.size()) break;
    }
    if (heard_.size() < heard_most) wait_to_read();
  }

  Stream& stream_;
  std::vector<std::byte> said_;
  Random random_;
  std::size_t written_ = 0;
  std::vector<std::byte> heard_;
  std::error_code failure_;
};

}  // namespace hawser::test
