#include "collective/probe_burst.hpp"

#include <algorithm>

namespace hawser {
namespace {

constexpr Duration kWindowMin = milliseconds(30);
constexpr std::uint64_t kWindowBytesMin = 32 << 10;
/// How often it is looked whether something has arrived, or enough for a window.
constexpr Duration kGlance = milliseconds(5);
constexpr Duration kTimeMin = milliseconds(160);
constexpr Duration kTimeMax = milliseconds(900);
constexpr int kHalfRoundTrips = 7;
/// Windows that differ by no more are about the same: of slow start, each has nearly twice as much as the one before.
constexpr double kSteady = 1.3;
constexpr int kSteadyMin = 2;  // Of them, and the one before.
/// One in which the way became full has less.
constexpr double kSlowStart = 1.6;

}  // namespace

Duration probe_time_max(Duration round_trip) {
  return std::clamp<Duration>(kHalfRoundTrips * round_trip / 2, kTimeMin, kTimeMax);
}

ProbeBurst::ProbeBurst(Instant begun, Bounds bounds)
    : bounds_(bounds),
      begun_(begun),
      ends_by_(begun + bounds.time_max),
      window_(std::max(kWindowMin, bounds.round_trip)),
      next_look_(begun + kGlance) {}

std::uint64_t ProbeBurst::rate_of(const Window& window) {
  if (window.time == Duration{}) return 0;
  return static_cast<std::uint64_t>(static_cast<double>(window.bytes) * 1e6 / static_cast<double>(window.time.count()));
}

std::uint64_t ProbeBurst::rate_of_last(std::size_t windows) const {
  Window all;
  for (std::size_t i = last_.size() - windows; i < last_.size(); ++i) {
    all.bytes += last_[i].bytes;
    all.time += last_[i].time;
  }
  return rate_of(all);
}

void ProbeBurst::look(Instant now, std::uint64_t bytes_arrived) {
  if (over_ || now < next_look_) return;
  overslept_ = overslept_ || now - next_look_ > window_ / 2;
  next_look_ = now + kGlance;
  const bool all_arrived = bytes_arrived >= bounds_.bytes_max;
  // What is left of its time would be no window.
  const bool late = now + (counting_ ? window_ / 2 : Duration{}) >= ends_by_;
  if (!counting_) {
    // Those bytes came at once, nobody knows since when.
    counting_ = bytes_arrived > 0;
    counting_since_ = window_begin_ = now;
    arrived_ = bytes_arrived;
    over_ = late || all_arrived;
    return;
  }
  const Duration passed = now - window_begin_;
  const bool whole = passed >= window_ && bytes_arrived - arrived_ >= kWindowBytesMin;
  if (!whole && !late && !all_arrived) {
    if (passed < window_) next_look_ = window_begin_ + window_;
    return;
  }
  const bool first = last_.back().time == Duration{};
  const std::uint64_t before = rate_of_last(1);
  std::rotate(last_.begin(), last_.begin() + 1, last_.end());
  last_.back() = {.bytes = bytes_arrived - arrived_, .time = passed};
  const double growth = first ? 2 * kSlowStart : static_cast<double>(rate_of_last(1)) / static_cast<double>(before);
  steady_ = growth <= kSteady && growth >= 1 / kSteady ? steady_ + 1 : 0;
  over_ = steady_ >= kSteadyMin || late || all_arrived;
  // Where it grew, and less than in slow start, the way became full in the last one.
  rate_ = rate_of_last(steady_ >= kSteadyMin ? 3 : growth > kSteady ? 1 : 2);
  // So little that it can't be for slow start.
  const bool slow = first && !whole && !all_arrived && passed >= 2 * window_;
  const bool unfinished = all_arrived ? steady_ == 0 : growth > kSlowStart;
  lower_bound_ = over_ && rate_ > 0 && ((unfinished && !slow) || overslept_);
  // One window may have more than the way carries: what waited for a segment that was lost comes at once.
  if (lower_bound_) rate_ = rate_of({.bytes = bytes_arrived, .time = now - (overslept_ ? begun_ : counting_since_)});
  window_begin_ = now;
  arrived_ = bytes_arrived;
  next_look_ = now + window_;
}

}  // namespace hawser
