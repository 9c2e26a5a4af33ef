#pragma once

#include <cstdint>

#include "base/instant.hpp"

namespace hawser {

/// What the system tells of the connections of a link, since it was asked the last time.
struct LinkSample {
  /// All of them have more to send than the system takes.
  bool is_full = false;
  Duration round_trip{};        ///< Of late, the mean.
  Duration round_trip_least{};  ///< Ever.
  std::uint64_t segments_sent = 0;
  std::uint64_t segments_repeated = 0;   ///< Among those.
  std::uint64_t segments_delivered = 0;  ///< As the other side has acknowledged.
  /// What TCP lets be under way on all of them.
  std::uint64_t window_bytes = 0;

  /// What a round trip may take longer without any queue.
  static constexpr Duration kJitter = microseconds(500);

  std::uint64_t repeated_permille() const { return segments_sent == 0 ? 0 : 1000 * segments_repeated / segments_sent; }
  /// Data waits somewhere on the way. Losses then are taken for a queue's that overflows.
  bool stands_in_queue() const { return round_trip * 4 > round_trip_least * 5 + kJitter; }
};

}  // namespace hawser
