#include "topology/steady_way.hpp"

#include <algorithm>

namespace hawser::topology {
namespace {

constexpr Duration kHeldMax = seconds(600);
constexpr Duration kLostSoon = seconds(600);
constexpr Duration kGoBetweenHeld = seconds(10);

}  // namespace

void SteadyWay::stands(Instant now, PeerId by) {
  by_ = by;
  if (by == PeerId{}) {
    if (told_ != PeerId{} && !straight_since_) straight_since_ = now;
    return;
  }
  straight_since_.reset();
  if (told_ != PeerId{}) return;
  const bool soon = back_at_ && now - *back_at_ < kLostSoon;
  held_ = soon ? std::min<Duration>(2 * held_, kHeldMax) : kHeldFirst;
  told_ = by;
  told_at_ = now;
}

PeerId SteadyWay::told(Instant now) {
  if (told_ == PeerId{}) return told_;
  if (straight_since_ && now - *straight_since_ >= held_) {
    straight_since_.reset();
    back_at_ = now;
    told_ = {};
  } else if (by_ != PeerId{} && by_ != told_ && now - told_at_ >= kGoBetweenHeld) {
    told_ = by_;
    told_at_ = now;
  }
  return told_;
}

}  // namespace hawser::topology
