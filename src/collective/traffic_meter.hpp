#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/instant.hpp"

namespace hawser {

/// What a sample must have at least to say something.
struct SampleBounds {
  Duration time = milliseconds(30);
  std::uint64_t bytes = 128 << 10;
};

/// How a rate was measured.
enum class RateSource : std::uint8_t {
  traffic = 0,            ///< While other links of the same member were in use too.
  probe = 1,              ///< Of the pair alone.
  probe_lower_bound = 2,  ///< The probe ended before TCP had found out more.
};

/// How fast a link is, from data that flows anyway: what the other side acknowledges while more waits to be
/// sent than the connections take. Only then is it the network that sets the pace, and not who has nothing to
/// send. Without a queue there is no sample, and the last one stands.
class LinkMeter {
 public:
  explicit LinkMeter(SampleBounds least = {}) : least_(least) {}

  /// A frame was given to a connection.
  void gave(Instant now);
  /// Nothing waits to be sent any more.
  void drained(Instant now);
  void acknowledged(Instant now, std::size_t bytes);
  /// A burst on this link alone has shown its rate; what traffic showed before does not count any more, nor what is
  /// left of the burst.
  void probed(Instant now, std::uint64_t bytes_per_second, bool is_lower_bound);
  /// From now on no more is given to the link than this; 0: no bound. What comes near it says that the link can do
  /// that, not that it could not do more.
  void bound(std::uint64_t bytes_per_second) { bounded_to_ = bytes_per_second; }
  /// What passes now is no sample of anything.
  void interrupted();
  /// Of the link, as the handshake of a connection showed it.
  void round_trip(Duration measured);

  /// The best of the latest samples, since each may have shared its way with other traffic; 0: no sample yet.
  std::uint64_t bytes_per_second() const { return *std::max_element(latest_.begin(), latest_.end()); }
  /// What the rate comes from, and when it was last measured.
  RateSource source() const { return source_; }
  Instant measured_at() const { return measured_at_; }
  /// When traffic was last seen for long enough to be a sample, also if it was no news.
  Instant sampled_at() const { return sampled_at_; }
  Duration round_trip() const { return round_trip_; }
  /// Since when frames have been waiting all the time, if they do.
  std::optional<Instant> queued_since() const { return queued_since_; }

 private:
  void take_sample(Instant now);

  SampleBounds least_;
  std::optional<Instant> queued_since_;
  std::optional<Instant> sample_since_;
  std::uint64_t sample_bytes_ = 0;
  std::uint64_t bounded_to_ = 0;
  std::array<std::uint64_t, 3> latest_{};
  std::size_t samples_ = 0;
  Duration round_trip_{};
  RateSource source_ = RateSource::traffic;
  Instant measured_at_{};
  Instant sampled_at_{};
};

/// The most that has passed in a second, over the latest traffic: of windows in which something was queued.
class PeakMeter {
 public:
  /// queued_since: of any sender; none: nothing waits.
  void moved(Instant now, std::size_t bytes, std::optional<Instant> queued_since);
  std::uint64_t bytes_per_second() const;

 private:
  static constexpr std::size_t kPeriods = 8;

  Instant window_begin_{};
  std::uint64_t window_bytes_ = 0;
  /// The best window of each of the latest periods, the newest last.
  std::array<std::uint64_t, kPeriods> best_{};
  Instant period_begin_{};
};

}  // namespace hawser
