#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "links/link_sides.hpp"

namespace hawser {

/// What becomes of a dial in one direction.
enum class Way { open, refused, lost, stranger };

/// Both sides of one link and the wires between them, with delays drawn at random. Each side does what a transport does
/// with one connection: it dials when its machine says so, redials what failed, holds greetings or takes them.
class LinkWorld {
 public:
  struct Terms {
    std::array<Way, 2> way{Way::open, Way::open};  ///< From side 0, which has the smaller id, and from side 1.
    std::array<std::optional<Duration>, 2> dial_after{Duration::zero(), Duration::zero()};
    Duration delay_max = milliseconds(100);  ///< One way.
  };

  LinkWorld(Terms terms, std::uint64_t seed) : terms_(terms), random_(seed) {}

  void begin(int side, Instant at) {
    run_until(at);
    side_of(side).open = true;
    side_of(side).machine.begin(now_, side == 0, terms_.dial_after.at(side));
    judge_held(side);
    look(side);
  }
  void set_way(int side, Way way) { terms_.way.at(side) = way; }
  /// The standing connection is reset, and both ends notice, each in its time.
  void cut() {
    const auto standing = side_of(0).standing ? side_of(0).standing : side_of(1).standing;
    if (!standing) return;
    for (const int side : {0, 1}) after(delay(), [this, side, wire = *standing] { wire_closed(side, wire); });
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

  bool stands() const {
    return sides_[0].standing && sides_[0].standing == sides_[1].standing && wires_.at(*sides_[0].standing).is_open();
  }
  LinkSides::Dialler dialler(int side) const { return sides_.at(side).machine.dialler(); }
  bool has_got_through(int side) const { return sides_.at(side).machine.has_got_through(); }
  bool agree() const {
    return (dialler(0) == LinkSides::Dialler::ours && dialler(1) == LinkSides::Dialler::theirs) ||
           (dialler(1) == LinkSides::Dialler::ours && dialler(0) == LinkSides::Dialler::theirs);
  }
  std::size_t wires_made() const { return wires_.size(); }
  std::size_t greetings_held() const { return greetings_held_; }
  Instant now() const { return now_; }

 private:
  using Wire = std::size_t;
  struct WireState {
    int dialler = 0;
    std::array<bool, 2> closed{};         ///< As each side sees it.
    std::array<Instant, 2> last_arrival{};  ///< What is on its way to each side stays in order.
    bool is_open() const { return !closed[0] && !closed[1]; }
  };
  struct Side {
    LinkSides machine;
    bool open = false;
    std::uint64_t attempt = 0;      ///< Counts; an event of an older one has nothing to say.
    std::optional<Wire> greeting;   ///< Dialled here and not answered yet.
    std::optional<Wire> standing;
    std::vector<Wire> held;
    std::uint64_t look = 0;
  };

  Side& side_of(int side) { return sides_.at(static_cast<std::size_t>(side)); }
  Duration delay() { return microseconds(random_.between(100, std::max<std::int64_t>(terms_.delay_max.count(), 100))); }
  void after(Duration time, std::function<void()> what) {
    events_.emplace(std::pair(now_ + time, ++event_count_), std::move(what));
  }
  /// In order with all else on this wire to that side.
  void over(Wire wire, int to, std::function<void()> what) {
    Instant& last = wires_.at(wire).last_arrival.at(static_cast<std::size_t>(to));
    last = std::max(last, now_ + delay());
    after(last - now_, std::move(what));
  }

  void look(int number) {
    Side& side = side_of(number);
    if (!side.open) return;
    if (const auto due = side.machine.dial_at(); due && *due <= now_) {
      side.machine.dialling();
      dial(number);
    }
    arm(number);
  }
  void arm(int number) {
    Side& side = side_of(number);
    if (!side.open) return;
    auto next = side.machine.dial_at();
    if (!side.held.empty()) next = earlier(next, side.machine.next_look(now_));
    const std::uint64_t count = ++side.look;
    if (!next) return;
    after(std::max(*next - now_, Duration::zero()), [this, number, count] {
      if (side_of(number).look != count) return;
      judge_held(number);
      look(number);
    });
  }

  void dial(int number) {
    const std::uint64_t attempt = ++side_of(number).attempt;
    const auto still = [this, number, attempt] { return side_of(number).attempt == attempt; };
    switch (terms_.way.at(static_cast<std::size_t>(number))) {
      case Way::refused:
        return after(2 * delay(), [this, number, still] {
          if (still()) attempt_failed(number);
        });
      case Way::lost:
        return after(seconds(2), [this, number, still] {
          if (still()) attempt_failed(number);
        });
      case Way::stranger:
        // It takes the connection and never answers.
        return after(2 * delay(), [this, number, still] {
          if (!still()) return;
          side_of(number).machine.greeted(now_);
          after(seconds(8), [this, number, still] {
            if (still()) attempt_failed(number);
          });
        });
      case Way::open: break;
    }
    after(2 * delay(), [this, number, still] {
      if (still()) greet(number);
    });
  }
  void greet(int number) {
    Side& side = side_of(number);
    const Wire wire = wires_.size();
    wires_[wire].dialler = number;
    side.greeting = wire;
    side.machine.greeted(now_);
    over(wire, 1 - number, [this, wire, to = 1 - number] {
      if (wires_.at(wire).closed.at(static_cast<std::size_t>(to))) return;
      side_of(to).held.push_back(wire);
      judge_held(to);
      arm(to);
    });
    after(seconds(8), [this, number, wire, attempt = side.attempt] {
      if (side_of(number).attempt == attempt && side_of(number).greeting == wire) attempt_failed(number);
    });
  }
  void attempt_failed(int number) {
    Side& side = side_of(number);
    stop_attempt(number);
    side.machine.attempt_ended();
    redial_later(number);
    judge_held(number);
    arm(number);
  }
  void redial_later(int number) {
    const std::uint64_t attempt = ++side_of(number).attempt;
    after(milliseconds(random_.between(15, 1000)), [this, number, attempt] {
      if (side_of(number).attempt == attempt) dial(number);
    });
  }
  void stop_attempt(int number) {
    ++side_of(number).attempt;
    if (const auto wire = std::exchange(side_of(number).greeting, std::nullopt)) close(number, *wire);
  }
  void close(int number, Wire wire) {
    wires_.at(wire).closed.at(static_cast<std::size_t>(number)) = true;
    over(wire, 1 - number, [this, wire, to = 1 - number] { wire_closed(to, wire); });
  }

  void judge_held(int number) {
    Side& side = side_of(number);
    if (!side.open) return;
    const std::vector<Wire> waiting = side.held;
    for (const Wire wire : waiting) {
      if (std::find(side.held.begin(), side.held.end(), wire) == side.held.end()) continue;
      if (side.machine.judge(now_) == LinkSides::Verdict::hold) {
        ++greetings_held_;
        continue;
      }
      std::erase(side.held, wire);
      accept(number, wire);
    }
  }
  void accept(int number, Wire wire) {
    Side& side = side_of(number);
    stop_attempt(number);
    if (side.standing) close(number, *std::exchange(side.standing, std::nullopt));
    side.machine.theirs_stands(now_);
    side.standing = wire;
    over(wire, 1 - number, [this, wire, to = 1 - number] {
      Side& dialler = side_of(to);
      if (dialler.greeting != wire) return;
      dialler.greeting.reset();
      ++dialler.attempt;
      dialler.machine.ours_stands(now_);
      dialler.standing = wire;
      arm(to);
    });
    arm(number);
  }
  void wire_closed(int number, Wire wire) {
    Side& side = side_of(number);
    wires_.at(wire).closed.at(static_cast<std::size_t>(number)) = true;
    std::erase(side.held, wire);
    if (side.greeting == wire) return attempt_failed(number);
    if (side.standing != wire) return;
    side.standing.reset();
    side.machine.all_down(now_);
    if (side.machine.dialler() == LinkSides::Dialler::ours) redial_later(number);
    judge_held(number);
    arm(number);
  }

  Terms terms_;
  Random random_;
  Instant now_{};
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t event_count_ = 0;
  std::array<Side, 2> sides_;
  std::map<Wire, WireState> wires_;
  std::size_t greetings_held_ = 0;
};

}  // namespace hawser
