#pragma once

#include <cstdint>

#include "base/instant.hpp"
#include "links/link_sample.hpp"

namespace hawser {

/// Whether a way loses segments by itself. A queue that overflows has stood before, and round trips were longer. What
/// is lost while they are short was lost on the way: by a radio, a bad cable or a policer. For a congestion control that
/// takes each loss for an overflow, as CUBIC does (Ha, Rhee and Xu 2008), such a way has hardly room. Pure.
class LossJudge {
 public:
  /// To be called at regular intervals while the link is in use; gives whether the way is known to lose segments.
  bool sample(const LinkSample& sample) {
    if (sample.round_trip_least < kLongWay || sample.stands_in_queue()) return is_lossy();
    sent_ += sample.segments_sent;
    repeated_ += sample.segments_repeated;
    with_losses_ += sample.segments_repeated > 0 ? 1 : 0;
    if (sent_ > kRemembered) {
      sent_ /= 2;
      repeated_ /= 2;
      with_losses_ /= 2;
    }
    return is_lossy();
  }

 private:
  /// On short ways what was lost is repaired at once, and queues of less than a millisecond are seen in no round trip.
  static constexpr Duration kLongWay = milliseconds(5);
  static constexpr std::uint64_t kRemembered = 40'000;
  static constexpr std::uint64_t kRepeatedMin = 10;
  /// One burst is no habit.
  static constexpr std::uint64_t kWithLossesMin = 5;
  static constexpr std::uint64_t kSentPerLossMost = 2000;

  bool is_lossy() const {
    return with_losses_ >= kWithLossesMin && repeated_ >= kRepeatedMin && repeated_ * kSentPerLossMost >= sent_;
  }

  std::uint64_t sent_ = 0;
  std::uint64_t repeated_ = 0;
  std::uint64_t with_losses_ = 0;  ///< Samples.
};

}  // namespace hawser
