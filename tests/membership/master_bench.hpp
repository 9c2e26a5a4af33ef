#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "membership/master_machine.hpp"

namespace hawser {

using Peers = std::vector<std::uint64_t>;

inline Peers numbers(const std::vector<Member>& members) {
  Peers all;
  for (const Member& member : members) all.push_back(member.id.value);
  return all;
}

inline ViewMark mark_of(const View& view) {
  return {.epoch = view.epoch, .id = view.id, .size = view.size(), .fingerprint = fingerprint(view)};
}

/// Nobody is silent in these tests.
inline constexpr MasterConfig kPatient{.silence = seconds(3600)};

/// A master with hand-made peers: messages go in by peer number, and what each peer is told is kept. Each comes from a
/// host of its own, unless the test says otherwise. Lists that come as differences are put together as peers do.
class MasterBench {
 public:
  explicit MasterBench(MasterConfig config = {}, std::uint64_t seed = 1, AdmissionRules rules = {})
      : config_(config), master_(config, seed, now, std::move(rules)) {}

  Instant now{};

  static PeerId id(std::uint64_t peer) { return {peer}; }
  /// "10.0.0.7" for peer 7.
  static std::string host(std::uint64_t peer) {
    return "10." + std::to_string(peer >> 16 & 255) + "." + std::to_string(peer >> 8 & 255) + "." +
           std::to_string(peer & 255);
  }

  // ------------------------------------------------------------------------------ connections and time

  /// What its connections prove, from now on.
  void hold(std::uint64_t peer, const Badge& badge) { badges_[peer] = badge; }
  /// The rules that were to be kept, last and how often.
  const AdmissionRules& kept_rules() const { return kept_rules_; }
  int rules_kept() const { return rules_kept_; }
  /// Where its connections come from, from now on.
  void come_from(std::uint64_t peer, const std::string& host) { host_of_[peer] = host; }
  void open(std::uint64_t peer) {
    const ConnectionId connection{++connections_};
    newest_[peer] = connection;
    ++opened_[peer];
    opened_by_[connection] = peer;
    open_.insert(connection);
    const auto from = host_of_.find(peer);
    step(ConnectionOpened{.connection = connection,
                          .remote_host = from == host_of_.end() ? host(peer) : from->second,
                          .remote_port = static_cast<std::uint16_t>(60'000 + peer)});
    if (const auto badge = badges_.find(peer); badge != badges_.end() && open_.contains(connection))
      step(Authenticated{.connection = connection, .badge = badge->second});
  }
  void see_others(const OthersSeen& seen) { step(seen); }
  // Of a master with a lease.
  void take_lease(std::uint64_t term) { step(LeaseTaken{term}); }
  void lose_lease() { step(LeaseLost{"its time is over"}); }
  void see_lease(std::uint64_t revision) { step(LeaseSeen{revision, "another one holds the lease"}); }
  int leases_given_up() const { return leases_given_up_; }
  /// An update-topology that says nothing of rounds is of the newest one that the peer knows of.
  void say(std::uint64_t peer, PeerMessage message) {
    if (auto* const call = std::get_if<UpdateCall>(&message); call != nullptr && call->update_round == 0)
      call->update_round = update_rounds_[peer];
    say_on(newest_.at(peer), std::move(message));
  }
  std::uint64_t update_round(std::uint64_t peer) { return update_rounds_[peer]; }
  void close(std::uint64_t peer) { close_connection(newest_.at(peer)); }
  /// Of a peer with several connections.
  ConnectionId newest(std::uint64_t peer) const { return newest_.at(peer); }
  void say_on(ConnectionId connection, PeerMessage message) { step(PeerSaid{connection, std::move(message)}); }
  void close_connection(ConnectionId connection) {
    open_.erase(connection);
    step(ConnectionClosed{connection, "closed"});
  }
  /// Time passes, with a tick at each deadline as a driver gives it.
  void pass(Duration time) {
    const Instant until = now + time;
    for (auto next = master_.next_deadline(); next && *next < until; next = master_.next_deadline()) {
      now = std::max(now, *next);
      tick();
    }
    now = until;
    tick();
  }
  /// The same, and these are heard of all the while.
  void pass_alive(Duration time, const Peers& peers) {
    for (const Instant until = now + time; now < until;) {
      for (const auto peer : peers) say(peer, Ping{});
      pass(std::min<Duration>(seconds(1), until - now));
    }
    for (const auto peer : peers) say(peer, Ping{});
  }
  /// Time passes without the master.
  void sleep(Duration time) { now += time; }

  // -------------------------------------------------------------------------------------------- coming

  Introduction introduction(std::uint64_t peer, std::uint32_t group = 0) const {
    const auto opened = opened_.find(peer);
    return {.id = id(peer), .token = peer * 11, .connection = opened == opened_.end() ? 0 : opened->second,
            .group = group, .name = "p" + std::to_string(peer),
            .address = {.host = host(peer), .port = static_cast<std::uint16_t>(1000 + peer % 50000)}};
  }
  void hello(std::uint64_t peer, std::uint32_t group = 0) {
    open(peer);
    say(peer, Hello{introduction(peer, group)});
  }
  /// A newcomer that fetches state first.
  void hello_guest(std::uint64_t peer, std::uint32_t group = 0) {
    open(peer);
    say(peer, Hello{.who = introduction(peer, group), .prefetches = true});
  }
  /// Links come to stand, as both ends say.
  void link(std::uint64_t a, std::uint64_t b) {
    say(a, Linked{.all = false, .up = {id(b)}, .down = {}, .refused = {}});
    say(b, Linked{.all = false, .up = {id(a)}, .down = {}, .refused = {}});
  }
  /// This one says that its links to these are down.
  void link_down(std::uint64_t peer, const Peers& others, bool refused = false) {
    Linked word;
    for (const auto other : others) word.down.push_back(id(other));
    if (refused) word.refused = word.down;
    say(peer, std::move(word));
  }
  /// The same for all pairs of these, in few words.
  void link_all(const Peers& peers) {
    for (const auto peer : peers) {
      Linked word;
      for (const auto other : peers)
        if (other != peer) word.up.push_back(id(other));
      say(peer, std::move(word));
    }
  }
  /// All links that this visitor was told to open come to stand.
  void link(std::uint64_t peer) {
    std::set<std::uint64_t> others;
    for (const auto* const list : {&group_members_[peer], &visitors_[peer]})
      for (const Member& member : *list) others.insert(member.id.value);
    others.erase(peer);
    for (const std::uint64_t other : others) link(peer, other);
  }
  /// Newcomers that are ready to be admitted.
  void arrive(const Peers& peers, std::uint32_t group = 0) {
    for (const auto peer : peers) hello(peer, group);
    pass(milliseconds(100));
    for (const auto peer : peers) link(peer);
  }
  void call_update(const Peers& peers) {
    for (const auto peer : peers) say(peer, UpdateCall{});
  }
  /// A run of members 1 to n.
  void found(std::uint64_t n) {
    Peers all;
    for (std::uint64_t peer = 1; peer <= n; ++peer) all.push_back(peer);
    arrive(all);
    pass(config_.bootstrap);
    REQUIRE(members(1) == all);
  }

  // ---------------------------------------------------------------------------------------- collectives

  OpKey key(std::uint64_t peer, std::uint64_t tag = 0, std::uint64_t sequence = 0) const {
    return {.epoch = view(peer).epoch, .view = view(peer).id, .tag = tag, .sequence = sequence};
  }
  void begun(std::uint64_t peer, const OpKey& key, std::uint64_t count = 10) {
    say(peer, Begun{.key = key, .signature = {.count = count}});
  }
  void report(std::uint64_t peer, const OpKey& key, std::uint64_t count = 10) {
    say(peer, Report{.key = key, .signature = {.count = count}});
  }
  static UndecidedOp undecided(const OpKey& key, bool reported, std::uint64_t count = 10) {
    return {.key = key, .signature = {.count = count}, .reported = reported};
  }

  // ----------------------------------------------------------------------------------------- coming back

  /// What a member says after its connection broke.
  Resume memory(std::uint64_t peer) {
    return {.who = introduction(peer, view(peer).group), .run = last<Welcome>(peer).run, .view = mark_of(view(peer))};
  }
  /// It opens another connection to this master, which asks for what it knows; that is told.
  void resume(std::uint64_t peer, const OutcomesPresented& known = {}) {
    open(peer);
    say(peer, memory(peer));
    CHECK(last<Present>(peer).outcomes);
    say(peer, known);
  }
  /// A member of another master's run comes to this one. It tells its view if it is asked for that.
  void come_back(MasterBench& before, std::uint64_t peer, Resume claim) {
    say_back(before, peer, std::move(claim));
    present_view(peer);
  }
  /// The same, without its view.
  void say_back(MasterBench& before, std::uint64_t peer, Resume claim) {
    open(peer);
    claim.who.connection = opened_.at(peer);
    views_[peer] = before.view(peer);
    say(peer, claim);
  }
  void come_back(MasterBench& before, std::uint64_t peer) { come_back(before, peer, before.memory(peer)); }
  void present_view(std::uint64_t peer) {
    if (count<Present>(peer) == 0 || !last<Present>(peer).view) return;
    say(peer, ViewPresented{view(peer)});
  }
  /// All who are asked for the outcomes that they know tell them.
  void present_outcomes(const Peers& peers, const OutcomesPresented& known = {}) {
    for (const auto peer : peers) {
      CHECK(last<Present>(peer).outcomes);
      say(peer, known);
    }
  }

  // ------------------------------------------------------------------------------------ what was told

  const View& view(std::uint64_t peer) const {
    const auto found = views_.find(peer);
    REQUIRE(found != views_.end());
    return found->second;
  }
  bool is_member(std::uint64_t peer) const { return views_.contains(peer); }
  Peers members(std::uint64_t peer) const { return numbers(view(peer).members); }
  Peers group_members(std::uint64_t peer) { return numbers(group_members_[peer]); }
  Peers visitors(std::uint64_t peer) { return numbers(visitors_[peer]); }
  template <class Message>
  std::size_t count(std::uint64_t peer) const {
    std::size_t n = 0;
    if (const auto found = told_.find(peer); found != told_.end())
      for (const auto& message : found->second) n += std::holds_alternative<Message>(message) ? 1 : 0;
    return n;
  }
  template <class Message>
  std::vector<Message> all(std::uint64_t peer) const {
    std::vector<Message> those;
    if (const auto found = told_.find(peer); found != told_.end())
      for (const auto& message : found->second)
        if (const auto* const one = std::get_if<Message>(&message)) those.push_back(*one);
    return those;
  }
  template <class Message>
  const Message& last(std::uint64_t peer) {
    const Message* newest = nullptr;
    for (const auto& message : told_[peer])
      if (const auto* const one = std::get_if<Message>(&message)) newest = one;
    REQUIRE(newest != nullptr);
    return *newest;
  }
  /// In order, what one was told.
  const std::vector<MasterMessage>& told(std::uint64_t peer) { return told_[peer]; }
  /// What it was told so far.
  void forget(std::uint64_t peer) { told_[peer].clear(); }
  /// Its newest connection was closed by the master.
  bool closed(std::uint64_t peer) const { return closed_.contains(newest_.at(peer)); }
  bool closed(ConnectionId connection) const { return closed_.contains(connection); }
  std::optional<ConnectionRole> role_of(std::uint64_t peer) const {
    const auto found = roles_.find(newest_.at(peer));
    return found == roles_.end() ? std::nullopt : std::optional(found->second);
  }
  MasterMachine& machine() { return master_; }
  std::uint32_t pending() const { return master_.snapshot().pending; }

  /// How many log events of that name there were.
  std::size_t logged(const std::string& what) const {
    const auto found = logged_.find(what);
    return found == logged_.end() ? 0 : found->second;
  }

 private:
  /// A deadline that is still due after it would make a driver spin, and the master believe that it slept.
  void tick() {
    step(Tick{});
    const auto next = master_.next_deadline();
    REQUIRE((!next || *next > now));
  }
  void step(const MasterEvent& event) {
    MasterActions actions;
    master_.step(now, event, actions);
    bool is_command_answered = false;
    for (auto& action : one_by_one(std::move(actions))) {
      if (auto* const send = std::get_if<SendToPeer>(&action)) {
        REQUIRE(open_.contains(send->connection));
        const std::uint64_t peer = opened_by_.at(send->connection);
        is_command_answered = is_command_answered || std::holds_alternative<CommandDone>(send->message);
        if (newest_.at(peer) != send->connection) continue;
        std::visit([&](const auto& message) { note(peer, message); }, send->message);
        told_[peer].push_back(std::move(send->message));
      } else if (const auto* const close = std::get_if<CloseConnection>(&action)) {
        REQUIRE(open_.erase(close->connection) == 1);
        closed_[close->connection] = close->reason;
      } else if (const auto* set = std::get_if<SetConnectionRole>(&action)) {
        REQUIRE(open_.contains(set->connection));
        roles_[set->connection] = set->role;
      } else if (const auto* const rules = std::get_if<KeepRules>(&action)) {
        CHECK_FALSE(is_command_answered);
        kept_rules_ = rules->rules;
        ++rules_kept_;
      } else if (std::holds_alternative<GiveLeaseUp>(action)) {
        ++leases_given_up_;
      } else if (const auto* const line = std::get_if<LogEvent>(&action)) {
        ++logged_[line->what];
      }
    }
  }
  void note(std::uint64_t peer, const StartView& start) {
    View& view = views_[peer];
    if (view.size() == 0) update_rounds_[peer] = start.update_round;
    // One that comes again had perhaps not heard of it.
    CHECK((start.epoch > view.epoch || start.id == view.id));
    REQUIRE((start.members.whole || start.base == view.id));
    REQUIRE(hawser::apply(start.members, view.members));
    view.epoch = start.epoch;
    view.id = start.id;
    view.group = start.group;
    view.link_secret = start.link_secret;
    CHECK(start.fingerprint == fingerprint(view));
    CHECK(view.find(id(peer)) != nullptr);
    group_members_[peer].clear();
  }
  void note(std::uint64_t peer, const GroupMembers& told) {
    REQUIRE(hawser::apply(told.members, group_members_[peer]));
  }
  void note(std::uint64_t peer, const Visitors& told) { REQUIRE(hawser::apply(told.visitors, visitors_[peer])); }
  void note(std::uint64_t peer, const UpdateDone& done) {
    update_rounds_[peer] = std::max(update_rounds_[peer], done.update_round);
  }
  void note(std::uint64_t peer, const Committed& committed) {
    update_rounds_[peer] = std::max(update_rounds_[peer], committed.update_round);
  }
  template <class Message>
  void note(std::uint64_t, const Message&) {}

  std::map<std::uint64_t, std::uint64_t> update_rounds_;

  std::map<std::uint64_t, Badge> badges_;
  AdmissionRules kept_rules_;
  int rules_kept_ = 0;
  int leases_given_up_ = 0;
  MasterConfig config_;
  MasterMachine master_;
  std::uint64_t connections_ = 0;
  std::map<std::string, std::size_t> logged_;
  std::map<std::uint64_t, std::string> host_of_;
  std::map<std::uint64_t, ConnectionId> newest_;
  std::map<std::uint64_t, std::uint64_t> opened_;  ///< How many connections each opened.
  std::map<ConnectionId, std::uint64_t> opened_by_;
  std::set<ConnectionId> open_;
  std::map<ConnectionId, std::string> closed_;  ///< By the master.
  std::map<ConnectionId, ConnectionRole> roles_;
  std::map<std::uint64_t, std::vector<MasterMessage>> told_;
  std::map<std::uint64_t, View> views_;
  std::map<std::uint64_t, std::vector<Member>> group_members_;
  std::map<std::uint64_t, std::vector<Member>> visitors_;
};

}  // namespace hawser
