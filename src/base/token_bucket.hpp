#pragma once

#include <algorithm>

#include "base/instant.hpp"

namespace hawser {

/// What somebody may ask for: `burst` at once, and `per_second` from then on. The token bucket of traffic shaping
/// (RFC 2697).
class TokenBucket {
 public:
  struct Rate {
    double burst = 0;
    double per_second = 0;
  };
  explicit TokenBucket(Rate rate) : rate_(rate), tokens_(rate.burst) {}

  /// Takes so many tokens if they are there, and so many others left.
  bool take(Instant now, double tokens = 1, double left = 0) {
    refill(now);
    if (tokens_ < tokens + left) return false;
    tokens_ -= tokens;
    return true;
  }
  /// Takes them in any case, into debt if need be; see ready_at().
  void charge(Instant now, double tokens) {
    refill(now);
    tokens_ -= tokens;
  }
  /// When there is no debt any more: now, or later.
  Instant ready_at(Instant now) {
    refill(now);
    if (tokens_ >= 0) return now;
    return now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(-tokens_ / rate_.per_second)) +
           microseconds(1);
  }
  /// Nothing was taken for so long that it is as a new one.
  bool is_full(Instant now) const {
    TokenBucket then = *this;
    then.refill(now);
    return then.tokens_ >= rate_.burst;
  }

 private:
  void refill(Instant now) {
    if (now <= filled_at_) return;
    const double elapsed_s = std::chrono::duration<double>(now - filled_at_).count();
    tokens_ = std::min(rate_.burst, tokens_ + elapsed_s * rate_.per_second);
    filled_at_ = now;
  }

  Rate rate_;
  double tokens_;
  Instant filled_at_{};
};

}  // namespace hawser
