#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "catch.hpp"
#include "links/link_table.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::links {

inline Instant at(std::int64_t ms) { return Instant(milliseconds(ms)); }

inline constexpr PeerId kSmall{100};
inline constexpr PeerId kGreat{200};
inline constexpr std::uint64_t kSecret = 7;

/// A table, and what it wants done.
class TableBench {
 public:
  explicit TableBench(const LinkTableConfig& config = {.connections_per_link = 1}, PeerId self = kGreat)
      : table(config) {
    table.set_self(self);
  }

  /// All actions of this kind since the last clear().
  template <class One>
  std::vector<One> all() const {
    std::vector<One> found;
    for (const Action& action : out)
      if (const auto* one = std::get_if<One>(&action)) found.push_back(*one);
    return found;
  }
  template <class One>
  One only() const {
    const auto found = all<One>();
    REQUIRE(found.size() == 1);
    return found.front();
  }
  template <class One>
  std::size_t count() const {
    return all<One>().size();
  }
  bool closes(SocketId socket) const {
    const auto closed = all<Close>();
    return std::any_of(closed.begin(), closed.end(), [&](const Close& one) { return one.socket == socket; });
  }
  std::vector<std::string> logged() const {
    std::vector<std::string> names;
    for (const LogEvent& event : all<LogEvent>()) names.emplace_back(event.what);
    return names;
  }
  void clear() { out.clear(); }

  void open(Instant now, PeerId peer = kSmall, std::optional<Duration> dial_after = Duration::zero(),
            std::uint64_t secret = kSecret) {
    table.open(now,
               {.peer = peer,
                .name = "other",
                .address = {"192.0.2.1", 4000},
                .secret = secret,
                .dial_after = dial_after},
               out);
  }
  SocketId accept(Instant now, const std::string& source = "192.0.2.1") {
    const auto socket = table.accepted(now, {.source = source, .remote_host = source, .machine_proof = {1, 1}}, out);
    REQUIRE(socket);
    return *socket;
  }
  template <std::size_t N>
  void receive(Instant now, SocketId socket, const std::array<std::byte, N>& bytes) {
    table.received(now, {.socket = socket, .bytes = bytes, .state = {.round_trip = milliseconds(40)}}, out);
  }
  /// The other side's greeting comes, and whatever is answered is written.
  SocketId greeted(Instant now, std::uint32_t index = 0, std::uint32_t total = 1, std::uint64_t secret = kSecret,
                   PeerId from = kSmall) {
    const SocketId socket = accept(now);
    receive(now, socket, greeting(index, total, secret, from));
    write(now, socket);
    return socket;
  }
  std::array<std::byte, kGreetingBytes> greeting(std::uint32_t index = 0, std::uint32_t total = 1,
                                                 std::uint64_t secret = kSecret, PeerId from = kSmall) const {
    return encode_greeting({.link_secret = secret,
                            .from = from,
                            .to = table.self(),
                            .connection_index = index,
                            .connections_total = total});
  }
  /// What it wants written on that socket is taken.
  void write(Instant now, SocketId socket) {
    if (sends(socket).empty()) return;
    table.sent(now, socket, {.round_trip = milliseconds(40)}, out);
  }
  std::vector<Send> sends(SocketId socket) const {
    std::vector<Send> found = all<Send>();
    std::erase_if(found, [&](const Send& one) { return one.socket != socket; });
    return found;
  }
  std::optional<GreetingAnswer> answer(SocketId socket) const {
    const auto found = sends(socket);
    if (found.empty()) return std::nullopt;
    REQUIRE(found.back().bytes.size() == kGreetingAnswerBytes);
    return decode_greeting_answer(std::span<const std::byte, kGreetingAnswerBytes>(found.back().bytes)).value().answer;
  }

  /// The last dial comes through, up to the greeting; gives its socket.
  SocketId greet(Instant now) {
    REQUIRE(count<Dial>() > 0);
    const SocketId socket = all<Dial>().back().socket;
    greet(now, socket);
    return socket;
  }
  void greet(Instant now, SocketId socket) {
    table.dialled(now, socket, {2, 2}, out);
    write(now, socket);
  }
  void answered(Instant now, SocketId socket, GreetingAnswer answer = GreetingAnswer::accepted) {
    receive(now, socket, encode_greeting_answer(answer));
  }
  /// All dials that are asked for come through, and those that they lead to.
  void let_all_through(Instant now) {
    for (std::size_t i = 0; i < out.size(); ++i)
      if (const auto* dial = std::get_if<Dial>(&out[i])) {
        const SocketId socket = dial->socket;
        greet(now, socket);
        answered(now, socket);
      }
  }
  std::vector<std::uint32_t> established(PeerId peer = kSmall) const {
    std::vector<std::uint32_t> found;
    for (std::uint32_t index = 0; index < table.connections(peer); ++index)
      if (table.established({peer, index})) found.push_back(index);
    return found;
  }

  LinkTable table;
  Actions out;
};

}  // namespace hawser::links
