#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "transport/links.hpp"
#include "transport/listener.hpp"
#include "transport/run_until.hpp"

namespace hawser::test {

using transport::ConnectionName;
using transport::FrameToSend;
using transport::Links;
using transport::LinksConfig;
using transport::Listener;
using transport::NameLookup;
using transport::Stream;
using transport::Tcp;

/// One peer's end of links, without an engine: sends what the test gives it, keeps what comes.
class Side : private transport::FrameTraffic {
 public:
  struct Frame {
    FrameHeader header;
    std::vector<std::byte> payload;
    bool intact = false;
  };

  Side(asio::io_context& io, PeerId id, LinksConfig config = {.table = {.connections_per_link = 2}})
      : self(id), names(io), links(io, names, config, *this) {
    listener = std::move(Listener::open(io, {.host = "127.0.0.1"}).value());
    listener->start({.accepted = [this](Stream stream,
                                        const std::string& host) { links.accepted(std::move(stream), host); },
                     .log = [this](LogEvent event) { heard.push_back(std::move(event)); }},
                    config.tls);
    links.set_self(id);
  }
  ~Side() override { listener->close(); }

  Address address() const { return {.host = "127.0.0.1", .port = listener->address().port}; }

  void open(const Side& other, bool dial, std::uint64_t secret = 7) {
    open_at(other, dial, secret, other.address());
  }
  void open_at(const Side& other, bool dial, std::uint64_t secret, const Address& at) {
    const auto dial_after = dial ? std::optional<Duration>(Duration::zero()) : std::nullopt;
    links.open({.peer = other.self,
                .name = "other",
                .address = at,
                .secret = secret,
                .dial_after = dial_after,
                .key = expected});
    settle();
  }
  /// The payload is borrowed, as an engine's is.
  void send(PeerId to, std::span<const std::byte> payload, std::uint64_t chunk = 0) {
    FrameHeader header;
    header.chunk = chunk;
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    outbox[to].push_back({.header = header, .payload = payload});
    links.wake(to);
    settle();
  }
  std::size_t up_count() const { return up.size(); }

  PeerId self;
  NameLookup names;
  Links links;
  std::shared_ptr<Listener> listener;
  std::map<PeerId, std::deque<FrameToSend>> outbox;
  std::map<std::pair<PeerId, std::uint32_t>, int> up;  ///< Connections that stand.
  std::map<std::uint32_t, std::uint64_t> incarnations;  ///< Of the latest connection of each number.
  std::vector<std::uint64_t> gone;                      ///< Incarnations, as they broke.
  int ups = 0;
  int downs = 0;
  int refusals = 0;          ///< Of links that had come to stand before.
  std::string straight_why;  ///< Why the straight way was not there last.
  int near = 0;           ///< Connections that came to stand with proof that both ends are on one machine.
  std::vector<Frame> received;
  std::map<std::uint32_t, int> received_on;
  std::map<std::uint32_t, Frame> receiving;
  int moves = 0;
  bool throw_away = false;
  std::function<void(ConnectionName)> on_begin;
  std::function<void(PeerId)> unreached;
  std::function<void(transport::DataConnection&)> on_write;  ///< A frame was given, and nothing of it is written.
  std::vector<LogEvent> logged;
  std::vector<LogEvent> heard;       ///< From the listener.
  std::optional<KeyId> expected;     ///< Of the others.

 private:
  void frame_begins(transport::DataConnection& connection, const FrameHeader& header) override {
    Frame& frame = receiving[connection.name().index];
    frame = {.header = header, .payload = std::vector<std::byte>(header.payload_bytes)};
    if (on_begin) on_begin(connection.name());
    if (!throw_away) connection.receive_into(frame.payload.data());
  }
  void frame_moved(transport::DataConnection&) override { ++moves; }
  void frame_ends(transport::DataConnection& connection, bool intact) override {
    Frame frame = std::move(receiving[connection.name().index]);
    frame.intact = intact;
    received.push_back(std::move(frame));
    ++received_on[connection.name().index];
  }
  bool next_frame(transport::DataConnection& connection) override {
    auto& queue = outbox[connection.name().peer];
    if (queue.empty()) return false;
    connection.write(queue.front());
    queue.pop_front();
    if (on_write) on_write(connection);
    return true;
  }
  void link_up(ConnectionName connection, const transport::EstablishedConnection& established) override {
    ++ups;
    if (established.same_host) ++near;
    incarnations[connection.index] = established.incarnation;
    ++up[{connection.peer, connection.index}];
    to_wake.push_back(connection.peer);
  }
  void link_down(ConnectionName connection, std::uint64_t incarnation, std::string) override {
    ++downs;
    gone.push_back(incarnation);
    if (--up[{connection.peer, connection.index}] == 0) up.erase({connection.peer, connection.index});
  }
  void link_refused(PeerId) override { ++refusals; }
  void link_unreached(PeerId peer, std::string) override {
    if (unreached) unreached(peer);
  }
  void straight_failed(PeerId, std::string why) override { straight_why = std::move(why); }
  void link_sampled(PeerId, Duration, Duration) override {}
  void settle() override {
    while (!to_wake.empty()) {
      const PeerId peer = to_wake.back();
      to_wake.pop_back();
      links.wake(peer);
    }
  }
  void log(LogEvent event) override { logged.push_back(std::move(event)); }

  std::vector<PeerId> to_wake;
};

/// Stands between two peers on one io_context; can cut, and can stop passing bytes on.
class Proxy {
 public:
  Proxy(asio::io_context& io, Address to)
      : io_(io), to_(std::move(to)), acceptor_(io, Tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    accept();
  }
  ~Proxy() {
    std::error_code ignored;
    acceptor_.close(ignored);
    cut();
  }
  Address address() const { return {.host = "127.0.0.1", .port = acceptor_.local_endpoint().port()}; }
  /// Breaks all connections; new ones are passed on again.
  void cut() {
    std::error_code ignored;
    for (const auto& pipe : pipes_) {
      pipe->near.close(ignored);
      pipe->far.close(ignored);
    }
    pipes_.clear();
  }
  int accepted = 0;
  std::size_t passed = 0;
  /// This byte of what the dialling side says is passed on with one bit changed.
  std::optional<std::size_t> damage_at;

 private:
  struct Pipe {
    explicit Pipe(asio::io_context& io) : near(io), far(io) {}
    Tcp::socket near, far;
    std::array<std::array<char, 65536>, 2> bytes{};
  };
  void accept() {
    auto pipe = std::make_shared<Pipe>(io_);
    acceptor_.async_accept(pipe->near, [this, pipe](const std::error_code& error) {
      if (error) return;
      ++accepted;
      pipes_.push_back(pipe);
      pipe->far.async_connect({asio::ip::address_v4::loopback(), to_.port},
                              [this, pipe](const std::error_code& failed) {
                                if (failed) return;
                                pass(pipe, pipe->near, pipe->far, 0);
                                pass(pipe, pipe->far, pipe->near, 1);
                              });
      accept();
    });
  }
  void pass(const std::shared_ptr<Pipe>& pipe, Tcp::socket& from, Tcp::socket& to, std::size_t way) {
    from.async_read_some(asio::buffer(pipe->bytes[way]),
                         [this, pipe, &from, &to, way](const std::error_code& error, std::size_t count) {
                           std::error_code ignored;
                           if (error) {
                             to.close(ignored);
                             return;
                           }
                           if (way == 0 && damage_at && *damage_at >= said_ && *damage_at < said_ + count)
                             pipe->bytes[way][*damage_at - said_] ^= 4;
                           if (way == 0) said_ += count;
                           passed += count;
                           asio::async_write(
                               to, asio::buffer(pipe->bytes[way], count),
                               [this, pipe, &from, &to, way](const std::error_code& failed, std::size_t) {
                                 if (!failed) pass(pipe, from, to, way);
                               });
                         });
  }

  asio::io_context& io_;
  Address to_;
  Tcp::acceptor acceptor_;
  std::vector<std::shared_ptr<Pipe>> pipes_;
  std::size_t said_ = 0;  ///< By dialling sides.
};

inline std::vector<std::byte> pattern(std::size_t bytes, std::uint64_t seed = 1) {
  Random random(seed);
  std::vector<std::byte> out(bytes);
  for (std::byte& one : out) one = static_cast<std::byte>(random.next());
  return out;
}

}  // namespace hawser::test
