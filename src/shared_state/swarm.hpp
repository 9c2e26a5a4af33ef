#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "base/instant.hpp"

/// Who asks whom for which slice (after Cohen, "Incentives build robustness in BitTorrent", 2003). A member
/// that lacks slices asks all members that have them at once, a few slices at a time each, so that a slow one
/// carries less. What the receivers hold they say to each other and serve, so holders send little more than
/// one copy whatever the number of receivers:
///
/// 1. *Own share.* The missing slices of a part are dealt out among its receivers by slice number. From a
///    holder a receiver asks those of its own share first, firmly, in ascending order; where there are
///    several holders, each slice has one of them that is asked first.
/// 2. *From receivers* it asks whatever they have said to have, the rarest (fewest known owners) first; among
///    equally rare ones in an order of its own, so that not all ask for the same one.
/// 3. *Stealing.* When its own share has come from a holder, it asks softly for slices of others' shares that
///    no receiver has yet, from the far end. A holder declines a soft wish for a slice that it has sent to,
///    or has queued for, somebody else: that one will spread it. After that it asks for those of its own
///    share that only wait for a busy receiver.
/// 4. *Late slices.* A slice that was asked for and did not come within a patience is asked for, firmly, of
///    another owner too. What comes first counts; the other wish is taken back. A holder of whom nothing was
///    to be asked for a patience is asked, firmly, for all that nobody is asked for: what it declined and
///    nobody has got meanwhile, and what waits for a busy receiver.
///
/// Pure: numbers in, wishes out. Peers are numbers below `peers` (ranks, for members of a view). Slices are
/// numbered through all parts. What a peer says is checked; false: no correct peer says that.
namespace hawser {

/// A range of slices that the same receivers lack: one tensor.
struct SwarmPart {
  std::uint64_t slices = 0;
  std::vector<std::uint32_t> holders;    ///< Have all of it from the start, ascending.
  std::vector<std::uint32_t> receivers;  ///< Want it, ascending; disjoint from the holders.
};

/// Something for another peer to know.
struct SwarmMessage {
  enum class Kind : std::uint8_t {
    want,     ///< Send me `slice`.
    wish,     ///< Send me `slice`, unless somebody else has it from you (soft).
    unwant,   ///< I have `slice` from elsewhere; don't send it if you haven't begun.
    decline,  ///< I don't send you `slice`: somebody else has it from me, and will spread it.
    have,     ///< I have `count` slices from `slice` on, and serve them.
  };
  Kind kind = Kind::want;
  std::uint32_t to = 0;
  std::uint64_t slice = 0;
  std::uint64_t count = 1;
  friend bool operator==(const SwarmMessage&, const SwarmMessage&) = default;
};

struct SwarmLimits {
  /// Slices that may be asked of one peer and not yet come: begins at the first, and follows the rate at
  /// which they come so that about `ahead` of work is outstanding, up to the last.
  std::uint32_t asked_first = 4;
  std::uint32_t asked_most = 32;
  Duration ahead = milliseconds(250);
  /// A slice is late after this, or after 4 times what slices took lately (the peer's, or everybody's if they
  /// are quicker), if that is longer. A peer with a late slice gets a rest, until something comes from it.
  Duration patience = milliseconds(1000);
  /// What one peer may have asked for and not yet got: more is a protocol error.
  std::uint32_t wanted_most = 256;
  /// Ranges of slices that are told to a peer when it becomes ready; the rest it never hears of.
  std::uint32_t ranges_announced = 1024;
};

/// Where slices wait on the host until a device has them: about 32 are on their way, from `peers` together.
SwarmLimits limits_on_device(std::size_t peers);

class Swarm {
 public:
  /// `has`: of this peer, a flag for each slice; slices of parts in whose receivers it is not are not looked
  /// at: it has them all as a holder, else none and wants none.
  Swarm(std::uint32_t self, std::uint32_t peers, std::vector<SwarmPart> parts, std::vector<bool> has,
        SwarmLimits limits = {});

  std::uint64_t slices() const;
  /// Nothing is missing that somebody could still bring; see given_up().
  bool complete() const;
  bool has(std::uint64_t slice) const;
  /// Slices that came damaged from everybody who has them.
  const std::vector<std::uint64_t>& given_up() const;

  /// The peer takes messages and serves from now on. Before that nothing is said to it or asked of it. Tells it
  /// what this one has that it may lack, if this one is a receiver (holders' slices are known to all).
  void peer_ready(Instant now, std::uint32_t peer, std::vector<SwarmMessage>& out);
  /// It serves no more: what was asked of it is asked of others, what it had is forgotten, holder or not.
  /// Looks at all slices once. That its copies were damaged is remembered.
  void peer_gone(Instant now, std::uint32_t peer, std::vector<SwarmMessage>& out);

  /// "have" from a peer. False for slices that are not there, or an empty range.
  bool have_came(Instant now, std::uint32_t from, std::uint64_t slice, std::uint64_t count,
                 std::vector<SwarmMessage>& out);
  bool decline_came(Instant now, std::uint32_t from, std::uint64_t slice, std::vector<SwarmMessage>& out);

  enum class Answer {
    send,        ///< Queue the slice for that peer.
    nothing,     ///< Nothing: it is queued for it already, or a decline went out.
    impossible,  ///< No correct peer asks that.
  };
  /// "want" or "wish" from a peer.
  Answer want_came(std::uint32_t from, std::uint64_t slice, bool soft, std::vector<SwarmMessage>& out);
  /// "unwant": true if a queued slice shall be taken out of the queue, if it is still there.
  bool unwant_came(std::uint32_t from, std::uint64_t slice);
  /// A slice that was queued by want_came is there (acknowledged).
  void served(std::uint32_t to, std::uint64_t slice);

  enum class Arrival {
    expected,    ///< Take it, check it, then slice_came() or slice_bad().
    repeated,    ///< It was asked for, and since came from elsewhere or was taken back: read and forget.
    impossible,  ///< It was never asked of that peer.
  };
  Arrival judge(std::uint32_t from, std::uint64_t slice) const;
  /// It is whole and its digest right. Harmless if it came from elsewhere since it was judged.
  void slice_came(Instant now, std::uint32_t from, std::uint64_t slice, std::vector<SwarmMessage>& out);
  /// Its digest is wrong: it will not be asked of that peer again.
  void slice_bad(Instant now, std::uint32_t from, std::uint64_t slice, std::vector<SwarmMessage>& out);

  /// Peers of whom something is asked that has not come, and not ready ones that have what is missing. If
  /// there are none, the receivers from which it may come.
  std::vector<std::uint32_t> waiting_for() const;
  std::optional<Instant> next_deadline() const;
  void tick(Instant now, std::vector<SwarmMessage>& out);

 private:
  enum class State : std::uint8_t { absent, missing, here, given_up };
  struct Slice {
    std::uint32_t part = 0;
    std::uint16_t owners = 0;  ///< That have announced it, where it is missing; holders not counted.
    std::uint16_t asked = 0;   ///< Peers of whom it is asked.
    State state = State::absent;
    bool pending = false;  ///< One of them is not late with it.
  };
  struct Part {
    SwarmPart who;                       ///< Without holders that are gone.
    std::optional<std::uint32_t> place;  ///< Of this one among the receivers.
    std::uint64_t missing = 0;
  };
  /// A bit for each slice; takes no memory before the first is set.
  class Marks {
   public:
    bool at(std::uint64_t slice) const { return slice < bits_.size() && bits_[slice]; }
    void set(std::uint64_t slice, std::uint64_t slices) {
      if (bits_.empty()) bits_.resize(slices);
      bits_[slice] = true;
    }

   private:
    std::vector<bool> bits_;
  };
  /// Slices by rank_of(), lowest first. Ranks grow while they lie here: they are looked at again at the top.
  using Ranked = std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>>;
  /// How far a holder's slices have been gone through, once for each phase. What was passed and is free again
  /// later is offered() instead.
  struct Sweep {
    enum Phase : std::uint8_t { own_here_first, own, steal, own_that_others_have, lost, any, done };
    Phase phase = own_here_first;
    std::uint64_t passed = 0;
    bool idle_long = false;  ///< The last phases may begin.
  };
  struct Asked {
    std::uint64_t slice = 0;
    Instant at{};
    bool soft = false;
    bool late = false;
  };
  struct Peer {
    bool ready = false;

    std::vector<Asked> asked;  ///< The oldest first.
    std::uint32_t window = 0;
    std::optional<Duration> took;  ///< What slices took lately, from asking to coming: quick to grow.
    Duration quickest{};
    Duration gap{};  ///< Between two slices, while something was asked.
    Instant came_at{};
    Instant active_at{};  ///< It was asked or answered last.
    std::uint32_t strikes = 0;
    std::optional<Instant> rests_until;

    Ranked announced;
    Ranked offered;  ///< Late, damaged or lost elsewhere.
    Sweep sweep;

    Marks has;         ///< It has announced, while the slice was missing here.
    Marks ever_asked;  ///< Of it.
    Marks given;       ///< It has asked for, and got or will get.
    std::vector<std::uint64_t> queued;
  };
  struct Choice {
    std::uint64_t slice = 0;
    bool soft = false;
  };

  bool holds(std::uint32_t peer, const Part& part) const;
  bool owns(std::uint32_t peer, std::uint64_t slice) const;
  bool lacks(std::uint64_t slice) const;
  bool is_bad(std::uint32_t peer, std::uint64_t slice) const;
  bool is_asked(std::uint32_t peer, std::uint64_t slice) const;
  Peer& other(std::uint32_t peer);
  void set_state(std::uint64_t slice, State state);
  void settle_given_up(std::uint64_t slice);
  void prune_given_up();
  void begin_sweeps();
  std::optional<Asked> forget_asked(std::uint32_t peer, std::uint64_t slice);
  void arrived(Instant now, std::uint32_t from, std::uint64_t slice);
  Duration late_after(const Peer& peer) const;
  bool awaits_idleness(const Peer& peer) const;
  bool mark_late(Instant now, Peer& peer, std::vector<std::uint64_t>& late);

  std::uint64_t rank_of(std::uint64_t slice) const;
  bool may_ask(std::uint32_t peer, std::uint64_t slice) const;
  bool belongs(Sweep::Phase phase, std::uint32_t peer, std::uint64_t slice) const;
  std::uint64_t swept(const Sweep& sweep) const;
  std::optional<std::uint64_t> take(std::uint32_t peer, Ranked& ranked);
  std::optional<Choice> go_on(std::uint32_t peer, Sweep::Phase before);
  std::optional<Choice> choose(std::uint32_t peer);
  void ask(Instant now, std::uint32_t peer, std::vector<SwarmMessage>& out);
  void ask_all(Instant now, std::vector<SwarmMessage>& out);
  void offer(std::uint64_t slice);

  std::uint32_t self_;
  SwarmLimits limits_;
  std::vector<Part> parts_;
  std::vector<Slice> slices_;
  std::vector<Peer> peers_;
  std::uint64_t missing_ = 0;
  std::vector<std::uint64_t> given_up_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> bad_;  ///< Slices and the peers they came damaged from.
  Duration typical_{};                                     ///< What slices took lately, whoever sent them.
};

}  // namespace hawser
