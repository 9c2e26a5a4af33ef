#pragma once

#include <algorithm>

#include "base/instant.hpp"

namespace hawser {

/// How much more than the plan's share of a link's rate and round trip may be under way on it. The plan is made from
/// rates that were measured under this bound, so it has to find out whether there is room for more: where round trips
/// are hardly longer than ever and the bound holds data back, there is; where they are much longer, a queue stands on
/// the way, and what is added only makes it longer. (The signal of TCP Vegas, Brakmo and Peterson 1995, for all
/// connections of a link together.) Never much below the plan's share, or others' queues would starve this link. Pure.
class PaceMargin {
 public:
  double value() const { return value_; }
  /// Ten times a second while the link is in use.
  void sample(Duration round_trip, Duration round_trip_least, bool is_held_back) {
    const auto least = static_cast<double>(round_trip_least.count());
    const auto late = static_cast<double>((round_trip - round_trip_least).count());
    if (late > kLong * least + kJitter)
      value_ = std::max(kLeast, value_ * kShrink);
    else if (late < kShort * least + kJitter && is_held_back)
      value_ = std::min(kMost, value_ * kGrow);
  }

 private:
  static constexpr double kLeast = 1.0;
  static constexpr double kMost = 2.5;
  static constexpr double kGrow = 1.1;
  static constexpr double kShrink = 0.9;
  /// Of the shortest round trip.
  static constexpr double kShort = 0.3;
  static constexpr double kLong = 0.6;
  static constexpr double kJitter = 2000;  ///< Microseconds.

  double value_ = 1.25;
};

}  // namespace hawser
