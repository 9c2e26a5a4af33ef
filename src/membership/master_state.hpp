#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/deadlines.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "base/token_bucket.hpp"
#include "membership/majority.hpp"
#include "membership/master_machine.hpp"
#include "membership/op_table.hpp"
#include "membership/vote.hpp"

namespace hawser {

/// The master's memory, and the decisions on it, one source file each: who is connected (master_machine.cpp), limits of
/// an address (sources.cpp), visits.cpp (links of newcomers), reach.cpp (who are told to dial each other),
/// admission.cpp, news.cpp, collectives (outcome.cpp), keys.cpp and attestations.cpp (of runs that have keys), away.cpp
/// (broken connections of members), loss.cpp, recovery.cpp and recovery_missing.cpp (of a restarted master),
/// takeover.cpp (of several masters) and takeover_by_lease.cpp, parties.cpp, measures.cpp, stragglers.cpp, status.cpp.
///
/// A message costs what it is about, whatever else is in flight: deadlines are in heaps, and what must be known of many
/// is kept as counts.
class MasterMachine::State {
 public:
  State(MasterConfig config, std::uint64_t seed, Instant now, AdmissionRules rules);

  void step(Instant now, const MasterEvent& event, MasterActions& out);
  void on(Instant now, const ConnectionOpened& event, MasterActions& out);
  void on(Instant now, const ConnectionClosed& event, MasterActions& out);
  void on(Instant now, const Authenticated& event, MasterActions& out);
  void on(Instant now, const PeerSaid& event, MasterActions& out);
  void on(Instant now, const OthersSeen& event, MasterActions& out);
  void on(Instant now, const LeaseTaken& event, MasterActions& out);
  void on(Instant now, const LeaseLost& event, MasterActions& out);
  void on(Instant now, const LeaseSeen& event, MasterActions& out);
  void on(Instant now, const Tick& event, MasterActions& out);
  std::optional<Instant> next_deadline() const { return timers_.next(); }
  Snapshot snapshot() const;
  std::vector<AttestedCollective> attested() const;
  std::optional<Duration> looks_for_others() const;
  /// It can serve its run no longer: what takes its place.
  std::unique_ptr<State> successor(Instant now);
  bool is_over() const { return stepping_down_.has_value(); }
  std::uint32_t gathered() const;
  bool gathers() const { return gathered() > 0; }

 private:
  using Op = OpInFlight;
  enum class Role { pending, recovering, member };
  /// As in UpdateCall.
  struct UpdateVote {
    bool first = false;
    bool was_over = false;
    bool after_error = false;
    /// It ends where the others go on.
    bool follows() const { return first || was_over; }
  };
  /// Of a pending peer.
  enum class Prefetch { none, under_way, over };
  struct Connection {
    std::string host;
    std::uint16_t port = 0;
    std::string source;
    Instant heard_at;
    std::optional<PeerId> peer;
    bool is_members = false;
    std::optional<Badge> badge{};
  };
  /// What came from one address.
  struct Source {
    std::size_t strangers = 0;  ///< Connections that have not said who they are,
    std::size_t anonymous = 0;  ///< and all that are no member's.
    std::size_t pending = 0;
    std::size_t claims = 0;
    std::size_t visitors = 0;
    std::size_t unproven = 0;
    TokenBucket opens{{.burst = limits::kOpensBurst, .per_second = limits::kOpensPerSecond}};
    TokenBucket status{{.burst = limits::kStatusAnswersPerSourceBurst,
                        .per_second = limits::kStatusAnswersPerSourcePerSecond}};
  };
  struct MeasuredLink {
    std::uint64_t bytes_per_second = 0;
    std::uint64_t delay_ns = 0;
    bool is_probed = false;
    bool is_lower_bound = false;
    bool is_together = false;
    std::optional<PeerId> by{};  ///< It has no way of its own; by which peer what goes over it is passed on.
  };
  /// A pending peer's links to the members of its group, and to others that wait.
  struct Visit {
    bool announced = false;                ///< The members and it were told of each other.
    bool is_counted = false;               ///< Among those that have not been reached yet.
    std::optional<Instant> not_before;     ///< Not to be announced earlier: it has failed before.
    std::optional<Instant> prove_by;       ///< Refused if it still lacks links then.
    std::uint32_t links_to_members = 0;    ///< Of which both ends say that they are established.
    std::uint32_t links_to_visitors = 0;
    std::vector<PeerId> sponsors{};        ///< Of its group, if that has not all links.
  };
  struct Away {
    Instant since;
    std::string reason;
    bool was_spared = false;  ///< The master was late to judge it.
  };
  struct LinkDown {
    Instant at;
    bool refused = false;
  };
  /// Members with a connection to the master that say that their link to this one is down.
  struct Doubts {
    std::set<std::pair<Instant, PeerId>> by;  ///< Since when.
    std::uint32_t refused = 0;                ///< By so many of them.
  };
  struct Peer {
    Introduction who;
    std::string seen_host;
    std::uint16_t seen_port = 0;
    Ways ways{};              ///< As it says itself, over this connection.
    bool advertises = false;  ///< It has given its address, and has not been told yet that it is wrong.
    TokenBucket both_dial{{.burst = limits::kBothDialsBurst, .per_second = limits::kBothDialsPerSecond}};
    std::string source;
    std::optional<ConnectionId> connection;  ///< None: it broke, and the peer may come back.
    std::optional<Badge> badge{};            ///< None in a run without keys.
    Role role = Role::pending;
    Prefetch prefetch = Prefetch::none;
    Instant came_at{};
    std::uint64_t arrival = 0;  ///< Place in the order of admission: of the hello, or the end of its prefetch.
    Visit visit{};
    /// Peers to which it says that its links are established: as a pending peer all, as a member those that are
    /// pending.
    std::set<PeerId> linked{};
    std::vector<Unreached::Way> unreached{};  ///< As it has told.

    // As a member.
    std::uint32_t rank = 0;
    bool in_update = false;
    UpdateVote vote{};           ///< If it waits in update-topology.
    std::uint64_t update_rounds = 0;  ///< Update-topology calls that it has behind it, as far as is known here.
    bool went_on = false;             ///< The latest was over before, and it did not wait in it.
    std::optional<Away> away{};
    bool is_absent = false;          ///< As its group counts it,
    bool is_unconnected = false;     ///< and likewise.
    std::optional<Resume> resuming{};  ///< It came back, and has not told yet what it knows of its collectives.
    std::map<PeerId, LinkDown> down{};  ///< Links to other members that it says have no connection.
    Doubts doubts{};
    std::map<PeerId, MeasuredLink> measured{};  ///< What it measured to whom; and its own limits.
    std::uint64_t uplink = 0;
    std::uint64_t downlink = 0;

    // What it was told over this connection.
    ViewId view_sent{};  ///< The view that it knows; as a pending peer, that of whose members it was told.
    bool group_members_sent = false;
    std::optional<std::uint64_t> visitors_sent{};  ///< The edition of the list of visitors; none: to begin anew.
    std::optional<WorldNews> news_sent;
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
    std::optional<Measures> at_start{};  ///< Told with the view.
  };
  /// Members called different things, again and again perhaps.
  struct Mismatches {
    std::string sentence;
    Instant at{};
    std::uint64_t total = 0;
    std::uint32_t in_row = 0;  ///< Since a collective was last committed.
  };
  struct Group {
    View view;
    std::uint64_t fingerprint = 0;       ///< Of the view.
    ViewId before;                       ///< The view before,
    std::vector<Member> members_before;  ///< and its members.
    Epoch calls_since;                   ///< As StartView has it.
    OpTable ops;
    /// Outcomes as they were told, and the order in which they are forgotten.
    std::map<OpKey, Committed> committed;
    std::deque<OpKey> committed_order;
    Measuring measuring;
    /// What ended the latest views, oldest first: a member that was away is told the cause of its own.
    std::deque<std::pair<ViewId, Error>> ended;
    std::optional<Instant> mismatch_since;
    std::uint32_t absent = 0;   ///< Members that are away, or have not told their outcomes yet.
    std::uint32_t unconnected = 0;  ///< Members that are away.
    Instant complete_since{};   ///< When there was none any more.
    Mismatches mismatches;
    std::uint32_t given_up_in_row = 0;  ///< Calls that were given up since the last commit.
    std::uint64_t update_round = 0;  ///< Update-topology calls that have succeeded here,
    bool round_was_over = false;     ///< the latest of them before it was called.
    std::uint32_t in_update = 0;     ///< Members that wait in update-topology,
    std::uint32_t followers = 0;   ///< and those of them that go on where the others do.
    // Where other masters may take the run over.
    Footing footing;                 ///< Of the view.
    std::set<PeerId> left;           ///< Members that said good-bye.
    std::set<PeerId> taken_by;       ///< Members that have started the view, until all have.
    std::optional<Footing> taken_over{};  ///< Of the next view, which a recovery has decided.
  };
  /// The pending peers of a group that links are opened to.
  struct VisitorList {
    std::vector<PeerId> announced;
    std::set<std::pair<std::uint64_t, PeerId>> waiting;  ///< Not announced yet, by arrival.
    std::vector<Member> sent;   ///< The list as it was last sent,
    std::uint64_t edition = 0;  ///< and its number, another one for each list.
    /// Of those in it, who has gone since: one of the same id that comes before that is told is another one, and the
    /// others say anew which links to it are established.
    std::unordered_set<PeerId> gone;
    std::size_t unproven = 0;
  };
  /// Members look for their master twice a second; by then all of them have had their say.
  static constexpr Duration kClaimsAtLeast = seconds(1);
  /// The edition of a list without anybody.
  static constexpr std::uint64_t kNoVisitors = 0;
  /// A former member of a run that this master does not know.
  struct Claim {
    Resume resume;
    std::uint64_t arrival = 0;
    std::optional<OutcomesPresented> outcomes;
    // As it says, once it does.
    bool told_links = false;
    std::set<PeerId> up{};
    std::map<PeerId, LinkDown> down{};
  };
  /// A group that lost its master.
  struct Recovery {
    std::map<PeerId, Claim> claims;
    /// Those that left before the choice: they were back, and are not among those who were lost with the former master.
    std::map<PeerId, Claim> left;
    std::map<ViewMark, View> views;  ///< As they were presented.
    std::map<ViewMark, std::vector<PeerId>> asked;
    bool asks_again = false;  ///< Somebody who was asked has gone.
  };
  /// What a group goes on from, and who.
  struct ChosenView {
    ViewMark view;
    std::set<PeerId> survivors;
    Footing footing{};  ///< Of the view that they start.
  };
  /// All of a run, from the first claim to the choice, and from then until those who are back have told their outcomes.
  struct Recovering {
    Instant began;
    Instant deadline;
    std::map<std::uint32_t, Recovery> groups;
    std::optional<Instant> look_at{};  ///< When those who are missing will be given up.
    std::optional<Instant> looked_at{};
    std::optional<Instant> told_to_stay{};  ///< Those that are here, of several masters'.
    std::optional<Instant> deserted_since{};  ///< All have gone again, some of them with a good-bye.
    std::uint64_t lease_seen = 0;  ///< Who held the lease then: members have come from there.
    bool chosen = false;
    RunId run;
    std::map<std::uint32_t, ChosenView> views;  ///< Once chosen.
  };
  /// One that was expelled, and why. Another that came in its name is not it.
  struct FormerPeer {
    Introduction who;
    Error error;
  };
  struct Backoff {
    std::uint32_t failures = 0;
    Instant until{};
    std::string reason;
  };

  /// A collective whose contributions some members have signed.
  struct Attested {
    AttestedCollective what;
    Instant at;
  };
  struct Loss {
    PeerId peer;
    Error for_it;            ///< What it is told.
    std::string for_others;  ///< Why, after "it was lost: ".
  };
  enum class Timer { connection, group, visit, away, update, bootstrap, recovery, parties, news, pulse };
  using TimerKey = std::pair<Timer, std::uint64_t>;

  // master_machine.cpp: connections and messages.
  void wake(Instant now, MasterActions& out);
  void lose_time(Duration lost);
  void said(Instant now, PeerId peer, const Hello& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Resume& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Begun& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Report& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Complaint& message, MasterActions& out);
  void said(Instant now, PeerId peer, const GiveUp& message, MasterActions& out);
  void said(Instant now, PeerId peer, const UpdateCall& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Linked& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Unreached& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Leave& message, MasterActions& out);
  void said(Instant now, PeerId peer, const Ping& message, MasterActions& out);
  void said(Instant now, PeerId peer, const StatusRequest& message, MasterActions& out);
  void said(Instant now, PeerId peer, const OperatorCommand& message, MasterActions& out);
  // Peers that do not reach each other (reach.cpp).
  void said(Instant now, PeerId peer, const Ways& message, MasterActions& out);
  void said(Instant now, PeerId peer, const BothDial& message, MasterActions& out);
  static DialEachOther introduced(const Peer& peer);
  void introduce(Instant now, ConnectionId connection, const PeerMessage& message, MasterActions& out);
  void attach(Instant now, ConnectionId connection, Peer& peer, MasterActions& out);
  void detach(ConnectionId connection);
  void drop_connection(ConnectionId connection, const std::string& reason, MasterActions& out);
  void promote(Peer& peer, MasterActions& out);
  void set_role(ConnectionId connection, ConnectionRole role, MasterActions& out);
  static std::optional<Error> refusal(const Introduction& who);
  bool is_outdated(const Introduction& who) const;
  static std::optional<Error> version_refusal(const char* who, std::uint32_t protocol_version);
  /// It has a connection, and may be told things over it.
  static bool hears(const Peer& peer) { return peer.connection && !peer.resuming; }
  void tell(PeerId peer, MasterMessage message, MasterActions& out);
  static void tell(const Peer& peer, MasterMessage message, MasterActions& out);
  void tell_all(const std::vector<Member>& whom, MasterMessage message, MasterActions& out) const;
  static void send_to(std::vector<ConnectionId> connections, MasterMessage message, MasterActions& out);
  void turn_away(ConnectionId connection, const Error& error, MasterActions& out);
  void dismiss(PeerId peer, const Error& error, bool as_refusal, MasterActions& out);
  void forget_peer(PeerId peer);
  void remember_expelled(const Introduction& who, const Error& error);
  void connection_due(Instant now, ConnectionId connection, std::vector<Loss>& losses, MasterActions& out);
  void arm(Timer timer, std::uint64_t which, std::optional<Instant> at) { timers_.set({timer, which}, at); }
  Member as_member(const Peer& peer) const;
  Group* group_of(PeerId peer);
  const View* view_of(std::uint32_t group) const;
  std::optional<std::uint32_t> rank_in(const Group& group, PeerId peer) const;
  std::string name_of(PeerId peer) const;
  static std::string name_of(const Peer& peer);

  // keys.cpp
  Introduction proven(const Introduction& who, const Connection& connection) const;
  std::optional<Error> key_refusal(const Introduction& who, const Connection& connection, bool prefetches) const;
  std::optional<Error> newcomer_refusal(const Introduction& who) const;
  static bool may_see_status(const Connection& connection);
  bool may_be_admitted(const Peer& peer) const;
  void carry_out(Instant now, ConnectionId connection, const OperatorCommand& command, MasterActions& out);
  std::optional<std::string> apply_command(Instant now, const OperatorCommand& command, const std::string& by,
                                           MasterActions& out);
  std::size_t remove_holders(Instant now, const std::function<bool(const Peer&)>& which, const Error& error,
                             const std::string& for_others, MasterActions& out);
  void drop_unintroduced(const KeyId& key, MasterActions& out);

  // sources.cpp
  Source& source(const std::string& key);
  void forget_idle_sources(Instant now);
  std::optional<std::string> cannot_open(Instant now, const std::string& key);
  void no_longer_stranger(ConnectionId id, Connection& connection);

  // hello.cpp
  void hello(Instant now, ConnectionId connection, const Hello& message, MasterActions& out);
  void hello_again(Instant now, ConnectionId connection, Peer& peer, const Introduction& who, MasterActions& out);
  std::optional<std::string> hello_comes_too_early(Instant now, const Introduction& who) const;
  std::optional<Error> hello_refusal(const Introduction& who, const Connection& connection) const;
  static std::optional<Error> terms_refusal(const Introduction& who, const Introduction& eldest);
  std::optional<Error> address_refusal(const Peer& newcomer) const;
  void advise_on_address(const Peer& newcomer, bool is_given, MasterActions& out) const;

  // visits.cpp
  void said(Instant now, PeerId peer, const PrefetchOver& message, MasterActions& out);
  static bool waits_for_admission(const Peer& peer);
  bool is_proven(const Peer& peer) const;
  bool links_established(const Peer& a, const Peer& b) const;
  void begin_visit(Instant now, Peer& peer, MasterActions& out);
  bool has_turn(Instant now, const VisitorList& visitors, const Peer& peer);
  void announce_more(Instant now, std::uint32_t group);
  bool find_sponsors(Peer& peer) const;
  void announce(Instant now, VisitorList& visitors, Peer& peer);
  void count_unproven(Peer& peer, bool is_unproven);
  void end_visit(Peer& peer);
  Peer* link_up(Peer& from, PeerId to);
  Peer* link_down(Instant now, Peer& from, PeerId to, bool refused);
  void count_link(Peer& a, Peer& b, bool is_established);
  void forget_links(Peer& peer);
  void proof_may_have_changed(Instant now, Peer& peer, MasterActions& out);
  void recount_visits(Instant now, std::uint32_t group, MasterActions& out);
  void visit_due(Instant now, PeerId peer, MasterActions& out);
  void fail_visit(Instant now, Peer& peer, MasterActions& out);
  std::vector<Member> unlinked(const Peer& peer) const;
  static std::string backoff_key(const Peer& peer);
  void arm_visit(const Peer& peer);

  // admission.cpp
  void check_update(Instant now, MasterActions& out);
  void cast_vote(Instant now, Peer& peer, const UpdateVote& vote);
  void withdraw_vote(Peer& peer);
  void release_followers(Group& group, MasterActions& out);
  bool others_went_on(const Group& group) const;
  std::uint64_t count_rounds(Group& group);
  std::uint64_t most_updates_made(const std::vector<Member>& members) const;
  void maybe_bootstrap(Instant now, MasterActions& out);
  bool bootstrap_waits() const;
  Instant bootstrap_due(Instant window_ends) const;
  bool lacks_first_links(const Peer& peer, Instant window_ends) const;
  std::vector<const Peer*> admissible(Instant now) const;
  void keep_linked_ones(std::vector<const Peer*>& newcomers) const;
  void keep_relays_of_groups(std::vector<const Peer*>& newcomers) const;
  std::optional<Error> relay_misfit(const Peer& relay, std::size_t group_size,
                                    const std::vector<PeerId>& came) const;
  void drop_needless_relays(std::vector<Member>& members, MasterActions& out);
  std::optional<Error> misfit(const Peer& newcomer, std::size_t group_size, PeerId eldest,
                              const std::vector<PeerId>& came) const;
  void admit_who_may(Instant now, MasterActions& out);
  void admit(Instant now, const std::map<std::uint32_t, std::vector<PeerId>>& by_group, MasterActions& out);
  void admit_to(Instant now, std::uint32_t number, const std::vector<PeerId>& ids, MasterActions& out);
  void warn_of_names(const std::vector<PeerId>& newcomers, MasterActions& out) const;
  bool release_who_are_behind(MasterActions& out);
  void end_update(const Error& error, const std::vector<Member>& whom, MasterActions& out);
  void tell_update_done(Peer& peer, const Group& group, const Error& error, bool was_over, MasterActions& out);
  std::vector<Member> members_of_all_groups() const;

  // news.cpp
  void tell_news(Instant now, MasterActions& out);
  void tell_visits(std::uint32_t group, VisitorList& visitors, MasterActions& out);
  void tell_group_members(std::uint32_t group, const VisitorList& visitors, MasterActions& out);
  void news_changed() { news_changed_ = true; }
  World world() const;

  // status.cpp
  void tell_status(Instant now, ConnectionId connection, const StatusRequest& message, MasterActions& out);
  void tell_matrices(ConnectionId connection, MasterActions& out) const;
  RunStatus status(Instant now) const;
  std::string why_it_waits() const;
  PeerStatus status_of(Instant now, const Peer& peer) const;
  std::vector<PendingStatus> pending_status(Instant now) const;
  Awaits awaits(Instant now, const Peer& peer, const Vote& of_whole_parties) const;
  void list_unreached(RunStatus& status) const;
  std::string tries_between(const Peer& newcomer, const Member& member) const;
  void list_collectives(Instant now, RunStatus& status) const;
  static CollectiveStatus status_of(Instant now, const Group& group, const OpKey& key, const Op& op);
  static RankSet holds_up(const Group& group, const Op& op);

  // parties.cpp
  void keep_enough(std::vector<const Peer*>& newcomers) const;
  void keep_whole_parties(std::vector<const Peer*>& newcomers) const;
  Peer& keep_peer(Peer peer);
  std::vector<PeerId> companions_of(const Introduction& who) const;
  void add_companions(std::vector<Loss>& losses) const;
  bool may_be_completed(Instant now, const Introduction& newcomer) const;
  std::optional<Error> party_refusal(const Introduction& who) const;
  void let_party_go(Instant now, const Introduction& newcomer, MasterActions& out);
  void settle_parties(Instant now, MasterActions& out);

  // outcome.cpp
  Op* called(Instant now, PeerId peer, const OpKey& key, const Signature& signature, MasterActions& out);
  void reported(Instant now, PeerId peer, const OpKey& key, const Signature& signature, MasterActions& out);
  void commit_what_all_reported(Group& group, const std::vector<Member>& survivors, MasterActions& out);
  void commit_to(Group& group, const OpKey& key, const std::vector<Member>& whom, MasterActions& out);
  void call_relays(const Group& group, const OpKey& key, Op& op, MasterActions& out);
  void relay_calls(Instant now, PeerId relay, MasterActions& out);
  static void remember_commit(Group& group, const Committed& committed);
  static bool conflict(const Group& group);
  static bool all_heard(const Group& group);
  static bool deadlocked(const Group& group);
  void watch_group(Instant now, std::uint32_t number, MasterActions& out);
  void watch_op(Instant now, Group& group, const OpKey& key, MasterActions& out);
  void group_due(Instant now, std::uint32_t number, MasterActions& out);
  void arm_op(Group& group, const OpKey& key, const Op& op);
  void arm_group(const Group& group);
  bool judge_mismatch(Instant now, Group& group, MasterActions& out);
  static std::vector<Member> who_lacks_result(const Group& group, const Op& op);
  bool judge_stall(Instant now, Group& group, Op& op, MasterActions& out);
  void count_failed(const Group& group, Status why);
  bool lose_cut_off(Instant now, const Group& group, const Op& op, MasterActions& out);
  static std::vector<Member> who_has_not_called(const Group& group, const Op& op);
  static Instant ends_given_up_at(const Group& group, const Op& op);
  bool judge_given_up(Instant now, Group& group, const OpKey& key, const Op& op, MasterActions& out);
  bool judge_call_wait(Instant now, Group& group, const OpKey& key, const Op& op, MasterActions& out);
  std::optional<Instant> mismatch_deadline(const Group& group) const;
  Instant least_heard(const Group& group) const;
  std::string who_called_what(const Group& group) const;
  void abort_all(Instant now, Group& group, const Error& cause, MasterActions& out);

  // attestations.cpp
  void keep_attestations(const Group& group, const OpKey& key, const Op& op);
  void forget_attestations();
  void attested_late(PeerId peer, const Begun& message);
  void tell_attestations(Instant now, ConnectionId connection, std::uint32_t wanted, MasterActions& out) const;

  // stragglers.cpp
  void hear_flows(Instant now, const Peer& peer, const Complaint& message, Group& group, Op& op);
  void suspect_straggler(Instant now, Instant since, Op& op) const;
  bool judge_stragglers(Instant now, Group& group, const OpKey& key, Op& op, MasterActions& out);
  std::optional<Instant> straggler_deadline(const Group& group, const Op& op) const;
  std::optional<Instant> suspect_due(const Op& op) const;
  static std::optional<Instant> alone_since(const Group& group, const Op& op);
  static std::optional<std::uint32_t> last_without_result(const Group& group, const Op& op);
  void report_straggler(const Group& group, const OpKey& key, Op& op, std::uint32_t rank,
                        const std::string& what_it_does, std::uint32_t percent, MasterActions& out);

  // measures.cpp
  void said(Instant now, PeerId peer, const Measured& message, MasterActions& out);
  void begin_measuring(Group& group);
  Measures measures_of(Group& group);
  void publish_measures(Instant now, Group& group, MasterActions& out);

  // away.cpp
  void go_away(Instant now, Peer& peer, const std::string& reason, MasterActions& out);
  void count_absent(Instant now, Peer& peer);
  void judge_away(Instant now, PeerId peer, MasterActions& out);
  void set_down(Peer& from, PeerId to, std::optional<LinkDown> link);
  bool are_neighbours(const Group& group, const Peer& a, const Peer& b) const;
  void forget_doubts_of_others(const Group& group);
  struct BrokenLinks {
    std::size_t down = 0;
    std::size_t refused = 0;  ///< Of these, where nobody listens any more.
  };
  static Duration patience_with(const BrokenLinks& links);
  bool is_doubted(const Group& group, const Peer& peer) const;
  void doubt_others(const Peer& from, bool counts);
  void count_doubt(const Peer& from, PeerId to, const LinkDown& link, bool counts);
  void away_due(Instant now, PeerId peer, MasterActions& out);
  void resume_member(Instant now, ConnectionId connection, const Resume& message, MasterActions& out);
  void outcomes_of_member(Instant now, PeerId peer, const OutcomesPresented& message, MasterActions& out);
  void resume_vote(Instant now, PeerId peer, const Resume& message, MasterActions& out);

  // loss.cpp
  void lose(Instant now, PeerId peer, const Error& for_it, const std::string& for_others, MasterActions& out);
  void lose_all(Instant now, std::vector<Loss> losses, MasterActions& out);
  void go_on_without(Instant now, std::uint32_t number, const std::vector<std::string>& reasons, MasterActions& out);
  void end_view(Group& group, const Error& cause);
  static Error cause_of_end(const Group& group, ViewId view);
  static const Error* mismatch_since(const Group& group, ViewId view);
  void start_view(Instant now, Group& group, std::vector<Member> members, const Error& cause, MasterActions& out);
  void set_view(Group& group, std::uint32_t number, std::vector<Member> members);
  void tell_new_view(Instant now, const Group& group, const Error& cause, MasterActions& out);
  void tell_view(const Group& group, const std::vector<Member>& whom, const Error& cause, std::uint64_t update_round,
                 MasterActions& out);
  static bool knows_the_last(const Group& group, const Peer& peer);

  // recovery.cpp
  void resume(Instant now, ConnectionId connection, const Resume& message, MasterActions& out);
  std::optional<std::string> may_not_recover(Instant now, const Resume& message) const;
  void claim(Instant now, ConnectionId connection, const Resume& message, MasterActions& out);
  bool is_survivor(const Peer& peer) const;
  bool is_believed(const Introduction& who, const std::string& host) const;
  static bool may_ask_for(Recovery& recovery, const ViewMark& mark);
  void ask_for_view(Recovery& recovery, const ViewMark& mark, const Peer& peer, MasterActions& out);
  void said(Instant now, PeerId peer, const ViewPresented& message, MasterActions& out);
  void said(Instant now, PeerId peer, const OutcomesPresented& message, MasterActions& out);
  void check_recovery(Instant now, MasterActions& out);
  void leave_recovery(const Peer& peer);
  void choose_views(Instant now, bool at_deadline, MasterActions& out);
  void finish_recovery(Instant now, MasterActions& out);
  void finish_group(Instant now, std::uint32_t number, const View& base, const Recovery& recovery, const Recovery& all,
                    MasterActions& out);
  /// Who cannot go on with the rest.
  struct Behind {
    std::set<PeerId> lacking;   ///< A result that the rest has committed.
    std::set<PeerId> outvoted;  ///< They tell of a commit that more others contradict.
    bool has(PeerId peer) const { return lacking.contains(peer) || outvoted.contains(peer); }
  };
  Behind members_behind(const View& base, const Recovery& recovery) const;
  /// `view`: null if nobody presented it.
  static void find_contradictions(const ViewId& id, Epoch epoch, const View* view, const Recovery& recovery,
                                  Behind& behind);
  void settle_recovered_ops(Group& group, const Recovery& recovery, const std::vector<Member>& survivors,
                            MasterActions& out);
  void expel_stranger(ConnectionId connection, const Error& error, MasterActions& out);
  Claim* claim_of(PeerId peer);
  void links_of_claim(Instant now, Claim& claim, const Linked& message);
  bool looks_at_missing(Instant now);
  std::optional<Instant> given_up_at(const Recovery& recovery, const View& view) const;
  Instant given_up_at(const Recovery& recovery, const View& view, std::uint32_t rank) const;
  std::map<RunId, std::vector<std::pair<PeerId, const Claim*>>> claims_by_run(const Recovery& recovery) const;

  // takeover.cpp
  void said(Instant now, PeerId peer, const ViewTaken& message, MasterActions& out);
  void note_taken(Group& group, PeerId peer, MasterActions& out);
  void stand_by(ConnectionId connection, std::string why, MasterActions& out);
  void send_newcomers_elsewhere(MasterActions& out);
  bool has_accepted_another(const Resume& message) const;
  void note_accepted_another(Instant now, ConnectionId connection, const Resume& message, MasterActions& out);
  void send_claimants_to_more(Instant now, MasterActions& out);
  void send_claimants_to(std::uint64_t serving_term, MasterActions& out);
  void tell_to_stay(Instant now, const std::map<std::uint32_t, ChosenView>& groups, MasterActions& out);
  bool may_begin(Instant now) const;
  bool another_may_serve_groups(Instant now) const;
  bool by_majority() const { return config_.has_others && !config_.has_lease; }
  bool must_step_down(const std::vector<Loss>& losses);
  void close_all(MasterActions& out);
  Footing next_footing(Group& group) const;
  MajorityChoice majority_of(std::uint32_t number, const RunId& run, bool told_only) const;
  void nobody_is_left(Instant now, MasterActions& out);
  void choose_to_take_over(Instant now, MasterActions& out);
  bool still_has_majority();
  void forget_claim(PeerId peer);

  // takeover_by_lease.cpp
  bool may_choose_by_lease(const std::map<std::uint32_t, ChosenView>& groups);
  void wait_for_lease(const std::string& why, MasterActions& out);
  bool some_have_told() const;
  bool has_lost_all(const std::set<PeerId>& lost) const;
  void send_claimants_elsewhere(Instant now, const std::string& why, MasterActions& out);
  void give_lease_up_for_others(Instant now, MasterActions& out);

  MasterConfig config_;
  AdmissionRules rules_;
  Instant stepped_at_;
  std::optional<Instant> pulse_at_;  ///< While somebody is connected, something happens at least so often.
  Random random_;
  RunId run_;
  std::uint64_t link_secret_ = 0;
  bool run_has_lived_ = false;  ///< A view was started or taken over: the run id is final.
  bool run_was_taken_over_ = false;
  std::map<std::uint32_t, Epoch> last_epochs_;  ///< By group, those without members too: epochs never go back.
  Instant started_at_;
  Instant bootstrap_at_;
  std::uint64_t arrivals_ = 0;

  Deadlines<TimerKey> timers_;
  std::map<ConnectionId, Connection> connections_;
  std::set<ConnectionId> strangers_;
  std::map<std::string, Source> sources_;
  std::map<PeerId, Peer> peers_;
  std::map<PartyId, std::set<PeerId>> parties_;  ///< Of those in peers_ that are of a party.
  std::size_t pending_ = 0;
  std::size_t claims_ = 0;
  std::map<std::uint32_t, Group> groups_;
  std::map<std::uint32_t, VisitorList> visitors_;
  std::uint64_t editions_ = 0;
  std::map<std::string, Backoff> backoffs_;
  std::optional<Recovering> recovering_;
  std::size_t votes_ = 0;  ///< Members that wait in update-topology.
  std::optional<Instant> update_since_;
  /// After taking over a run: until then former members of other groups may come back.
  Instant settled_at_{};
  std::map<PeerId, FormerPeer> expelled_;
  std::deque<PeerId> expelled_order_;
  bool news_changed_ = false;
  Instant news_at_{};
  /// With keys, that whoever opens a connection may make this master reckon.
  TokenBucket handshakes_{{.burst = limits::kHandshakesOfAllBurst, .per_second = limits::kHandshakesOfAllPerSecond}};
  TokenBucket status_answers_{
      {.burst = limits::kStatusAnswersPerSecond, .per_second = limits::kStatusAnswersPerSecond}};
  std::deque<Attested> attested_;      ///< The latest last,
  std::size_t attestations_kept_ = 0;  ///< and members of all these.
  // Where other masters may take the run over.
  bool serves_ = true;
  std::uint64_t term_ = 0;        ///< Of this master, while it serves.
  std::uint64_t known_term_ = 0;  ///< The highest that it has heard of.
  std::optional<Instant> others_seen_at_;
  OthersSeen others_seen_;
  std::optional<Instant> sent_to_more_at_;
  std::string lacking_;  ///< Why it does not take the run over.
  // Where a lease decides who serves.
  std::optional<std::uint64_t> lease_term_;  ///< While this master holds it,
  Instant lease_since_{};                    ///< and since when.
  LeaseSeen lease_seen_;
  std::optional<std::string> stepping_down_;
  std::set<PeerId> at_odds_;    ///< Members for whose sake it could not take the run over in the end,
  std::set<PeerId> set_aside_;  ///< and those of its last attempt, without whom this one is made.
  std::optional<RunStatus> status_made_;
  Instant status_made_at_{};
  RunTotals totals_;
};

std::string names_of(const std::vector<Member>& members);

}  // namespace hawser
