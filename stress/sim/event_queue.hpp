#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/instant.hpp"

namespace hawser::sim {

/// The virtual clock and everything that is still to happen. Events due at one instant run in the order in
/// which they were asked for, so that a seed has exactly one history.
class EventQueue {
 public:
  using Task = std::function<void()>;

  Instant now() const { return now_; }
  /// `due` in the past means now.
  void at(Instant due, Task task) { at(due, reserve(), std::move(task)); }
  /// A turn among the events of one instant: as if they were asked for now.
  std::uint64_t reserve() { return ordered_++; }
  void at(Instant due, std::uint64_t turn, Task task);
  void after(Duration delay, Task task) { at(now_ + delay, std::move(task)); }
  /// When the earliest event is due; none when nothing is left.
  std::optional<Instant> next_due() const;
  /// Moves the clock to the earliest event and runs it. False when nothing is left.
  bool step();
  /// Moves the clock on where no event is due before.
  void idle_until(Instant instant);

  std::uint64_t executed() const { return executed_; }
  /// Hash of all that has happened: equal for two runs of one seed.
  std::uint64_t history() const { return history_; }
  void remember(std::uint64_t fact) { history_ = (history_ ^ fact) * 0x100000001b3ULL + (history_ >> 29); }

 private:
  struct Entry {
    Instant due;
    std::uint64_t order;
    std::uint32_t slot;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.due != b.due ? a.due > b.due : a.order > b.order;
  }

  Instant now_{};
  std::uint64_t ordered_ = 0;
  std::uint64_t executed_ = 0;
  std::uint64_t history_ = 0xcbf29ce484222325ULL;
  std::vector<Entry> heap_;
  std::vector<Task> tasks_;
  std::vector<std::uint32_t> free_slots_;
};

}  // namespace hawser::sim
