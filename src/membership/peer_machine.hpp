#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/deadlines.hpp"
#include "base/instant.hpp"
#include "base/link_layout.hpp"
#include "base/log_event.hpp"
#include "membership/messages.hpp"
#include "membership/peer_actions.hpp"

namespace hawser {

/// The measures that a plan is made from.
struct PlanBasis {
  std::uint64_t version = 0;
  std::shared_ptr<const Measures> measures;  ///< Null: nothing is known.
};

/// The links that this peer shall have from now on; others are closed.
struct WantLinks {
  struct Wish {
    Member peer;  ///< With the address at which this peer may dial it.
    /// How long to wait for the other side's dial before dialling too; none: it can't be dialled from here.
    std::optional<Duration> dial_after;
    /// A go-between may be asked to reach it. A member asks for no visitor: whoever wants to come in asks itself.
    bool may_ask = true;
  };
  std::vector<Wish> peers;
  std::uint64_t secret = 0;
};
/// A guest learns whom it may ask for state; they hold until the next of these, also while the master is away.
/// Nobody, once this peer is a guest no longer.
struct GroupMembersKnown {
  std::vector<Member> members;
};
/// A member learns which visitors may ask it for state.
struct VisitorsKnown {
  std::vector<Member> visitors;
};
/// A view has started; what was undecided has been aborted before.
struct ViewStarted {
  View view;
  bool calls_go_on = false;  ///< Nothing but relays has gone: what was undone is called again.
  Error cause;               ///< Of the end of the view before.
};
struct OpCommitted {
  OpKey key;
};
struct OpAborted {
  OpKey key;
  Error error;
  /// Nothing but relays has gone: its caller need not hear of it, since the same call can be made at once in this view.
  bool may_begin_again = false;
};
/// To a relay: the members have called this.
struct RelayCalled {
  OpKey key;
  Signature signature;
  PlanBasis basis;
};
/// The connect call has ended; status success if this peer is a member now.
struct ConnectEnded {
  Error error;
};
struct UpdateEnded {
  Error error;
};

using PeerAction = std::variant<DialMaster, CloseMaster, SendMaster, WantLinks, ViewStarted, OpCommitted,
                                OpAborted, RelayCalled, ConnectEnded, UpdateEnded, GroupMembersKnown, VisitorsKnown, DialPeer,
                                LogEvent>;
using PeerActions = std::vector<PeerAction>;

struct PeerBounds {
  Duration connect = seconds(3600);
  Duration master_redial = seconds(60);
  /// So many may serve the run, one at a time. They are dialled in turn.
  std::size_t masters = 1;
  Duration silence = seconds(5);
  /// By which this peer dials the master. A member that the master sees on its own machine is there, too.
  std::string master_host{};
  /// The same at all peers, and at the master.
  LinkLayout links{};
};

/// What has become of a link.
enum class LinkChange {
  up,       ///< Its first connection is established.
  down,     ///< Its last one broke.
  refused,  ///< It is down, and where this peer had dialled the other before nobody listens any more.
};

/// A peer's side of membership as a pure state machine: joining, the view, votes and outcomes.
/// Each call takes an event and appends what follows from it. Not thread-safe.
class PeerMachine {
 public:
  explicit PeerMachine(PeerBounds bounds) : bounds_(bounds) {}

  enum class Phase {
    idle,     ///< Never joined, or joining failed.
    joining,  ///< Dialling, pending or opening links.
    member,
    lost,  ///< Was a member; lost_error() says why not any more.
  };

  // Calls of the application.
  /// With `prefetch`, this peer is a guest until it is admitted, which it is not before prefetch_over.
  void connect(Instant now, Introduction me, bool prefetch, PeerActions& out);
  /// A guest may be admitted from now on. No effect on any other peer, or the second time.
  void prefetch_over(PeerActions& out);
  /// A collective begins in the view in force. Error: too_few_peers, or why this peer is no member.
  /// With a contribution the master is told of that, before it hears of a result; and so it is at once where the plan
  /// has relays in it.
  Result<OpKey> begin(Instant now, std::uint64_t tag, const Signature& signature,
                      const std::optional<Contribution>& given = std::nullopt, bool needs_relays = false);
  /// From what the next collective of this tag is planned.
  const PlanBasis& plan_basis(std::uint64_t tag) const;
  void update_topology(Instant now, PeerActions& out);
  void leave(PeerActions& out);

  // Events of a collective.
  void result_whole(const OpKey& key, PeerActions& out);
  void complain(Complaint complaint, PeerActions& out);
  /// Of a collective that this member has called.
  void give_up(GiveUp message, PeerActions& out);
  /// What this member knows of its links has changed: a row for the view in force.
  void measured(LinkRow row, PeerActions& out);

  // Events of the network and of time.
  /// `ways`: how this peer may be dialled, as it will tell the master.
  void master_up(Instant now, Ways ways, PeerActions& out);
  /// `is_no_master`: something else answers there.
  void master_down(Instant now, const std::string& reason, bool is_no_master, PeerActions& out);
  void master_said(Instant now, const MasterMessage& message, PeerActions& out);
  /// One that is up may go `by` a go-between. `round_trip`: as its handshake has shown; 0: unknown.
  void link_changed(Instant now, PeerId peer, LinkChange change, PeerId by = {}, Duration round_trip = {});
  /// No dial to this peer has come through: both are to be told to dial.
  void link_unreached(PeerId peer, const std::string& why, PeerActions& out);
  /// The link has no straight connection, and this is why the last try failed.
  void straight_failed(Instant now, PeerId peer, const std::string& why);
  /// Members that this one needs a link to though they are not its neighbours, until the next view. Until they are told
  /// anew.
  void need_links(Instant now, const std::set<PeerId>& members, PeerActions& out);
  void tick(Instant now, PeerActions& out);
  std::optional<Instant> next_deadline() const;

  Phase phase() const { return phase_; }
  const Error& lost_error() const { return lost_error_; }
  const View& view() const { return view_; }
  /// Of the first of the views up to this one of which each has lost nothing but relays to the next.
  Epoch calls_since() const { return calls_since_; }
  const World& world() const { return world_; }
  std::uint32_t pending() const { return pending_; }
  PeerId self() const { return me_.id; }
  bool is_relay() const { return me_.is_relay; }
  bool in_update() const { return in_update_; }
  bool has_ops() const { return !ops_.empty(); }
  /// Whether this peer has called the collective, be it under way or over. For keys of the view in force.
  bool has_begun(const OpKey& key) const {
    const auto next = next_sequence_.find(key.tag);
    return next != next_sequence_.end() && key.sequence < next->second;
  }
  /// Why a call that needs membership cannot be made now; status success if it can.
  Error not_a_member() const;

 private:
  struct Op {
    Signature signature;
    std::optional<Contribution> given;
    bool needs_relays = false;
    bool reported = false;
    bool announced = false;  ///< To the master, over this connection.
  };
  enum class MasterLink { down, dialing, up };
  static constexpr Duration kBackoffMin = milliseconds(50);
  static constexpr Duration kBackoffMax = milliseconds(500);
  static constexpr Duration kBackoffMaxOfNewcomer = seconds(2);

  void said(Instant now, const Welcome& message, PeerActions& out);
  void said(Instant now, const Refused& message, PeerActions& out);
  void said(Instant now, const Present& message, PeerActions& out);
  void said(Instant now, const Notice& message, PeerActions& out);
  void said(Instant now, const Standby& message, PeerActions& out);
  void said(Instant now, const ViewHeld& message, PeerActions& out);
  void said(Instant now, const StartView& message, PeerActions& out);
  void said(Instant now, const Committed& message, PeerActions& out);
  void said(Instant now, const RelayCall& message, PeerActions& out);
  void said(Instant now, const UpdateDone& message, PeerActions& out);
  void said(Instant now, const WorldNews& message, PeerActions& out);
  void said(Instant now, const Expelled& message, PeerActions& out);
  void said(Instant now, const Pong& message, PeerActions& out);
  void said(Instant now, const RunStatus& message, PeerActions& out);
  void said(Instant now, const CommandDone& message, PeerActions& out);
  void said(Instant now, const AttestedCollective& message, PeerActions& out);
  void said(Instant now, const GroupMembers& message, PeerActions& out);
  void said(Instant now, const Visitors& message, PeerActions& out);
  void said(Instant now, const Measures& message, PeerActions& out);
  void said(Instant now, const Straggling& message, PeerActions& out);
  void said(Instant now, const DialEachOther& message, PeerActions& out);
  std::vector<Address> addresses_of(const DialEachOther& other) const;
  PlanBasis basis_of(std::uint64_t version) const;
  void begin_basis(std::uint64_t version);

  void tell_master(PeerMessage message, PeerActions& out);
  void announce(const OpKey& key, Op& op, PeerActions& out);
  void dial(Instant now, PeerActions& out);
  void dial_later(Instant now, bool was_good);
  void leave_master(Instant now, const std::string& why, PeerActions& out);
  bool is_superseded(Instant now, std::uint64_t term, PeerActions& out);
  Duration patience_at_standby() const;
  Duration dial_patience() const { return bounds_.silence / (bounds_.masters > 1 ? 4 : 2); }
  void lose(const Error& error, PeerActions& out);
  void want_links(Instant now, PeerActions& out);
  std::vector<Member> links_to_have() const;
  bool has_all_links() const { return bounds_.links.has_all_links(links_among()); }
  std::uint32_t links_among() const;
  Member reachable(const Member& member) const;
  std::optional<Duration> dial_after(const Member& member) const;
  void note_link(Instant now, PeerId peer, LinkChange change);
  void note_links_to(Instant now, const std::vector<Member>& came);
  void note_unreached(Instant now);
  void tell_unreached(PeerActions& out);
  void tell_links(PeerActions& out);
  void tell_all_links(PeerActions& out);
  void lose_sync(Instant now, const std::string& what, PeerActions& out);
  Result<View> view_after(const StartView& message) const;
  bool is_guest() const { return phase_ == Phase::joining && prefetch_; }
  void abort_ops(const Error& cause, bool may_begin_again, PeerActions& out);
  void tell_of_change(const View& before, const Error& cause, PeerActions& out) const;
  Resume resume() const;
  Instant silent_at() const;

  PeerBounds bounds_;
  Phase phase_ = Phase::idle;
  Error lost_error_{Status::success, {}};
  Introduction me_;
  RunId run_;
  View view_;
  Epoch calls_since_;
  World world_;
  std::uint32_t pending_ = 0;
  bool in_update_ = false;
  bool was_over_ = false;           ///< This update-topology was over before: it ends where the others go on.
  bool after_error_ = false;        ///< Nothing was committed since an error.
  std::uint64_t update_round_ = 0;    ///< Update-topology calls of the group that it has behind it,
  std::uint64_t rounds_over_ = 0;     ///< and those that have succeeded: at most one more.
  bool needs_whole_view_ = false;  ///< A change of the view did not fit.
  std::uint64_t secret_ = 0;  ///< Of the established links.
  std::optional<Instant> connect_by_;

  bool prefetch_ = false;
  bool prefetch_over_ = false;
  std::vector<Member> group_members_;     ///< Before it is a member: the members of its group.
  std::uint64_t group_secret_ = 0;
  std::vector<Member> visitors_;  ///< Those that are to be admitted to its group, this peer perhaps among them.

  MasterLink master_ = MasterLink::down;
  bool welcomed_ = false;  ///< By the master, over this connection.
  bool tells_links_ = false;  ///< The master has asked for them, or will look at them anyway.
  bool is_known_ = false;  ///< The master has answered since this peer called connect.
  Ways ways_;              ///< Of this peer, while there is a connection to the master.
  std::string seen_host_;  ///< Where the master sees it.
  int unanswered_ = 0;     ///< Connections in a row over which it said nothing.
  Instant heard_at_{};
  Instant ping_at_{};
  std::optional<Instant> redial_at_;
  Instant dialed_at_{};
  std::optional<Instant> down_since_;
  Duration backoff_{};
  std::string down_reason_;
  std::size_t master_at_ = 0;      ///< In the list: the one that is dialled.
  std::size_t missed_in_row_ = 0;  ///< Masters that were dialled, one after the other, and served nothing.
  std::size_t no_masters_ = 0;     ///< Of these, those where something else answered.
  std::optional<Instant> stay_until_;  ///< With a master that stands by and waits for others.
  std::uint64_t term_ = 0;         ///< The highest of a master that was accepted.
  std::vector<Quorum> quorums_;    ///< Of the view, until all members are known to have started it.

  std::set<PeerId> needed_;    ///< As need_links has it.
  std::set<PeerId> wanted_;    ///< Whom this peer keeps links to.
  bool had_all_links_ = true;  ///< When that was last determined.
  std::set<PeerId> fresh_;     ///< Links that began with a view, and have not stood yet.
  std::set<PeerId> links_up_;
  std::map<PeerId, PeerId> detours_;  ///< Of these: by which go-between.
  std::map<PeerId, std::uint32_t> delays_us_;  ///< Of these: one way.
  void add_up(Linked& linked, PeerId peer) const;
  std::set<PeerId> refused_;  ///< Since their links were last up.
  std::map<PeerId, LinkChange> link_news_;  ///< That the master has not been told.
  std::optional<Instant> tell_links_at_;
  std::map<PeerId, Unreached::Way> unreached_;  ///< Peers without a straight way, and why.
  std::optional<Instant> tell_unreached_at_;
  Unreached unreached_told_;  ///< To the master,
  bool unreached_is_stale_ = false;  ///< over an earlier connection.

  bool is_fresh_ = false;  ///< It has called nothing since it came in.
  std::map<OpKey, Op> ops_;
  Deadlines<OpKey> unannounced_;  ///< Those that the master shall hear of if they last.
  std::unordered_map<std::uint64_t, std::uint64_t> next_sequence_;
  std::deque<OpKey> committed_;
  std::deque<ViewId> started_;  ///< Views, the latest ones.

  std::map<std::uint64_t, std::shared_ptr<const Measures>> measures_;  ///< The latest, by version.
  PlanBasis basis_;                                                    ///< Of tags that have none of their own.
  std::unordered_map<std::uint64_t, PlanBasis> basis_of_tag_;
  std::shared_ptr<const Measures> coming_;  ///< Of a view that has not started here.
};

}  // namespace hawser
