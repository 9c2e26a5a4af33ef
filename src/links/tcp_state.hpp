#pragma once

#include <cstdint>

#include "base/instant.hpp"

namespace hawser {

/// What the system has measured of a TCP connection; 0 where it does not tell.
struct TcpState {
  Duration round_trip{};        ///< Of late.
  Duration round_trip_least{};  ///< Ever.
  std::uint64_t window_bytes = 0;  ///< That the congestion control allows under way.
  std::uint64_t segments_sent = 0;
  std::uint64_t segments_repeated = 0;
  std::uint64_t segments_unacknowledged = 0;
  std::uint64_t segments_delivered = 0;  ///< As the other side has acknowledged, in whatever order.
  bool fills_alone = false;  ///< Its congestion control is BBR: few such connections fill a way.
};

}  // namespace hawser
