#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace hawser {

/// Time as a value. The clock has no now(): instants come in as arguments.
struct VirtualClock {
  using rep = std::int64_t;
  using period = std::micro;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<VirtualClock>;
  static constexpr bool is_steady = true;
};

using Duration = VirtualClock::duration;
using Instant = VirtualClock::time_point;

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// The earlier of two deadlines, where none means never.
constexpr std::optional<Instant> earlier(std::optional<Instant> a, std::optional<Instant> b) {
  if (!a) return b;
  if (!b) return a;
  return *a < *b ? a : b;
}

constexpr std::int64_t whole_milliseconds(Duration d) {
  return std::chrono::duration_cast<milliseconds>(d).count();
}

}  // namespace hawser
