#include "collective/traffic_meter.hpp"

#include <algorithm>
#include <utility>

namespace hawser {
namespace {

/// A long queue gives one sample after the other.
constexpr Duration kSampleMax = milliseconds(500);
constexpr double kShareOfBound = 0.6;
constexpr Duration kWindow = milliseconds(100);
constexpr Duration kPeriod = seconds(2);

std::uint64_t per_second(std::uint64_t bytes, Duration time) {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * 1e6 / static_cast<double>(time.count()));
}

}  // namespace

void LinkMeter::gave(Instant now) {
  if (!queued_since_) queued_since_ = now;
}

void LinkMeter::drained(Instant now) {
  if (sample_since_) take_sample(now);
  queued_since_.reset();
  sample_since_.reset();
}

void LinkMeter::acknowledged(Instant now, std::size_t bytes) {
  if (!queued_since_) return;
  if (!sample_since_) {
    // What comes before was sent into idle buffers, and its acknowledgements were on their way yet.
    if (now < *queued_since_ + round_trip_ * 3 / 2) return;
    sample_since_ = now;
    sample_bytes_ = 0;
    return;
  }
  sample_bytes_ += bytes;
  if (now - *sample_since_ < kSampleMax) return;
  take_sample(now);
  sample_since_ = now;
  sample_bytes_ = 0;
}

void LinkMeter::take_sample(Instant now) {
  const Duration time = now - *sample_since_;
  if (time < least_.time || sample_bytes_ < least_.bytes) return;
  sampled_at_ = now;
  const std::uint64_t rate = per_second(sample_bytes_, time);
  const bool is_ours = bounded_to_ > 0 && static_cast<double>(rate) > kShareOfBound * static_cast<double>(bounded_to_);
  if (is_ours && rate <= bytes_per_second()) return;
  if (std::exchange(source_, RateSource::traffic) != RateSource::traffic) latest_ = {};
  latest_[samples_++ % latest_.size()] = rate;
  measured_at_ = now;
}

void LinkMeter::probed(Instant now, std::uint64_t bytes_per_second, bool is_lower_bound) {
  latest_ = {bytes_per_second};
  samples_ = 1;
  source_ = is_lower_bound ? RateSource::probe_lower_bound : RateSource::probe;
  measured_at_ = now;
  interrupted();
}

void LinkMeter::interrupted() {
  queued_since_.reset();
  sample_since_.reset();
}

void LinkMeter::round_trip(Duration measured) {
  round_trip_ = round_trip_ == Duration{} ? measured : std::min(round_trip_, measured);
}

void PeakMeter::moved(Instant now, std::size_t bytes, std::optional<Instant> queued_since) {
  if (now - window_begin_ >= kWindow) {
    // One that was interrupted says nothing: its bytes belong to less time than has passed.
    const bool whole = now - window_begin_ < 2 * kWindow && queued_since && *queued_since <= window_begin_;
    if (now - period_begin_ >= kPeriod && whole) {
      std::copy(std::begin(best_) + 1, std::end(best_), std::begin(best_));
      best_[kPeriods - 1] = 0;
      period_begin_ = now;
    }
    if (whole) best_[kPeriods - 1] = std::max(best_[kPeriods - 1], per_second(window_bytes_, now - window_begin_));
    window_begin_ = now;
    window_bytes_ = 0;
  }
  window_bytes_ += bytes;
}

std::uint64_t PeakMeter::bytes_per_second() const { return *std::max_element(std::begin(best_), std::end(best_)); }

}  // namespace hawser
