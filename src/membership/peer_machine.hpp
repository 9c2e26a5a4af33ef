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

#include "base/instant.hpp"
#include "base/log_event.hpp"
#include "membership/messages.hpp"
#include "membership/peer_actions.hpp"

namespace hawser {

/// The links that this peer shall have from now on; others are closed.
struct WantLinks {
  struct Wish {
    Member peer;
    bool dial = false;  ///< The one with the smaller id dials: the same in every view.
  };
  std::vector<Wish> peers;
  std::uint64_t secret = 0;
};
/// A guest learns whom it may ask for state; they hold until the next of these, also while the master is away.
/// Nobody, once this peer is a guest no longer.
struct HostsKnown {
  std::vector<Member> members;
};
/// A member learns which guests may ask it for state.
struct GuestsKnown {
  std::vector<Member> guests;
};
/// A view has started; what was undecided has been aborted before.
struct ViewStarted {
  View view;
};
struct OpCommitted {
  OpKey key;
};
struct OpAborted {
  OpKey key;
  Error error;
};
/// The connect call has ended; status success if this peer is a member now.
struct ConnectEnded {
  Error error;
};
struct UpdateEnded {
  Error error;
};

using PeerAction = std::variant<DialMaster, CloseMaster, SendMaster, WantLinks, ViewStarted, OpCommitted,
                                OpAborted, ConnectEnded, UpdateEnded, HostsKnown, GuestsKnown, LogEvent>;
using PeerActions = std::vector<PeerAction>;

struct PeerBounds {
  Duration connect = seconds(3600);
  Duration master_redial = seconds(60);
  Duration silence = seconds(5);
  Duration link_open = seconds(8);
};

/// The measures that a plan is made from.
struct PlanBasis {
  std::uint64_t version = 0;
  std::shared_ptr<const Measures> measures;  ///< Null: nothing is known.
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
  Result<OpKey> begin(Instant now, std::uint64_t tag, const Signature& signature);
  /// From what the next collective of this tag is planned.
  const PlanBasis& plan_basis(std::uint64_t tag) const;
  void update_topology(Instant now, PeerActions& out);
  void leave(PeerActions& out);

  // Events of a collective.
  void result_whole(const OpKey& key, PeerActions& out);
  void complain(Complaint complaint, PeerActions& out);
  /// What this member knows of its links has changed: a row for the view in force.
  void measured(LinkRow row, PeerActions& out);

  // Events of the network and of time.
  void master_up(Instant now, PeerActions& out);
  void master_down(Instant now, const std::string& reason, PeerActions& out);
  void master_said(Instant now, const MasterMessage& message, PeerActions& out);
  void link_changed(PeerId peer, bool up, PeerActions& out);
  void tick(Instant now, PeerActions& out);
  std::optional<Instant> next_deadline() const;

  Phase phase() const { return phase_; }
  const Error& lost_error() const { return lost_error_; }
  const View& view() const { return view_; }
  const World& world() const { return world_; }
  std::uint32_t pending() const { return pending_; }
  PeerId self() const { return me_.id; }
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
    Instant tell_at;  ///< When the master shall hear of it if it lasts.
    bool told = false;
    bool reported = false;
  };
  enum class MasterLink { down, dialing, up };

  void said(Instant now, const Welcome& message, PeerActions& out);
  void said(Instant now, const Refused& message, PeerActions& out);
  void said(Instant now, const Prepare& message, PeerActions& out);
  void said(Instant now, const StartView& message, PeerActions& out);
  void said(Instant now, const Committed& message, PeerActions& out);
  void said(Instant now, const UpdateDone& message, PeerActions& out);
  void said(Instant now, const WorldNews& message, PeerActions& out);
  void said(Instant now, const Expelled& message, PeerActions& out);
  void said(Instant now, const Pong& message, PeerActions& out);
  void said(Instant now, const RunStatus& message, PeerActions& out);
  void said(Instant now, const Hosts& message, PeerActions& out);
  void said(Instant now, const Guests& message, PeerActions& out);
  void said(Instant now, const Measures& message, PeerActions& out);
  void said(Instant now, const Straggling& message, PeerActions& out);
  PlanBasis basis_of(std::uint64_t version) const;

  void tell_master(PeerMessage message, PeerActions& out);
  void dial(Instant now, PeerActions& out);
  void lose(const Error& error, PeerActions& out);
  void want_links(PeerActions& out);
  bool is_guest() const { return phase_ == Phase::joining && prefetch_; }
  std::vector<PeerId> missing_links() const;
  void answer_prepare(PeerActions& out);
  void abort_ops(const Error& cause, PeerActions& out);
  Resume resume() const;

  PeerBounds bounds_;
  Phase phase_ = Phase::idle;
  Error lost_error_{Status::success, {}};
  Introduction me_;
  RunId run_;
  View view_;
  World world_;
  std::uint32_t pending_ = 0;
  bool in_update_ = false;
  std::uint64_t update_round_ = 0;
  std::uint64_t secret_ = 0;  ///< Of the links that stand.
  std::optional<Instant> connect_by_;

  bool prefetch_ = false;
  bool prefetch_over_ = false;
  Hosts hosts_;                ///< As a guest.
  std::vector<Member> guests_;  ///< As a member.

  MasterLink master_ = MasterLink::down;
  bool pending_told_ = false;  ///< The master has welcomed this newcomer.
  Instant heard_at_{};
  Instant ping_at_{};
  std::optional<Instant> redial_at_;
  Instant dialed_at_{};
  std::optional<Instant> down_since_;
  Duration backoff_{};
  std::string down_reason_;

  std::optional<View> proposed_;
  std::optional<Instant> prepare_by_;
  std::set<PeerId> links_up_;

  std::map<OpKey, Op> ops_;
  std::unordered_map<std::uint64_t, std::uint64_t> next_sequence_;
  std::deque<OpKey> committed_;

  std::map<std::uint64_t, std::shared_ptr<const Measures>> measures_;  ///< The latest, by version.
  PlanBasis basis_;                                                    ///< Of tags that have none of their own.
  std::unordered_map<std::uint64_t, PlanBasis> basis_of_tag_;
};

}  // namespace hawser
