#pragma once

#include <cstdint>
#include <optional>

#include "base/instant.hpp"

namespace hawser {

/// Which side of a link dials. Between two peers it may be that one can't be dialled (behind a NAT, a firewall, a wrong
/// address), so both are ready to: each waits for a while of its own, then dials the first connection, and whose dial comes
/// through first dials all others and redials broken ones. If the link breaks altogether, both are free to dial again.
///
/// Where two dials meet, the one of the smaller id goes first: while its greeting is on its way it leaves the other's
/// unanswered, and the other drops its own when it takes that greeting. A greeting that gets no answer goes first for a
/// bounded time only: what accepts it may be a stranger behind a wrong address.
///
/// Events and getters; a pure state machine, of one side of one link.
class LinkSides {
 public:
  enum class Dialler { undecided, ours, theirs };
  enum class Verdict {
    accept,  ///< Take it; what this side was dialling is to be given up, and what it had dialled closed.
    hold,    ///< Neither yes nor no: ask again at next_look(), or when an attempt of this side has ended.
  };

  /// The link is kept from now on. `dial_after`: none, where the other side can't be dialled from here.
  void begin(Instant now, bool is_smaller, std::optional<Duration> dial_after);

  /// When this side shall begin to dial the first connection; none while it need not, or does already.
  std::optional<Instant> dial_at() const;
  /// When a held greeting is to be judged again at the latest; none if time changes nothing.
  std::optional<Instant> next_look(Instant now) const;
  Dialler dialler() const { return dialler_; }
  /// This side has got through to the other before: if it is refused there now, nobody listens any more.
  bool has_got_through() const { return has_got_through_; }

  // What happens.
  void dialling() { is_dialling_ = true; }
  /// The greeting of the first connection is on its way.
  void greeted(Instant now) { greeted_at_ = now; }
  void attempt_ended() { greeted_at_.reset(); }
  /// The other side's greeting has come.
  Verdict judge(Instant now) const;
  /// A connection that this side dialled, or that it accepted, is established.
  /// `is_through`: by a go-between, which says nothing of what the other side's address does.
  void ours_established(Instant now, bool is_through = false);
  void theirs_established(Instant now);
  /// The link stays on this machine: whoever is refused there is refused for want of a process, and learns it soonest by
  /// dialling.
  void is_near() { is_near_ = has_got_through_ = true; }
  /// The last connection broke.
  void all_down(Instant now);

 private:
  bool is_smaller_ = false;
  std::optional<Duration> dial_after_;
  Dialler dialler_ = Dialler::undecided;
  bool is_dialling_ = false;
  bool is_up_ = false;
  bool has_got_through_ = false;
  bool is_near_ = false;
  Instant free_since_{};  ///< Both may dial: since the beginning, or the break.
  Instant stood_at_{};
  std::optional<Instant> greeted_at_;
};

}  // namespace hawser
