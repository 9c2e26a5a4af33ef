#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "membership/blame.hpp"
#include "membership/master_machine.hpp"
#include "membership/vote.hpp"

namespace hawser {

/// The master's memory, and the decisions on it, one source file each: who is connected
/// (master_machine.cpp), admission.cpp, guests.cpp, collectives (outcome.cpp), loss.cpp, recovery.cpp, parties.cpp,
/// measures.cpp, stragglers.cpp.
class MasterMachine::State {
 public:
  State(MasterConfig config, std::uint64_t seed, Instant now);

  void step(Instant now, const MasterEvent& event, MasterActions& out);
  void on(Instant now, const ConnectionOpened& event, MasterActions& out);
  void on(Instant now, const ConnectionClosed& event, MasterActions& out);
  void on(Instant now, const PeerSaid& event, MasterActions& out);
  void on(Instant now, const Tick& event, MasterActions& out);
  std::optional<Instant> next_deadline() const;
  Snapshot snapshot() const;

 private:
  enum class Role { pending, recovering, member };
  /// Of a pending peer; one that prefetches or did is a guest.
  enum class Prefetch { none, under_way, over };
  struct Connection {
    std::string host;
    Instant heard_at;
    std::optional<PeerId> peer;
  };
  struct MeasuredLink {
    std::uint64_t bytes_per_second = 0;
    std::uint64_t delay_ns = 0;
    bool is_probed = false;
    bool is_lower_bound = false;
    bool is_together = false;
  };
  struct Peer {
    Introduction who;
    ConnectionId connection;
    Role role = Role::pending;
    Prefetch prefetch = Prefetch::none;
    Instant came_at{};
    std::uint64_t arrival = 0;  ///< Place in the order of admission: of the hello, or the end of its prefetch.
    /// As a guest: the view whose members it was last told as hosts, 0 for nobody.
    std::optional<ViewId> hosts_told{};
    /// As a member: what it measured to whom; and its own limits.
    std::map<PeerId, MeasuredLink> measured{};
    std::uint64_t uplink = 0;
    std::uint64_t downlink = 0;
    /// As a member: the edition of the list of guests that it knows; none: it may know something outdated.
    std::optional<std::uint64_t> guests_told = kNoGuests;
  };
  static constexpr std::uint64_t kNoGuests = 0;
  struct GuestList {
    std::vector<PeerId> guests;
    std::uint64_t edition = kNoGuests;
  };
  /// A collective that is neither committed nor aborted.
  struct Op {
    std::map<PeerId, Signature> called;
    Vote reported;
    Instant first_call;
    Instant last_call;
    std::map<PeerId, Grievance> grievances;
    std::optional<Instant> moved_at;  ///< When a member last said that it goes on.
    std::optional<Instant> judge_at;  ///< When the grievances shall be looked at.
    struct Suspect {
      Straggler found;
      Instant since;
    };
    std::map<PeerId, FlowReport> flows;
    std::optional<Suspect> straggler;    ///< By the flows, as they were last told.
    std::optional<Instant> lone_since{}; ///< Since when all but one have reported.
    std::set<PeerId> straggler_told{};   ///< Who was reported as holding it up.
  };
  /// What the members of a view know of their links.
  struct Measuring {
    std::uint64_t version = 0;  ///< The newest that was published. 0: none in this view.
    bool changed = false;       ///< Since then.
    Instant publish_at{};
    Instant published_at{};
    Duration pause{};
    std::deque<Measures> published;  ///< The latest, for members that come back.
    std::uint64_t at_update = 0;     ///< The version of the latest update-topology.
  };
  struct Done {
    OpKey key;
    std::uint64_t measures = 0;
  };
  struct Group {
    View view;
    std::map<OpKey, Op> ops;
    std::deque<Done> committed;
    Measuring measuring;
    /// What ended the latest views, oldest first: a member that was away is told the cause of its own.
    std::deque<std::pair<ViewId, Error>> ended;
    std::optional<Instant> mismatch_since;
    std::uint64_t update_round = 0;  ///< Update-topology calls that have succeeded here.
  };
  /// What is known of a group that lost its master.
  struct Recovery {
    View best;
    std::map<PeerId, Resume> resumed;
    Instant deadline;
  };
  /// Newcomers whose links are being opened.
  struct Admission {
    std::map<std::uint32_t, View> proposed;
    Vote prepared;
    std::vector<std::pair<PeerId, PeerId>> unreachable;
    Instant deadline;
  };

  struct Loss {
    PeerId peer;
    Error for_it;            ///< What it is told.
    std::string for_others;  ///< Why, after "it was lost: ".
  };

  // master_machine.cpp: connections and messages.
  void wake(Instant now, MasterActions& out);
  void said(Instant now, PeerId peer, const Hello& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Resume& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Begun& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Report& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Complaint& message, MasterActions& out);
  void said(Instant now, PeerId peer, const UpdateCall& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Prepared& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Leave& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Ping& message, MasterActions& out);
  void said(Instant now, PeerId peer, const StatusRequest& message, MasterActions& out);
  void introduce(Instant now, ConnectionId connection, const PeerMessage& message, MasterActions& out);
  void hello(Instant now, ConnectionId connection, const Hello& message, MasterActions& out);
  std::optional<Error> refusal(const Introduction& who) const;
  static std::optional<Error> version_refusal(const char* who, std::uint32_t protocol_version);
  void tell(PeerId peer, MasterMessage message, MasterActions& out);
  void turn_away(ConnectionId connection, const Error& error, MasterActions& out);
  void dismiss(PeerId peer, const Error& error, bool as_refusal, MasterActions& out);
  void forget_peer(PeerId peer);
  void remember_expelled(PeerId peer, const Error& error);
  World world() const;
  std::uint32_t pending_count() const;
  std::uint32_t waiting_count() const;
  void keep_whole_parties(std::vector<const Peer*>& newcomers) const;
  std::vector<PeerId> companions_of(PeerId peer) const;
  void let_party_go(Instant now, const Introduction& newcomer, MasterActions& out);
  void tell_news(MasterActions& out);
  std::vector<Member> members_of_all_groups() const;
  Member as_member(PeerId peer) const;
  Group* group_of(PeerId peer);
  std::string name_of(PeerId peer) const;

  // admission.cpp
  void check_update(Instant now, MasterActions& out);
  void maybe_bootstrap(Instant now, MasterActions& out);
  bool bootstrap_waits() const;
  Instant bootstrap_due() const;
  std::vector<const Peer*> admissible(Instant now) const;
  void begin_admission(Instant now, MasterActions& out);
  void check_admission(Instant now, MasterActions& out);
  void drop_unreachable(MasterActions& out);
  void drop_late(Instant now, MasterActions& out);
  void finish_admission(MasterActions& out);
  void cancel_admission();
  void forget_update();
  void end_update(const Error& error, const std::vector<Member>& whom, MasterActions& out);
  std::vector<Member> admission_electors() const;

  // guests.cpp
  void said(Instant now, PeerId peer, const PrefetchOver& message, MasterActions& out);
  static bool is_guest(const Peer& peer);
  static bool waits_for_admission(const Peer& peer);
  void tell_hosts_and_guests(MasterActions& out);
  void list_guests();
  std::vector<Member> as_members(const std::vector<PeerId>& peers) const;

  // status.cpp
  void tell_status(Instant now, ConnectionId connection, const StatusRequest& message, MasterActions& out);
  bool answers_again(Instant now);
  void tell_matrices(ConnectionId connection, MasterActions& out) const;
  RunStatus status(Instant now) const;
  PeerStatus status_of(Instant now, const Peer& peer) const;
  std::vector<PendingStatus> pending_status(Instant now) const;
  Awaits awaits(Instant now, const Peer& peer, const Vote& of_whole_parties) const;
  void list_collectives(Instant now, RunStatus& status) const;
  bool opens_links(PeerId peer) const;
  CollectiveStatus status_of(Instant now, const Group& group, const OpKey& key, const Op& op) const;
  static Vote holds_up(const Group& group, const Op& op);

  // outcome.cpp
  Op* called(Instant now, PeerId peer, const OpKey& key, const Signature& signature, MasterActions& out);
  void reported(Instant now, PeerId peer, const OpKey& key, const Signature& signature, MasterActions& out);
  void commit_what_all_reported(Group& group, const std::vector<Member>& survivors, MasterActions& out);
  void commit_to(Group& group, const OpKey& key, const std::vector<Member>& whom, MasterActions& out);
  bool conflict(const Group& group) const;
  bool all_heard(const Group& group) const;
  static bool differs(const Op& op);
  void watch_group(Instant now, std::uint32_t number, MasterActions& out);
  bool judge_mismatch(Instant now, Group& group, MasterActions& out);
  bool judge_stall(Instant now, Group& group, MasterActions& out);
  bool judge_call_wait(Instant now, Group& group, MasterActions& out);
  bool deadlocked(const Group& group) const;
  std::optional<Instant> mismatch_deadline(const Group& group) const;
  std::string who_called_what(const Group& group) const;
  void abort_all(Group& group, const Error& cause, MasterActions& out);

  // stragglers.cpp
  void hear_flows(Instant now, PeerId peer, const Complaint& message, const Group& group, Op& op);
  void suspect_straggler(Instant now, Instant since, const Group& group, Op& op) const;
  bool judge_stragglers(Instant now, Group& group, MasterActions& out);
  std::optional<Instant> straggler_deadline(const Group& group) const;
  std::optional<Instant> suspect_due(const Op& op) const;
  std::optional<Instant> alone_since(const Group& group, const Op& op) const;
  void report_straggler(const Group& group, const OpKey& key, Op& op, const Member& member,
                        const std::string& what_it_does, std::uint32_t percent, MasterActions& out);

  // measures.cpp
  void said(Instant now, PeerId peer, const Measured& message, MasterActions& out);
  void begin_measuring(Group& group);
  void publish_measures(Instant now, Group& group, MasterActions& out);
  static const Done* find_committed(const Group& group, const OpKey& key);

  // loss.cpp
  void lose(Instant now, PeerId peer, const Error& for_it, const std::string& for_others, MasterActions& out);
  void lose_all(Instant now, std::vector<Loss> losses, MasterActions& out);
  void add_companions(std::vector<Loss>& losses) const;
  void go_on_without(std::uint32_t number, const std::vector<std::string>& reasons, MasterActions& out);
  static void end_view(Group& group, const Error& cause);
  static Error cause_of_end(const Group& group, ViewId view);
  void start_view(Group& group, std::vector<Member> members, const Error& cause, MasterActions& out);

  // recovery.cpp
  void resume(Instant now, ConnectionId connection, const Resume& message, MasterActions& out);
  void resume_member(Instant now, ConnectionId connection, const Resume& message, MasterActions& out);
  void check_recovery(Instant now, std::uint32_t number, MasterActions& out);
  void finish_recovery(Instant now, std::uint32_t number, MasterActions& out);
  static std::set<PeerId> members_behind(const Recovery& recovery);
  std::deque<Done> settle_recovered_ops(const Recovery& recovery, const std::vector<Member>& survivors,
                                         MasterActions& out);
  void adopt_run(Instant now, const Resume& message);
  void resume_vote(Instant now, PeerId peer, const Resume& message, MasterActions& out);
  void begin_recovery(Instant now, ConnectionId connection, const Resume& message, MasterActions& out);
  void expel_stranger(ConnectionId connection, const Error& error, MasterActions& out);
  Resume* recovering(PeerId peer);

  MasterConfig config_;
  std::optional<Instant> awaited_;  ///< The deadline that the last step left behind.
  Random random_;
  RunId run_;
  std::uint64_t link_secret_ = 0;
  bool run_has_lived_ = false;  ///< A view was started or taken over: the run id stands.
  Epoch last_epoch_;
  Instant bootstrap_at_;
  std::uint64_t arrivals_ = 0;

  std::map<ConnectionId, Connection> connections_;
  std::map<PeerId, Peer> peers_;
  std::map<std::uint32_t, Group> groups_;
  std::map<std::uint32_t, Recovery> recoveries_;
  std::optional<Admission> admission_;
  Vote update_;  ///< Members that wait in update-topology.
  std::optional<Instant> update_since_;
  /// Those who came after the first admission of an update-topology wait for the next: or newcomers who can't
  /// be reached and come again and again would keep the members in the call for ever.
  std::optional<std::uint64_t> update_admits_before_;
  /// After taking over a run: until then former members of other groups may come back.
  Instant settled_at_{};
  std::map<PeerId, Error> expelled_;
  std::deque<PeerId> expelled_order_;
  std::map<PeerId, WorldNews> news_told_;
  std::map<std::uint32_t, GuestList> guest_lists_;  ///< Of groups that have guests.
  std::uint64_t guest_lists_made_ = 0;
  Instant status_second_{};  ///< In which it has told its status so often:
  std::uint32_t status_answers_ = 0;
};

std::string names_of(const std::vector<Member>& members);

}  // namespace hawser
