#pragma once

#include <chrono>

#include "base/instant.hpp"

namespace hawser {

/// The only place where real time becomes an Instant.
inline Instant now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

/// The steady clock's time at which now() is `instant`.
inline std::chrono::steady_clock::time_point steady_time(Instant instant) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(instant.time_since_epoch()));
}

}  // namespace hawser
