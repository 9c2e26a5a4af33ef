#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/instant.hpp"
#include "base/limits.hpp"
#include "links/link_sample.hpp"

namespace hawser {

/// Links whose number of connections is automatic have no more.
inline constexpr std::uint32_t kConnectionsAutomaticMost = limits::kConnectionsPerLinkMax / 2;

/// How many connections a link between hosts has before any traffic. Each begins with some ten segments per round trip
/// and doubles that (RFC 6928): over a long way, several together are at the link's rate sooner. A peer with many links
/// fills its access with few on each. Pure.
inline std::uint32_t connections_at_first(Duration round_trip, std::size_t links) {
  constexpr std::uint32_t kLeast = 2;
  constexpr std::uint32_t kMost = 8;
  constexpr std::size_t kOfAllLinks = 24;
  constexpr Duration kRoundTripOfOne = milliseconds(5);
  const auto by_way =
      static_cast<std::uint32_t>(std::clamp<Duration::rep>(round_trip / kRoundTripOfOne, kLeast, kMost));
  const auto share = static_cast<std::uint32_t>(kOfAllLinks / std::max<std::size_t>(1, links));
  return std::clamp(by_way, kLeast, std::max(kLeast, share));
}

/// How many connections a link has. Growing is a matter of the queue on the way: connections that have all they can
/// send, and whose round trips are nevertheless hardly longer than the shortest ever, do not fill the pipe (losses, windows
/// and buffers hold them back), so more of them carry more. Where round trips grow, a queue stands
/// somewhere, at the receiver's access for example when many send to it at once: the pipe is full, and more
/// connections would only take from each other. While their windows still grow, they are on their way to fill it themselves,
/// and the queue that shows it would come too late. (The signal is that of TCP Vegas, Brakmo and Peterson 1995.)
/// Where a queue overflows (much has to be sent again, and round trips are longer), there are too many: half of them
/// go, and that many are not tried again for a while, each time longer. Where much has to be sent again and no queue is
/// seen, either the way loses it, and more connections carry more, or the queue is too short to be seen, and more carry
/// no more: then half of them go, too. Pure.
class ConnectionCount {
 public:
  explicit ConnectionCount(std::uint32_t first = 1, std::uint32_t most = kConnectionsAutomaticMost)
      : wanted_(first), most_(most) {}
  /// Where a connection fills the way by itself and keeps its round trips short, as with BBR (Cardwell et al. 2016):
  /// many only probe against each other, and short round trips say nothing of room. So there are two, which are at the
  /// link's rate sooner than one, unless the other side asks for more.
  static ConnectionCount of_few_that_fill() {
    ConnectionCount count(kFew);
    count.grows_ = false;
    return count;
  }

  std::uint32_t wanted() const { return wanted_; }
  /// As of_few_that_fill() has it from now on; with `takes_away`, no more than it has.
  void fill_with_few(bool takes_away) {
    if (std::exchange(grows_, false) && takes_away) wanted_ = std::min(wanted_, kFew);
  }
  /// The other side of the link has changed the number.
  void follow(Instant now, std::uint32_t wanted) {
    wanted_ = std::clamp<std::uint32_t>(wanted, 1, most_);
    changed_at_ = now;
    own_change_at_.reset();
    roomy_for_ = {};
    rate_of_fewer_ = 0;
    overflows_ = 0;
  }

  /// The other side asks for so many; gives how many there shall be. What overflowed a queue in one direction is not tried
  /// again for a while because the other direction has room.
  std::uint32_t asked(Instant now, std::uint32_t wanted) {
    wanted = std::clamp<std::uint32_t>(wanted, 1, most_);
    if (wanted < wanted_) avoid(now);
    if (wanted > wanted_ && now < avoid_until_) wanted = std::max(wanted_, std::min(wanted, avoided_ - 1));
    if (wanted != wanted_) follow(now, wanted);
    return wanted_;
  }

  /// This side has changed the number lately, which may not have come to be yet.
  bool is_settling(Instant now) const { return own_change_at_ && now - *own_change_at_ < kChangeMax; }

  /// To be called at regular intervals while the link is in use; gives how many there shall be.
  std::uint32_t sample(Instant now, const LinkSample& sample) {
    const Duration since_last = now - std::exchange(sampled_at_, now);
    const Duration passed = std::min(since_last, kSampleMax);
    if (!grows_ || !sample.is_full || sample.round_trip_least == Duration{}) return wanted_;
    const Duration settled = std::max(kSettleMin, kSettleRoundTrips * sample.round_trip_least);
    const bool is_settled = !changed_at_ || now - *changed_at_ >= settled;
    const bool loses_much = sample.repeated_permille() >= kOverflowPermille;
    if (loses_much && sample.stands_in_queue()) {
      roomy_for_ = {};
      if (++overflows_ >= kOverflowsMin && is_settled && wanted_ > 1) shrink(now);
      return wanted_;
    }
    overflows_ = 0;
    if (sample.round_trip * 2 > sample.round_trip_least * 3 + LinkSample::kJitter) {
      roomy_for_ = {};
      return wanted_;
    }
    if (roomy_for_ == Duration{}) {
      window_before_ = sample.window_bytes;
      delivered_ = losses_ = 0;
      measured_for_ = {};
    } else if (since_last == passed) {
      measured_for_ += passed;
      delivered_ += sample.segments_delivered;
    }
    roomy_for_ += passed;
    losses_ += loses_much ? 1 : 0;
    if (roomy_for_ < settled || !is_settled) return wanted_;
    const auto measured = static_cast<std::uint64_t>(measured_for_.count());
    const std::uint64_t rate = measured == 0 ? 0 : delivered_ * kPerSecond / measured;
    const std::uint64_t rate_of_fewer = std::exchange(rate_of_fewer_, 0);
    if (losses_ > 1 && rate < rate_of_fewer + rate_of_fewer / kPays) {
      shrink(now);
      avoided_ = wanted_ + 1;
    } else if (4 * sample.window_bytes > 5 * window_before_) {
      rate_of_fewer_ = rate_of_fewer;
    } else {
      grow(now, rate);
    }
    roomy_for_ = {};
    return wanted_;
  }

 private:
  static constexpr Duration kChangeMax = seconds(2);
  static constexpr std::uint32_t kFew = 2;
  static constexpr Duration kSettleMin = milliseconds(200);
  /// A new connection needs some to reach its pace.
  static constexpr int kSettleRoundTrips = 4;
  /// What a sample may count for: there are none while the link is not in use.
  static constexpr Duration kSampleMax = milliseconds(150);
  /// Losses on the way are far fewer.
  static constexpr std::uint32_t kOverflowPermille = 20;
  static constexpr int kOverflowsMin = 3;
  /// Twice as many carry a tenth more, at least.
  static constexpr std::uint64_t kPays = 10;
  static constexpr std::uint64_t kPerSecond = static_cast<std::uint64_t>(Duration(seconds(1)).count());
  static constexpr Duration kAvoidFirst = seconds(30);
  static constexpr Duration kAvoidMost = seconds(3600);

  void grow(Instant now, std::uint64_t rate) {
    std::uint32_t next = std::min(most_, 2 * wanted_);
    if (now < avoid_until_) next = std::min(next, avoided_ - 1);
    if (next <= wanted_) return;
    wanted_ = next;
    rate_of_fewer_ = rate;
    changed_at_ = own_change_at_ = now;
  }
  void avoid(Instant now) {
    avoided_ = wanted_;
    avoid_until_ = now + avoid_for_;
    avoid_for_ = std::min(2 * avoid_for_, kAvoidMost);
  }
  void shrink(Instant now) {
    avoid(now);
    wanted_ = std::max<std::uint32_t>(1, wanted_ / 2);
    changed_at_ = own_change_at_ = now;
    overflows_ = 0;
  }

  std::uint32_t wanted_;
  std::uint32_t most_;
  bool grows_ = true;
  Instant sampled_at_{};
  Duration roomy_for_{};  ///< In use and without a queue, since there last was one or the number grew.
  std::uint64_t window_before_ = 0;  ///< When that began.
  Duration measured_for_{};          ///< Since then,
  std::uint64_t delivered_ = 0;      ///< and segments in it.
  std::uint64_t losses_ = 0;         ///< Samples since then of which much was sent again.
  std::uint64_t rate_of_fewer_ = 0;  ///< Segments per second, before this side has added some; 0: it has not.
  std::optional<Instant> changed_at_;     ///< By either side.
  std::optional<Instant> own_change_at_;  ///< Unless the other side has changed it since.
  int overflows_ = 0;
  std::uint32_t avoided_ = 0;
  Instant avoid_until_{};
  Duration avoid_for_ = kAvoidFirst;
};

}  // namespace hawser
