#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/random.hpp"
#include "links/link_table.hpp"

namespace hawser::links {

/// What becomes of a dial in one direction.
enum class Way {
  open,
  refused,
  lost,
  stranger,  ///< Something takes the connection and never answers.
};

/// Both sides of one link, each a LinkTable, and the wires between them, with delays drawn at random.
class LinkWorld {
 public:
  struct Terms {
    std::array<Way, 2> way{Way::open, Way::open};  ///< From side 0, which has the smaller id, and from side 1.
    std::array<std::optional<Duration>, 2> dial_after{Duration::zero(), Duration::zero()};
    Duration delay_max = milliseconds(100);  ///< One way.
    std::uint32_t connections = 1;
  };

  LinkWorld(Terms terms, std::uint64_t seed)
      : terms_(terms), random_(seed), sides_{Side(config(0, seed)), Side(config(1, seed))} {
    for (const int side : {0, 1}) side_of(side).table.set_self(id_of(side));
  }

  void begin(int side, Instant at) {
    run_until(at);
    side_of(side).is_open = true;
    ask(side, [&](LinkTable& table, Actions& out) {
      table.open(now_,
                 {.peer = id_of(1 - side), .name = "other", .secret = 7, .dial_after = terms_.dial_after.at(side)}, out);
    });
  }
  void set_way(int side, Way way) { terms_.way.at(side) = way; }
  /// All established connections are reset, and both ends notice, each in its time.
  void cut() {
    for (const auto& [number, wire] : wires_)
      if (wire.is_open() && (is_established(0, number) || is_established(1, number)))
        for (const int side : {0, 1}) after(delay(), [this, side, wire = number] { wire_closed(side, wire); });
  }
  void run_until(Instant until) {
    while (!events_.empty() && events_.begin()->first.first <= until) {
      auto event = events_.extract(events_.begin());
      now_ = event.key().first;
      event.mapped()();
    }
    now_ = until;
  }
  void pass(Duration time) { run_until(now_ + time); }

  /// All connections of the link are established at both ends, and no other ones.
  bool stands() const {
    for (const Side& side : sides_)
      if (side.up.size() != terms_.connections) return false;
    for (std::uint32_t index = 0; index < terms_.connections; ++index) {
      const auto wire = wire_of(0, index);
      if (!wire || wire_of(1, index) != wire || !wires_.at(*wire).is_open()) return false;
    }
    return true;
  }
  LinkSides::Dialler dialler(int side) const { return sides_.at(side).table.dialler(id_of(1 - side)); }
  bool agree() const {
    return (dialler(0) == LinkSides::Dialler::ours && dialler(1) == LinkSides::Dialler::theirs) ||
           (dialler(1) == LinkSides::Dialler::ours && dialler(0) == LinkSides::Dialler::theirs);
  }
  std::size_t wires_made() const { return wires_.size(); }
  std::size_t greetings_held() const { return greetings_held_; }
  Instant now() const { return now_; }

 private:
  using WireNumber = std::size_t;
  struct Wire {
    std::array<SocketId, 2> socket{};       ///< As each side numbers it.
    std::array<bool, 2> closed{};           ///< As each side sees it.
    std::array<Instant, 2> last_arrival{};  ///< What is on its way to each side stays in order.
    bool is_open() const { return !closed[0] && !closed[1]; }
  };
  struct Side {
    explicit Side(const LinkTableConfig& config) : table(config) {}
    LinkTable table;
    bool is_open = false;
    std::set<SocketId> dials;
    std::map<SocketId, WireNumber> wires;
    std::set<std::uint32_t> up;  ///< Connections, as an engine hears of them.
    std::optional<Instant> timer;
  };

  LinkTableConfig config(std::uint64_t side, std::uint64_t seed) const {
    return {.connections_per_link = terms_.connections, .seed = 2 * seed + side};
  }
  static PeerId id_of(int side) { return PeerId{side == 0 ? 100U : 200U}; }
  Side& side_of(int side) { return sides_.at(static_cast<std::size_t>(side)); }
  Wire& wire_at(WireNumber number) { return wires_.at(number); }
  std::optional<WireNumber> wire_of(int side, std::uint32_t index) const {
    const auto socket = sides_.at(side).table.established({id_of(1 - side), index});
    if (!socket) return std::nullopt;
    return sides_.at(side).wires.at(*socket);
  }
  bool is_established(int side, WireNumber wire) const {
    for (std::uint32_t index = 0; index < sides_.at(side).table.connections(id_of(1 - side)); ++index)
      if (wire_of(side, index) == wire) return true;
    return false;
  }
  Duration delay() { return microseconds(random_.between(100, std::max<std::int64_t>(terms_.delay_max.count(), 100))); }
  void after(Duration time, std::function<void()> what) {
    events_.emplace(std::pair(now_ + time, ++event_count_), std::move(what));
  }
  /// In order with all else on this wire to that side.
  void over(WireNumber wire, int to, std::function<void()> what) {
    Instant& last = wire_at(wire).last_arrival.at(static_cast<std::size_t>(to));
    last = std::max(last, now_ + delay());
    after(last - now_, std::move(what));
  }

  template <class Ask>
  void ask(int number, const Ask& ask) {
    Actions actions;
    ask(side_of(number).table, actions);
    for (std::size_t i = 0; i < actions.size(); ++i) {
      const Action action = actions[i];
      std::visit([&](const auto& one) { perform(number, one, actions); }, action);
    }
    arm(number);
  }
  void arm(int number) {
    Side& side = side_of(number);
    side.timer = side.table.next_deadline();
    if (!side.timer) return;
    after(std::max(*side.timer - now_, Duration::zero()), [this, number, due = *side.timer] {
      if (side_of(number).timer != due) return;
      ask(number, [&](LinkTable& table, Actions& out) { table.tick(now_, out); });
    });
  }

  void perform(int number, const Dial& dial, Actions&) {
    side_of(number).dials.insert(dial.socket);
    const Way way = terms_.way.at(static_cast<std::size_t>(number));
    const Duration time = way == Way::lost ? Duration(seconds(2)) : 2 * delay();
    after(time, [this, number, way, socket = dial.socket] {
      if (side_of(number).dials.erase(socket) == 0) return;
      if (way == Way::refused || way == Way::lost)
        return ask(number, [&](LinkTable& table, Actions& out) {
          table.dial_failed(now_, socket, {.why = "no way", .was_refused = way == Way::refused}, out);
        });
      connected(number, socket, way == Way::open);
    });
  }
  void connected(int number, SocketId socket, bool is_read) {
    const WireNumber wire = wires_.size();
    wires_[wire].socket.at(static_cast<std::size_t>(number)) = socket;
    side_of(number).wires[socket] = wire;
    if (is_read)
      over(wire, 1 - number, [this, wire, to = 1 - number] {
        ask(to, [&](LinkTable& table, Actions& out) {
          const auto accepted = table.accepted(now_, {.source = "other", .remote_host = "other"}, out);
          HAWSER_ASSERT(accepted.has_value());
          wire_at(wire).socket.at(static_cast<std::size_t>(to)) = *accepted;
          side_of(to).wires[*accepted] = wire;
        });
      });
    ask(number, [&](LinkTable& table, Actions& out) { table.dialled(now_, socket, {}, out); });
  }
  void perform(int number, const Send& send, Actions& next) {
    const WireNumber wire = side_of(number).wires.at(send.socket);
    over(wire, 1 - number, [this, wire, to = 1 - number, bytes = send.bytes] { came(to, wire, bytes); });
    side_of(number).table.sent(now_, send.socket, {.round_trip = milliseconds(1)}, next);
  }
  void came(int number, WireNumber wire, std::span<const std::byte> bytes) {
    const SocketId socket = wire_at(wire).socket.at(static_cast<std::size_t>(number));
    if (socket == SocketId{} || wire_at(wire).closed.at(static_cast<std::size_t>(number))) return;
    const std::size_t wanted = side_of(number).table.bytes_wanted(socket);
    HAWSER_ASSERT(wanted >= bytes.size());
    ask(number, [&](LinkTable& table, Actions& out) {
      table.received(now_, {.socket = socket, .bytes = bytes, .state = {.round_trip = milliseconds(1)}}, out);
    });
    if (side_of(number).is_open && side_of(number).table.bytes_wanted(socket) == 1) ++greetings_held_;
  }
  void perform(int number, const Close& close, Actions&) {
    Side& side = side_of(number);
    side.dials.erase(close.socket);
    const auto at = side.wires.find(close.socket);
    if (at == side.wires.end()) return;
    const WireNumber wire = at->second;
    side.wires.erase(at);
    wire_at(wire).closed.at(static_cast<std::size_t>(number)) = true;
    over(wire, 1 - number, [this, wire, to = 1 - number] { wire_closed(to, wire); });
  }
  void wire_closed(int number, WireNumber wire) {
    Side& side = side_of(number);
    bool& closed = wire_at(wire).closed.at(static_cast<std::size_t>(number));
    if (std::exchange(closed, true)) return;
    const SocketId socket = wire_at(wire).socket.at(static_cast<std::size_t>(number));
    if (side.wires.erase(socket) != 0)
      ask(number, [&](LinkTable& table, Actions& out) { table.broke(now_, socket, "reset", out); });
  }
  void perform(int number, const Up& up, Actions&) { HAWSER_ASSERT(side_of(number).up.insert(up.name.index).second); }
  void perform(int number, const Down& down, Actions&) {
    HAWSER_ASSERT(side_of(number).up.erase(down.name.index) == 1);
  }
  template <class Other>
  void perform(int, const Other&, Actions&) {}

  Terms terms_;
  Random random_;
  Instant now_{};
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t event_count_ = 0;
  std::array<Side, 2> sides_;
  std::map<WireNumber, Wire> wires_;
  std::size_t greetings_held_ = 0;
};

}  // namespace hawser::links
