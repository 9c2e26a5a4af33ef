#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/instant.hpp"

namespace hawser {

/// How long a burst over a way of this round trip may last: about what TCP needs to find out how fast the way is.
/// From 160 ms to 900 ms.
Duration probe_time_max(Duration round_trip);

/// When a burst that probes a link has shown how fast it is, as its receiver sees it. From its first bytes on, what
/// comes in is counted in windows of a round trip (30 ms, 32 KiB at least). In slow start each has about twice as much
/// as the one before. Three in a row that are about the same say that the way is full, or the windows of its
/// connections, and the burst is over; what passed in these is the rate. If its time, or its bytes, are used up before,
/// the last window decides: if it has as much more as slow start brings, all that came is a lower bound; if it has a
/// little more, it is the rate; else the last two are. A way over which so little passes that there are no two windows
/// is slow, and known. If this member itself was kept from looking for more than half a window, it may have been what
/// was slow: a lower bound too. Pure.
class ProbeBurst {
 public:
  struct Bounds {
    Duration round_trip{};
    Duration time_max{};
    std::uint64_t bytes_max = 0;
  };
  ProbeBurst(Instant begun, Bounds bounds);

  /// So many bytes of it have come in, in all. Does nothing before next_look().
  void look(Instant now, std::uint64_t bytes_arrived);
  Instant next_look() const { return next_look_; }

  bool is_over() const { return over_; }
  /// 0: nothing arrived.
  std::uint64_t bytes_per_second() const { return rate_; }
  /// It was over before it grew no more.
  bool is_lower_bound() const { return lower_bound_; }

 private:
  Bounds bounds_;
  Instant begun_;
  Instant ends_by_;
  Duration window_;
  Instant next_look_;
  struct Window {
    std::uint64_t bytes = 0;
    Duration time{};
  };
  static std::uint64_t rate_of(const Window& window);
  std::uint64_t rate_of_last(std::size_t windows) const;

  bool overslept_ = false;
  bool counting_ = false;  ///< Something has arrived.
  Instant counting_since_{};
  Instant window_begin_{};
  std::uint64_t arrived_ = 0;     ///< Until then.
  std::array<Window, 3> last_{};  ///< The latest ones, the newest last.
  int steady_ = 0;                ///< Windows in a row that were about as the one before.
  std::uint64_t rate_ = 0;
  bool over_ = false;
  bool lower_bound_ = false;
};

}  // namespace hawser
