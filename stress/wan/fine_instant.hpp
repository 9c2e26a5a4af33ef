#pragma once

#include <chrono>

#include "base/instant.hpp"

namespace hawser::wan {

/// A segment takes 12 us at 1 Gbit/s: rates kept to whole microseconds would be wrong by percents.
using FineDuration = std::chrono::nanoseconds;
using FineInstant = std::chrono::time_point<VirtualClock, FineDuration>;

/// How long a wire is busy with so many bytes; 0 bits per second stands for no limit.
constexpr FineDuration transmission_time(std::uint64_t bytes, std::uint64_t bits_per_s) {
  if (bits_per_s == 0) return FineDuration::zero();
  const double ns = 8e9 * static_cast<double>(bytes) / static_cast<double>(bits_per_s);
  return FineDuration(static_cast<std::int64_t>(ns + 0.5));
}

}  // namespace hawser::wan
