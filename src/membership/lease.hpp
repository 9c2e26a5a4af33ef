#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/instant.hpp"
#include "base/log_event.hpp"

namespace hawser {

struct LeaseBounds {
  /// As it is asked for; the service may give more. After so long without a renewal the service gives it to another.
  Duration ttl = seconds(2);
  /// So much earlier its holder gives up by itself: for clocks that run differently, and for words on their way.
  Duration margin = milliseconds(300);
  /// Of one request, after which its answer does not count.
  Duration answer = milliseconds(650);
  /// Between two looks at a lease that another one holds; and while members wait here for one.
  Duration look = milliseconds(250);
  Duration look_soon = milliseconds(100);
  /// After it was given up, or could not be used.
  Duration rest = seconds(3);
};

/// One request to the service that gives the lease. At most one is under way.
struct LeaseRequest {
  enum class Kind {
    look,    ///< Who holds it?
    grant,   ///< A time to live of its own,
    take,    ///< and the lease for that time, if nobody holds it.
    renew,
    revoke,  ///< The time to live ends at once, and with it the lease, if that was taken.
  };
  Kind kind = Kind::look;
  std::uint64_t number = 0;  ///< To be told with the answer.
  std::uint64_t id = 0;      ///< Of the time to live; for take, renew and revoke.
  Duration ttl{};            ///< For grant.
  Duration bound{};          ///< After which the answer is not waited for.
};
/// What the service says.
struct LeaseHolder {
  std::uint64_t revision = 0;  ///< Higher for each that takes the lease.
  std::uint64_t id = 0;
  std::string name;  ///< For people.
};
struct LeaseAnswer {
  std::uint64_t number = 0;
  /// Not: nobody knows whether it was done.
  bool is_answered = false;
  std::string failure{};  ///< If not: why, in a sentence that names the endpoint.
  std::uint64_t id = 0;   ///< Of a grant.
  Duration ttl{};         ///< Of grant and renew. 0: it has ended.
  std::optional<LeaseHolder> holder{};  ///< Of look and take: afterwards.
};

/// The lease is held: whoever serves by it has this term.
struct LeaseTaken {
  std::uint64_t term = 0;
};
/// It is held no longer, or not for certain. Before another one can have it.
struct LeaseLost {
  std::string why;
};
/// Who has it, as far as is known, for people; told when it changes.
struct LeaseSeen {
  std::uint64_t revision = 0;  ///< 0: nobody, or it is not known.
  std::string words;
};
using LeaseAction = std::variant<LeaseRequest, LeaseTaken, LeaseLost, LeaseSeen, LogEvent>;
using LeaseActions = std::vector<LeaseAction>;

/// Decides when a master holds the lease of its run, as a pure state machine.
///
/// A lease is a key at a service that all masters reach (etcd). The key is created by the first that finds none, and is
/// bound to a time to live, which its holder renews. The revision that created it fences: each holder has a higher one
/// than all before, and members hear the highest only.
///
/// Why no two hold it at one time: the service counts the time to live from when it has received a grant or a renewal.
/// The holder counts it from when it has sent that, which was before, and less a margin. So it gives up first, unless
/// its clock loses more than the margin. What it does not know counts as if it were bad: an answer that comes too late
/// renews nothing, and a take without an answer is revoked.
///
/// `now` of all calls is one clock, which also counts while the machine sleeps. Not thread-safe.
class LeaseMachine {
 public:
  /// `for_members_only`: of a master that begins no run. It takes the lease only while members wait for it.
  LeaseMachine(LeaseBounds bounds, Instant now, bool for_members_only = false)
      : bounds_(bounds), for_members_only_(for_members_only), next_at_(now) {}

  /// Looks at the clock: whatever has become due.
  void tick(Instant now, LeaseActions& out);
  void answered(Instant now, const LeaseAnswer& answer, LeaseActions& out);
  /// Others may have it at once; this one does not take it for a while. LeaseLost does not follow.
  void give_up(Instant now, LeaseActions& out);
  /// Members wait here for a master, or do not: while they do it looks more often.
  void hurry(bool members_wait) { hurries_ = members_wait; }

  /// To be asked before each word to a member.
  bool is_held(Instant now) const { return held_ && now < held_->until; }
  /// When to tick at the latest.
  std::optional<Instant> next_deadline() const;
  /// The time to live that the holder must end when it stops for good; none: it holds nothing.
  std::optional<std::uint64_t> to_revoke() const;

 private:
  struct Asked {
    LeaseRequest::Kind kind;
    std::uint64_t number;
    Instant at;
  };
  struct Held {
    std::uint64_t id = 0;
    std::uint64_t revision = 0;
    Duration ttl{};
    Instant until;
    Instant renew_at;
  };
  void ask(Instant now, LeaseRequest::Kind kind, std::uint64_t id, LeaseActions& out);
  void failed(Instant now, LeaseRequest::Kind kind, const std::string& why, LeaseActions& out);
  void answers(LeaseActions& out);
  void looked(Instant now, const LeaseAnswer& answer, LeaseActions& out);
  void granted(Instant now, Instant asked_at, const LeaseAnswer& answer, LeaseActions& out);
  void took(Instant now, const LeaseAnswer& answer, LeaseActions& out);
  void renewed(Instant now, Instant asked_at, const LeaseAnswer& answer, LeaseActions& out);
  void lose(Instant now, const std::string& why, LeaseActions& out);
  void see(std::uint64_t revision, std::string words, LeaseActions& out);
  Instant safe_until(Instant sent, Duration ttl, Instant now) const;

  LeaseBounds bounds_;
  bool for_members_only_;
  std::uint64_t requests_ = 0;
  std::optional<Asked> asked_;
  Instant next_at_;        ///< Of the next request, while it holds nothing.
  Instant takes_from_{};   ///< Before that it takes nothing.
  bool hurries_ = false;
  std::optional<Held> held_;
  /// Granted, and not taken yet; until when that would be safe.
  std::optional<Held> granted_;
  std::optional<std::uint64_t> stale_;  ///< To be revoked before anything else: it may hold the lease.
  std::optional<LeaseSeen> seen_;
  // Since when the service has not answered, and why.
  std::optional<Instant> failing_since_;
  Instant tell_failing_at_{};
  bool is_told_failing_ = false;
  std::string failing_;
};

}  // namespace hawser
