#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/peer_engine.hpp"
#include "shared_state/prefetch.hpp"
#include "shared_state/state_sync.hpp"
#include "sim/expected_result.hpp"
#include "sim/violation.hpp"

namespace hawser::sim {

class Process;
class World;
struct Call;
class TrainingState;

/// Watches all calls of all processes and throws Violation where a promise of the design is broken:
/// agreement, inputs restored, sums exact, views alike, mismatches with a reason.
class Checker {
 public:
  explicit Checker(World& world) : world_(world) {}

  void reduce_called(const Process& process, const Call& call);
  /// A member asks the master to end that call for all, for the first time or again.
  void gives_up(std::uint32_t group, const OpKey& key);
  /// How long such a call of the group may go on, where the master is there and hears everybody.
  Duration giving_up_takes(std::uint32_t group) const;
  /// Before the call's memory goes.
  void call_ended(const Process& process, const Call& call, const CallDone& done);
  /// Its process ends, and has put all inputs back.
  void call_broken_off(const Process& process, const Call& call);
  /// A call that makes no sense has ended.
  void refused(const Process& process, Status due, const CallDone& done);
  /// A synchronisation begins: what is held now may become everybody's.
  void sync_called(const Process& process, TrainingState& state);
  void prefetched(const Process& process, TrainingState& state, const PrefetchTarget& target);
  /// Guests may fetch the state from now on.
  void offered(const Process& process, const TrainingState& state);
  void sync_step_ended(const Process& process, const Call& call, const CallDone& done);
  /// `last`: its last step.
  void synchronised(const Process& process, const Call& last, TrainingState& state, const SyncOutcome& outcome);
  void view_started(const Process& process, const View& view);
  /// The process says good-bye. Then it is gone.
  void leaves(const Process& process);
  /// The process dies or leaves.
  void process_gone(const Process& process);
  /// What an application decided to call as the `position`-th thing in a view, as a hash: a mismatch needs
  /// two members that decided differently.
  void decided(const Process& process, ViewId view, std::uint64_t position, std::uint64_t decision);
  /// Every mismatch must have such a reason. Off where scripts make the calls.
  void explain_mismatches() { explain_mismatches_ = true; }
  /// No call may fail from now on, except for want of peers, or as a restart of the master or the loss of a bad member
  /// undoes it; and nobody is lost but bad members.
  void allow_no_error() { allow_no_error_ = true; }
  /// Relays have to take part in this one. What one of them rounds away is owed by nobody.
  void goes_through_relays(const OpKey& key) { relayed_.insert(key); }
  /// A bad member goes by that id.
  void comes_as_bad(PeerId member) { bad_.insert(member); }
  /// A bad member tells of calls that it has not made.
  void called_otherwise(PeerId member) { called_otherwise_.insert(member); }

  // Where no call may fail, delays are bounded (checker_harm.cpp).
  /// What passes between the master and its peers may be late for a while: for so long, and until it is noticed.
  void control_disturbed(Duration lasts = Duration::zero());
  /// The master has told that an update-topology has succeeded.
  void update_told(const UpdateDone& done);
  /// Another master has begun to serve.
  void master_restarted();

  /// At the end of a run: what the master has kept of contributions is what these members gave.
  void kept(const std::vector<AttestedCollective>& attested);

  /// Whether all the given peers, and nobody else, contributed to one collective that all of them know as
  /// committed, called after `since`.
  bool committed_by_all(const std::set<PeerId>& peers, Instant since) const;
  /// Collectives that somebody knows as committed.
  std::uint64_t committed() const { return committed_; }
  /// Calls of collectives that ended well.
  std::uint64_t successes() const { return successes_; }

 private:
  struct Part {
    PeerId peer;
    std::uint64_t salt = 0;
    Signature signature;
    std::vector<std::byte> owed;  ///< What its residual held at the call; empty without one.
  };
  struct Outcome {
    PeerId peer;
    std::string name;
    Status status = Status::success;
    View view_after;
    std::uint64_t incarnation = 0;  ///< Of the master that said so.
  };
  /// How an update-topology call ended at the first who was told, by view and ordinal.
  struct UpdateOutcome {
    std::string name;
    Status status = Status::success;
    std::uint64_t incarnation = 0;
  };
  struct Op {
    Instant first_called{};
    std::vector<Part> parts;
    std::vector<Outcome> outcomes;
    std::vector<PeerId> contributors;  ///< Of the first success.
    std::optional<ExpectedResult> expected;  ///< While somebody may still need it.
    std::vector<std::byte> bits;       ///< The first result, where all must hold the same.
    std::vector<double> settled;       ///< By error feedback at those who had success: owed before less owed after.
    std::size_t settled_at = 0;        ///< So many members.
  };
  /// Two were told different things by different masters. Only one of them can stay in the run: a view that
  /// both start later is a violation.
  struct Split {
    PeerId failed;
    PeerId succeeded;
    Epoch epoch;  ///< Of the collective.
    std::string text;
  };
  struct Decisions {
    std::map<std::pair<std::uint64_t, PeerId>, std::uint64_t> made;  ///< By position and peer.
    bool differ = false;
  };
  /// What the members of one successful synchronisation have.
  struct Synchronised {
    std::string name;
    Digest128 digest;
    std::uint64_t revision = 0;
  };
  /// Whether members of the view may have called different things.
  bool called_differently(const View& view);
  ViewId first_of_calls(ViewId view) const;

  void check_any_call(const Process& process, const Call& call, const CallDone& done);
  void check_no_error(const Process& process, const Call& call, const Error& error);
  bool outvoted(const View& view) const;
  bool bad_was_lost(const Process& process, const View& view) const;
  bool relay_was_lost(const Process& process, const View& view) const;
  void check_nobody_lost(const Process& process, const View& view);
  void check_update_delay();
  void check_admissions();
  Instant party_waits_since(const Process& process);
  void ended_well(const Process& process, const Call& call, const CollectiveInfo& info);
  void ended_badly(const Process& process, const Call& call, const Error& error);
  void optimize_ended(const Process& process, const Call& call, const CallDone& done);
  void update_ended(const Process& process, const Call& call, Status status);
  void check_agreement(const Op& op, const OpKey& key, const Outcome& mine);
  void check_spans(const Op& op, const OpKey& key);
  void note_split(const OpKey& key, const Outcome& failed, const Outcome& succeeded);
  void check_result(Op& op, const Process& process, const Call& call);
  void check_feedback(Op& op, const Process& process, const Call& call);
  void check_parties(const Process& process);
  void expect(Op& op, const Call& call, const std::vector<PeerId>& contributors) const;
  /// It has called.
  static Part& part_of(Op& op, PeerId peer);
  std::uint64_t incarnation(const Process& process) const;
  std::string who(const Process& process, const Call& call) const;

  World& world_;
  std::map<OpKey, Op> ops_;
  std::set<OpKey> relayed_;
  std::map<ViewId, View> views_;
  std::map<ViewId, std::set<PeerId>> started_;  ///< Who has started which view.
  std::vector<Split> splits_;
  /// From the first commit of a view to the latest call that was committed in it.
  struct Span {
    Instant first_success;
    Instant last_called;
  };
  std::map<std::pair<std::uint32_t, RunId>, std::map<ViewId, Span>> spans_;  ///< By group.
  std::map<ViewId, RunId> runs_;
  std::map<PeerId, Epoch> last_epoch_;
  std::map<ViewId, Decisions> decisions_;  ///< By the first view from which calls go on where relays go.
  std::map<ViewId, ViewId> first_of_calls_;  ///< Of views that are not the first.
  std::map<std::pair<std::uint32_t, Epoch>, ViewId> first_by_epoch_;  ///< By group.
  std::map<OpKey, Synchronised> synchronised_;
  std::set<std::pair<Digest128, std::uint64_t>> agreed_;  ///< Content and revision of each that succeeded.
  std::set<Digest128> held_;  ///< Contents that some process had whole when it called.
  std::map<std::pair<ViewId, std::uint64_t>, UpdateOutcome> updates_;
  /// An update-topology that ended with a mismatch, and the views between its call and its end.
  struct Crossing {
    PeerId peer;
    Epoch from;
    Epoch until;
  };
  std::vector<Crossing> crossed_updates_;
  std::set<PeerId> died_in_update_;
  std::set<PartyId> left_parties_;  ///< Of which somebody has left by itself.
  std::set<PeerId> called_otherwise_;
  std::map<PeerId, ViewId> last_view_;
  std::set<PeerId> bad_;  ///< Ids of bad members.
  std::set<OpKey> given_up_;
  std::set<ViewId> views_given_up_;
  std::map<std::uint32_t, std::uint32_t> given_up_in_row_;  ///< By group, since its last success.
  Instant disturbed_until_{};
  std::uint64_t update_round_ = 0;  ///< The latest that was told.
  bool explain_mismatches_ = false;
  bool allow_no_error_ = false;
  std::uint64_t committed_ = 0;
  std::uint64_t successes_ = 0;
};

}  // namespace hawser::sim
