#include "membership/lease.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"

namespace hawser {
namespace {

/// A renewal without an answer: the driver takes another endpoint.
constexpr Duration kRenewAgain = milliseconds(50);
/// Whoever watches is told early that the service is away, and then now and then.
constexpr Duration kTellFailingAfter = seconds(2);
constexpr Duration kTellFailingEvery = seconds(10);
/// After a range of revisions that no term has: nothing mends that by itself.
constexpr Duration kOutOfRange = seconds(10);

}  // namespace

/// Counted from the sending: the service has received it later.
Instant LeaseMachine::safe_until(Instant sent, Duration ttl, Instant now) const {
  return (planted(PlantedFault::late_lease) ? now : sent) + ttl - bounds_.margin;
}

std::optional<Instant> LeaseMachine::next_deadline() const {
  std::optional<Instant> due;
  if (held_) due = held_->until;
  if (asked_) return earlier(due, asked_->at + bounds_.answer);
  return earlier(due, held_ ? held_->renew_at : next_at_);
}

std::optional<std::uint64_t> LeaseMachine::to_revoke() const {
  if (held_) return held_->id;
  if (granted_) return granted_->id;
  return stale_;
}

void LeaseMachine::tick(Instant now, LeaseActions& out) {
  if (held_ && now >= held_->until)
    lose(now,
         "it could not renew its lease in time" + (failing_.empty() ? ", or stood still" : ": " + failing_), out);
  if (asked_ && now >= asked_->at + bounds_.answer)
    failed(now, std::exchange(asked_, std::nullopt)->kind, "the service that gives the lease has not answered", out);
  if (asked_) return;
  if (held_) {
    if (now >= held_->renew_at) ask(now, LeaseRequest::Kind::renew, held_->id, out);
    return;
  }
  if (now < next_at_) return;
  if (stale_) return ask(now, LeaseRequest::Kind::revoke, *stale_, out);
  ask(now, LeaseRequest::Kind::look, 0, out);
}

void LeaseMachine::ask(Instant now, LeaseRequest::Kind kind, std::uint64_t id, LeaseActions& out) {
  asked_ = {.kind = kind, .number = ++requests_, .at = now};
  out.emplace_back(
      LeaseRequest{.kind = kind, .number = requests_, .id = id, .ttl = bounds_.ttl, .bound = bounds_.answer});
}

void LeaseMachine::answered(Instant now, const LeaseAnswer& answer, LeaseActions& out) {
  // What was due by then happens first: an answer does not bring back what is over.
  tick(now, out);
  if (!asked_ || asked_->number != answer.number) return;
  const Asked asked = *std::exchange(asked_, std::nullopt);
  if (!answer.is_answered) return failed(now, asked.kind, answer.failure, out);
  answers(out);
  switch (asked.kind) {
    case LeaseRequest::Kind::look: looked(now, answer, out); break;
    case LeaseRequest::Kind::grant: granted(now, asked.at, answer, out); break;
    case LeaseRequest::Kind::take: took(now, answer, out); break;
    case LeaseRequest::Kind::renew: renewed(now, asked.at, answer, out); break;
    case LeaseRequest::Kind::revoke:
      stale_.reset();
      tick(now, out);
      break;
  }
}

void LeaseMachine::failed(Instant now, LeaseRequest::Kind kind, const std::string& why, LeaseActions& out) {
  if (!failing_since_) {
    failing_since_ = now;
    tell_failing_at_ = now + kTellFailingAfter;
  }
  failing_ = why;
  if (now >= tell_failing_at_) {
    tell_failing_at_ = now + kTellFailingEvery;
    out.emplace_back(LogEvent{LogLevel::warning, "lease-service-missed",
                              "this master has not reached the service that gives the lease for " +
                                  std::to_string(whole_milliseconds(now - *failing_since_) / 1000) +
                                  " s, asking on: " + why});
    is_told_failing_ = true;
  }
  if (kind == LeaseRequest::Kind::renew && held_) {
    held_->renew_at = now + kRenewAgain;
    return;
  }
  // Perhaps it was taken all the same.
  if (granted_) stale_ = std::exchange(granted_, std::nullopt)->id;
  next_at_ = now + (hurries_ ? bounds_.look_soon : bounds_.look);
  see(0, "this master does not reach the service that gives the lease: " + why, out);
}

void LeaseMachine::answers(LeaseActions& out) {
  failing_since_.reset();
  failing_.clear();
  if (std::exchange(is_told_failing_, false))
    out.emplace_back(
        LogEvent{LogLevel::notice, "lease-service-back", "the service that gives the lease answers again"});
}

void LeaseMachine::looked(Instant now, const LeaseAnswer& answer, LeaseActions& out) {
  if (answer.holder) {
    next_at_ = now + (hurries_ ? bounds_.look_soon : bounds_.look);
    return see(answer.holder->revision, answer.holder->name + " holds the lease", out);
  }
  if (now < takes_from_) {
    next_at_ = std::min(now + bounds_.look, takes_from_);
    return see(0, "nobody holds the lease, and this master has given it up a moment ago", out);
  }
  if (for_members_only_ && !hurries_) {
    next_at_ = now + bounds_.look;
    return see(0, "nobody holds the lease; this master, which begins no run, takes it when members come", out);
  }
  ask(now, LeaseRequest::Kind::grant, 0, out);
}

void LeaseMachine::granted(Instant now, Instant asked_at, const LeaseAnswer& answer, LeaseActions& out) {
  granted_ = Held{.id = answer.id,
                  .ttl = answer.ttl,
                  .until = safe_until(asked_at, answer.ttl, now),
                  .renew_at = asked_at + answer.ttl / 5};
  ask(now, LeaseRequest::Kind::take, answer.id, out);
}

void LeaseMachine::took(Instant now, const LeaseAnswer& answer, LeaseActions& out) {
  const Held granted = *std::exchange(granted_, std::nullopt);
  const bool is_ours = answer.holder && answer.holder->id == granted.id;
  if (is_ours && answer.holder->revision <= limits::kTermMax && now < granted.until && now >= takes_from_) {
    held_ = granted;
    held_->revision = answer.holder->revision;
    out.emplace_back(LeaseTaken{held_->revision});
    see(held_->revision, "this master holds the lease", out);
    return tick(now, out);
  }
  stale_ = granted.id;
  next_at_ = now;
  if (is_ours && answer.holder->revision > limits::kTermMax) {
    takes_from_ = now + kOutOfRange;
    const std::string why = "the revision of the lease is " + std::to_string(answer.holder->revision) +
                            ", and terms of masters end at " + std::to_string(limits::kTermMax) +
                            ": use an etcd of its own for the run, which has counted fewer changes";
    out.emplace_back(LogEvent{LogLevel::error, "lease-out-of-range", why});
    see(0, why, out);
  } else if (answer.holder && !is_ours) {
    see(answer.holder->revision, answer.holder->name + " holds the lease", out);
  }
  tick(now, out);
}

void LeaseMachine::renewed(Instant now, Instant asked_at, const LeaseAnswer& answer, LeaseActions& out) {
  if (!held_) return;
  if (answer.ttl <= Duration::zero()) return lose(now, "its lease has ended at the service that gives it", out);
  held_->ttl = answer.ttl;
  held_->until = std::max(held_->until, safe_until(asked_at, answer.ttl, now));
  held_->renew_at = asked_at + answer.ttl / 5;
  tick(now, out);
}

void LeaseMachine::lose(Instant now, const std::string& why, LeaseActions& out) {
  stale_ = std::exchange(held_, std::nullopt)->id;
  // A renewal that is under way would be one of what is lost.
  asked_.reset();
  next_at_ = now;
  see(0, "this master has lost the lease: " + why, out);
  out.emplace_back(LeaseLost{why});
}

void LeaseMachine::give_up(Instant now, LeaseActions& out) {
  takes_from_ = now + bounds_.rest;
  if (!held_) return;
  stale_ = std::exchange(held_, std::nullopt)->id;
  asked_.reset();
  next_at_ = now;
  see(0, "this master has given up the lease", out);
  tick(now, out);
}

void LeaseMachine::see(std::uint64_t revision, std::string words, LeaseActions& out) {
  if (seen_ && seen_->revision == revision && seen_->words == words) return;
  seen_ = LeaseSeen{.revision = revision, .words = std::move(words)};
  out.emplace_back(*seen_);
}

}  // namespace hawser
