#pragma once

#include <time.h>

#include <chrono>

#include "base/instant.hpp"

namespace hawser {

/// The only place where real time becomes an Instant.
inline Instant now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

/// The same of a clock that also counts while the machine is suspended. Its instants mean nothing to the other one.
inline Instant now_with_suspends() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant(seconds(time.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(time.tv_nsec)));
}

/// The steady clock's time at which now() is `instant`.
inline std::chrono::steady_clock::time_point steady_time(Instant instant) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(instant.time_since_epoch()));
}

}  // namespace hawser
