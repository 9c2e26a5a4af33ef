#include "links/link_sides.hpp"

#include "base/planted_fault.hpp"

namespace hawser {
namespace {

/// So long goes a greeting of the smaller id first.
constexpr Duration kGreetingGoesFirst = seconds(1);
/// A greeting that comes so long after this side's own connection stood has not crossed it: the other side has lost it.
constexpr Duration kMayHaveCrossed = seconds(2);
/// Whoever dialled a link before redials it first.
constexpr Duration kFormerDiallerFirst = seconds(1);
constexpr Duration kNearDiallerFirst = milliseconds(40);

}  // namespace

void LinkSides::begin(Instant now, bool is_smaller, std::optional<Duration> dial_after) {
  is_smaller_ = is_smaller;
  dial_after_ = dial_after;
  free_since_ = now;
}

std::optional<Instant> LinkSides::dial_at() const {
  if (is_up_ || is_dialling_ || !dial_after_) return std::nullopt;
  if (planted(PlantedFault::nobody_dials) && dialler_ != Dialler::undecided) return std::nullopt;
  if (dialler_ != Dialler::theirs) return free_since_ + *dial_after_;
  return free_since_ + (is_near_ ? kNearDiallerFirst : kFormerDiallerFirst);
}

std::optional<Instant> LinkSides::next_look(Instant now) const {
  if (judge(now) == Verdict::accept) return std::nullopt;
  return is_up_ ? stood_at_ + kMayHaveCrossed : *greeted_at_ + kGreetingGoesFirst;
}

LinkSides::Verdict LinkSides::judge(Instant now) const {
  if (dialler_ == Dialler::theirs) return Verdict::accept;
  if (is_up_) return now < stood_at_ + kMayHaveCrossed ? Verdict::hold : Verdict::accept;
  const bool goes_first = greeted_at_ && is_smaller_ && now < *greeted_at_ + kGreetingGoesFirst;
  return goes_first ? Verdict::hold : Verdict::accept;
}

void LinkSides::ours_established(Instant now, bool is_through) {
  dialler_ = Dialler::ours;
  if (!is_up_) stood_at_ = now;
  is_up_ = true;
  is_dialling_ = true;
  has_got_through_ = has_got_through_ || !is_through;
  greeted_at_.reset();
}

void LinkSides::theirs_established(Instant now) {
  dialler_ = Dialler::theirs;
  if (!is_up_) stood_at_ = now;
  is_up_ = true;
  is_dialling_ = false;
  greeted_at_.reset();
}

void LinkSides::all_down(Instant now) {
  if (!is_up_) return;
  is_up_ = false;
  free_since_ = now;
}

}  // namespace hawser
