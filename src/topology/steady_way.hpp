#pragma once

#include <optional>

#include "base/ids.hpp"
#include "base/instant.hpp"

namespace hawser::topology {

/// Whether a pair has a way of its own, and else its go-between, as it is told to others: held still while ways come
/// and go, so that plans do. What is lost is told at once: whoever plans with it would send twice over a go-between's
/// access. What is back is told after 30 s without a break, and after twice as long each time that it is lost again within ten
/// minutes, up to ten minutes. Another go-between is told 10 s after the one before. Pure.
class SteadyWay {
 public:
  /// The link has been established: by a go-between, or straight (no peer).
  void stands(Instant now, PeerId by);
  /// It has no connection. A link that is down is on no way.
  void is_down() { straight_since_.reset(); }

  /// What is told at this time: the go-between, or none.
  PeerId told(Instant now);

 private:
  PeerId by_{};    ///< As it stood last.
  PeerId told_{};
  Instant told_at_{};
  std::optional<Instant> straight_since_;  ///< While another thing is told.
  std::optional<Instant> back_at_;         ///< When the straight way was last told again,
  Duration held_ = kHeldFirst;             ///< and how long it had to stand for that.

  static constexpr Duration kHeldFirst = seconds(30);
};

}  // namespace hawser::topology
