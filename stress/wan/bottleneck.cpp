#include "wan/bottleneck.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace hawser::wan {

std::uint64_t Bottleneck::backlog_bytes(FineInstant now) const {
  const double rest_ns = static_cast<double>(std::max(free_at_ - now, FineDuration::zero()).count());
  return queued_bytes_ + static_cast<std::uint64_t>(rest_ns * static_cast<double>(config_.bits_per_s) / 8e9);
}

std::uint32_t Bottleneck::offer(FineInstant now, const Waiting& waiting) {
  const Parcel& parcel = waiting.parcel;
  const std::uint64_t backlog = backlog_bytes(now);
  std::uint32_t fits = parcel.count;
  if (backlog + parcel.wire_bytes() > config_.queue_bytes) {
    const std::uint64_t room = config_.queue_bytes - std::min(backlog, config_.queue_bytes);
    fits =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(room / parcel.segment_wire_bytes(), parcel.count));
    // An idle wire takes one, however short the queue.
    if (fits == 0 && backlog == 0) fits = 1;
  }
  if (fits == 0) return 0;
  const Parcel taken = parcel.part(0, fits);
  queued_bytes_ += taken.wire_bytes();
  queue_.push_back({.waiting = {.parcel = taken, .stage = waiting.stage}, .arrival = now});
  return fits;
}

std::optional<FineInstant> Bottleneck::next_start() const {
  if (queue_.empty()) return std::nullopt;
  return std::max(free_at_, queue_.front().arrival);
}

Bottleneck::Sent Bottleneck::start_next() {
  HAWSER_ASSERT(!queue_.empty());
  const FineInstant begin = *next_start();
  Waiting waiting = std::move(queue_.front().waiting);
  queue_.pop_front();
  const std::uint32_t bytes = waiting.parcel.wire_bytes();
  queued_bytes_ -= bytes;
  sent_bytes_ += bytes;
  free_at_ = begin + transmission_time(bytes, config_.bits_per_s);
  return {.waiting = std::move(waiting), .begin = begin, .end = free_at_};
}

void Bottleneck::set_rate(FineInstant now, std::uint64_t bits_per_s) {
  if (free_at_ > now) {
    const double rest = static_cast<double>((free_at_ - now).count());
    const double scale = static_cast<double>(config_.bits_per_s) / static_cast<double>(bits_per_s);
    free_at_ = now + FineDuration(static_cast<std::int64_t>(rest * scale));
  }
  config_.bits_per_s = bits_per_s;
}

std::uint64_t Bottleneck::flush() {
  std::uint64_t segments = 0;
  for (const Entry& entry : queue_) segments += entry.waiting.parcel.count;
  queue_.clear();
  queued_bytes_ = 0;
  return segments;
}

}  // namespace hawser::wan
