#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "membership/master_machine.hpp"
#include "membership/peer_machine.hpp"

namespace hawser {

/// A master and its peers, all real. Peers have numbers; what their machines ask for is carried out. A link stands as
/// soon as both ends want it with one secret and one of them can dial. Words and links need no time, unless the test
/// delivers them one by one; what is said over one connection stays in order.
class RunBench {
 public:
  struct Peer {
    explicit Peer(std::uint64_t given) : number(given) {}
    std::uint64_t number;
    PeerMachine machine{PeerBounds{}};
    bool lives = true;
    std::optional<ConnectionId> control;
    WantLinks wanted;
    std::set<std::uint64_t> up;
    std::vector<Member> group_members;
    std::vector<Member> visitors;
    std::optional<Error> connect_ended;
    std::vector<Error> updates;           ///< How its calls of update-topology ended.
    std::set<OpKey> begun;
    std::set<OpKey> reported;
    std::set<OpKey> committed;
    std::map<OpKey, Error> aborted;
    std::set<OpKey> may_begin_again;  ///< Of these.
    std::set<OpKey> relayed;          ///< That it was told of as a relay.
    std::size_t views = 0;                ///< That were started here.
    std::size_t redials = 0;
  };

  explicit RunBench(MasterConfig config = {}, std::uint64_t seed = 1) : config_(config), master_(in_place(seed)) {}

  Instant now{};

  Peer& peer(std::uint64_t number) { return peers_.try_emplace(number, number).first->second; }
  PeerMachine& machine(std::uint64_t number) { return peer(number).machine; }
  static std::string host(std::uint64_t number) { return "10.0.0." + std::to_string(number); }

  // ------------------------------------------------------------------------------ calls of the application

  void connect(std::uint64_t number, bool prefetch = false, std::uint32_t group = 0, const Party& party = {}) {
    act(number, [&](PeerMachine& machine, PeerActions& out) {
      machine.connect(now,
                      {.id = {number},
                       .token = number,
                       .group = group,
                       .name = "p" + std::to_string(number),
                       .address = {.host = host(number), .port = 1},
                       .party = party},
                      prefetch, out);
    });
  }
  void connect_relay(std::uint64_t number) {
    act(number, [&](PeerMachine& machine, PeerActions& out) {
      machine.connect(now,
                      {.id = {number},
                       .token = number,
                       .name = "p" + std::to_string(number),
                       .address = {.host = host(number), .port = 1},
                       .is_relay = true},
                      false, out);
    });
  }
  void prefetch_over(std::uint64_t number) {
    act(number, [&](PeerMachine& machine, PeerActions& out) { machine.prefetch_over(out); });
  }
  void update(const std::vector<std::uint64_t>& numbers) {
    for (const auto number : numbers)
      act(number, [&](PeerMachine& machine, PeerActions& out) { machine.update_topology(now, out); });
  }
  void leave(std::uint64_t number) {
    act(number, [&](PeerMachine& machine, PeerActions& out) { machine.leave(out); });
  }
  OpKey begin(std::uint64_t number, std::uint64_t tag, const Signature& signature = {.count = 10},
              bool needs_relays = false) {
    const auto key = machine(number).begin(now, tag, signature, std::nullopt, needs_relays);
    REQUIRE(key.ok());
    peer(number).begun.insert(*key);
    return *key;
  }
  /// It says that the collective has stood still for long, and for whom it waits.
  void complain(std::uint64_t number, const OpKey& key, const std::vector<std::uint64_t>& waits_for) {
    act(number, [&](PeerMachine& machine, PeerActions& out) {
      Complaint complaint{.key = key, .stalled_ms = 6000};
      for (const std::uint64_t other : waits_for) complaint.waiting_for.push_back(PeerId{other});
      machine.complain(complaint, out);
    });
  }
  void result_whole(std::uint64_t number, const OpKey& key) {
    peer(number).reported.insert(key);
    act(number, [&](PeerMachine& machine, PeerActions& out) { machine.result_whole(key, out); });
  }
  /// It has called it, and does not know its outcome or has no result yet.
  bool is_open(std::uint64_t number, const OpKey& key) {
    const Peer& one = peer(number);
    return !one.reported.contains(key) && !one.committed.contains(key) && !one.aborted.contains(key);
  }
  /// All members of its view have called it, as far as they live: else nobody has a result.
  bool all_begun(const OpKey& key) const {
    const auto view = views_.find(key.view);
    return view != views_.end() &&
           std::all_of(view->second.begin(), view->second.end(), [&](std::uint64_t number) {
             return peers_.at(number).begun.contains(key);
           });
  }
  /// A collective of these members, from its call to its commit.
  void collective(const std::vector<std::uint64_t>& numbers, std::uint64_t tag,
                  const Signature& signature = {.count = 10}) {
    std::vector<std::pair<std::uint64_t, OpKey>> begun;
    for (const auto number : numbers) begun.emplace_back(number, begin(number, tag, signature));
    for (const auto& [number, key] : begun) result_whole(number, key);
  }
  void measured(std::uint64_t number, const LinkRow& row) {
    act(number, [&](PeerMachine& machine, PeerActions& out) { machine.measured(row, out); });
  }

  // -------------------------------------------------------------------------------------- what goes wrong

  /// The control connection breaks: what is on its way is lost, and both ends notice.
  void cut(std::uint64_t number) {
    const auto connection = peer(number).control;
    if (!connection) return;
    Wire& wire = wires_.at(*connection);
    if (std::exchange(wire.is_cut, true)) return;
    wire.up.clear();
    wire.down.clear();
    if (!wire.master_has_gone) wire.up.emplace_back(ConnectionClosed{*connection, "cut"});
    wire.down.emplace_back(Broken{"cut"});
    settle();
  }
  /// All connections of a link break; it is opened anew if it can be.
  void cut_link(std::uint64_t a, std::uint64_t b) {
    if (!peer(a).up.contains(b)) return;
    take_down(peer(a), peer(b));
    settle();
  }
  /// From now on `from` can't dial `to`; a link between them breaks.
  void forbid(std::uint64_t from, std::uint64_t to) {
    forbidden_.insert({from, to});
    cut_link(from, to);
  }
  void allow(std::uint64_t from, std::uint64_t to) {
    forbidden_.erase({from, to});
    settle();
  }
  /// Its process is gone: its connections close, and whoever dials it is refused.
  void kill(std::uint64_t number) {
    Peer& one = peer(number);
    one.lives = false;
    if (const auto connection = std::exchange(one.control, std::nullopt)) {
      Wire& wire = wires_.at(*connection);
      wire.down.clear();
      wire.peer_has_gone = true;
      if (!wire.master_has_gone && !wire.is_cut) wire.up.emplace_back(ConnectionClosed{*connection, "closed by peer"});
    }
    const std::set<std::uint64_t> linked = std::exchange(one.up, {});
    for (const std::uint64_t other : linked) {
      peer(other).up.erase(number);
      peer(other).machine.link_changed(now, {number}, LinkChange::down);
      peer(other).machine.link_changed(now, {number}, LinkChange::refused);
    }
    settle();
  }
  void kill_master() {
    master_.reset();
    for (auto& [id, wire] : wires_) {
      wire.up.clear();
      wire.down.clear();
      wire.master_has_gone = true;
      if (!wire.peer_has_gone) wire.down.emplace_back(Broken{"killed"});
    }
    settle();
  }
  void start_master(std::uint64_t seed) { master_ = in_place(seed); }
  /// The master reads nothing and does nothing.
  void sleep_master() { asleep_ = true; }
  void wake_master() {
    asleep_ = false;
    settle();
  }

  // --------------------------------------------------------------------------------------------- strangers

  /// A connection to the master without a peer behind it. None if there is no master.
  std::optional<ConnectionId> open_stranger(const std::string& from) {
    if (!master_) return std::nullopt;
    const ConnectionId id{++connections_};
    wires_[id].peer = kStranger;
    wires_[id].up.emplace_back(ConnectionOpened{.connection = id, .remote_host = from});
    settle();
    return id;
  }
  void stranger_says(ConnectionId id, PeerMessage message) {
    if (!is_open(id)) return;
    wires_.at(id).up.emplace_back(PeerSaid{id, std::move(message)});
    settle();
  }
  void close_stranger(ConnectionId id) {
    if (!is_open(id)) return;
    wires_.at(id).peer_has_gone = true;
    wires_.at(id).up.emplace_back(ConnectionClosed{id, "closed by peer"});
    settle();
  }
  /// Neither end has closed it.
  bool is_open(ConnectionId id) const {
    const auto wire = wires_.find(id);
    return wire != wires_.end() && !wire->second.master_has_gone && !wire->second.peer_has_gone;
  }
  /// What strangers were told since this was last asked.
  std::vector<std::pair<ConnectionId, MasterMessage>> told_to_strangers() { return std::exchange(strangers_told_, {}); }

  // -------------------------------------------------------------------------------------------------- time

  void pass(Duration time) {
    const Instant until = now + time;
    settle();
    while (const auto next = next_deadline()) {
      if (*next > until) break;
      now = std::max(now, *next);
      tick();
    }
    now = until;
    tick();
  }
  /// From now on the test delivers, or all is delivered at once again.
  void hold(bool held) {
    held_ = held;
    settle();
  }
  /// One word or link of those that are under way, whichever; false if there is none.
  bool deliver(Random& random) {
    std::vector<std::pair<ConnectionId, bool>> ready;
    for (const auto& [id, wire] : wires_) {
      if (!wire.up.empty() && !asleep_) ready.emplace_back(id, true);
      if (!wire.down.empty()) ready.emplace_back(id, false);
    }
    const auto links = links_to_open();
    const std::size_t choices = ready.size() + links.size() + failed_dials_.size();
    if (choices == 0) return false;
    std::size_t at = random.below(choices);
    if (at < ready.size()) {
      deliver(ready[at].first, ready[at].second);
    } else if (at -= ready.size(); at < links.size()) {
      open_link(peer(links[at].first), peer(links[at].second));
    } else {
      fail_dial(at - links.size());
    }
    return true;
  }

  // ---------------------------------------------------------------------------------------- what has become

  /// Members as this peer sees them.
  std::vector<std::uint64_t> view(std::uint64_t number) { return numbers_of(machine(number).view().members); }
  std::vector<std::uint64_t> group_members(std::uint64_t number) { return numbers_of(peer(number).group_members); }
  std::vector<std::uint64_t> visitors(std::uint64_t number) { return numbers_of(peer(number).visitors); }
  std::vector<std::uint64_t> links(std::uint64_t number) {
    return {peer(number).up.begin(), peer(number).up.end()};
  }
  std::size_t updates(std::uint64_t number) {
    const auto& ended = peer(number).updates;
    return static_cast<std::size_t>(std::count_if(
        ended.begin(), ended.end(), [](const Error& error) { return error.status == Status::success; }));
  }
  /// How often a link came to stand, since the run began.
  std::size_t links_opened() const { return links_opened_; }
  bool has_master() const { return master_.has_value(); }
  MasterMachine::Snapshot snapshot() const { return master_->snapshot(); }

 private:
  struct Opened {};
  struct Broken {
    std::string reason;
  };
  static constexpr std::uint64_t kStranger = 0;
  /// A control connection, and what is on its way over it.
  struct Wire {
    std::uint64_t peer = 0;
    bool peer_has_gone = false;
    bool master_has_gone = false;
    bool is_cut = false;  ///< What either side says is lost, whether it has noticed or not.
    std::deque<MasterEvent> up;
    std::deque<std::variant<Opened, MasterMessage, Broken>> down;
  };

  std::optional<MasterMachine> in_place(std::uint64_t seed) {
    return std::optional<MasterMachine>(std::in_place, config_, seed, now);
  }
  static std::vector<std::uint64_t> numbers_of(const std::vector<Member>& members) {
    std::vector<std::uint64_t> all;
    for (const Member& member : members) all.push_back(member.id.value);
    return all;
  }

  std::optional<Instant> next_deadline() const {
    std::optional<Instant> next = master_ && !asleep_ ? master_->next_deadline() : std::nullopt;
    for (const auto& [number, one] : peers_)
      if (one.lives) next = earlier(next, one.machine.next_deadline());
    return next;
  }
  void tick() {
    if (master_ && !asleep_) step(Tick{});
    for (auto& [number, one] : peers_)
      if (one.lives)
        act(number, [&](PeerMachine& machine, PeerActions& out) {
          machine.tick(now, out);
          const auto next = machine.next_deadline();
          REQUIRE((!next || *next > now));
        });
    settle();
  }

  void settle() {
    if (held_ || std::exchange(settling_, true)) return;
    for (bool any = true; any;) {
      any = false;
      std::vector<ConnectionId> open;
      for (const auto& [id, wire] : wires_) open.push_back(id);
      for (const ConnectionId id : open) {
        any = (!asleep_ && deliver(id, true)) || any;
        any = deliver(id, false) || any;
      }
      while (!failed_dials_.empty()) {
        fail_dial(0);
        any = true;
      }
      for (const auto& [a, b] : links_to_open()) {
        open_link(peer(a), peer(b));
        any = true;
      }
    }
    settling_ = false;
  }
  bool deliver(ConnectionId id, bool up) {
    const auto found = wires_.find(id);
    if (found == wires_.end()) return false;
    Wire& wire = found->second;
    if (up ? wire.up.empty() : wire.down.empty()) return false;
    if (up) {
      const MasterEvent event = std::move(wire.up.front());
      wire.up.pop_front();
      if (std::holds_alternative<ConnectionClosed>(event)) wire.master_has_gone = true;
      if (master_) step(event);
    } else {
      const auto word = std::move(wire.down.front());
      wire.down.pop_front();
      const std::uint64_t number = wire.peer;
      if (number == kStranger) {
        if (const auto* const message = std::get_if<MasterMessage>(&word)) strangers_told_.emplace_back(id, *message);
        wire.peer_has_gone = wire.peer_has_gone || std::holds_alternative<Broken>(word);
      } else {
        act(number, [&](PeerMachine& machine, PeerActions& out) {
          if (std::holds_alternative<Opened>(word)) {
            machine.master_up(now, {}, out);
          } else if (const auto* const message = std::get_if<MasterMessage>(&word)) {
            machine.master_said(now, *message, out);
          } else {
            peer(number).control.reset();
            wire.peer_has_gone = true;
            machine.master_down(now, std::get<Broken>(word).reason, false, out);
          }
        });
      }
    }
    if (const auto still = wires_.find(id); still != wires_.end() && still->second.peer_has_gone &&
                                            still->second.up.empty() && still->second.down.empty())
      wires_.erase(still);
    return true;
  }
  void fail_dial(std::size_t at) {
    const std::uint64_t number = failed_dials_[at];
    failed_dials_.erase(failed_dials_.begin() + static_cast<std::ptrdiff_t>(at));
    act(number, [&](PeerMachine& machine, PeerActions& out) { machine.master_down(now, "no master", false, out); });
  }

  void step(const MasterEvent& event) {
    MasterActions actions;
    master_->step(now, event, actions);
    for (const auto& action : one_by_one(std::move(actions))) {
      if (const auto* const send = std::get_if<SendToPeer>(&action)) {
        Wire& wire = wires_.at(send->connection);
        CHECK_FALSE(wire.master_has_gone);
        if (!wire.peer_has_gone && !wire.is_cut) wire.down.emplace_back(send->message);
      } else if (const auto* const close = std::get_if<CloseConnection>(&action)) {
        Wire& wire = wires_.at(close->connection);
        wire.master_has_gone = true;
        wire.up.clear();
        if (!wire.peer_has_gone && !wire.is_cut) wire.down.emplace_back(Broken{close->reason});
      }
    }
  }

  template <class Call>
  void act(std::uint64_t number, const Call& call) {
    Peer& one = peer(number);
    PeerActions actions;
    call(one.machine, actions);
    for (const auto& action : actions)
      std::visit([&](const auto& asked) { carry_out(one, asked); }, action);
    settle();
  }

  void carry_out(Peer&, const DialPeer&) {}
  void carry_out(Peer& one, const DialMaster&) {
    ++one.redials;
    if (!master_) {
      failed_dials_.push_back(one.number);
      return;
    }
    one.control = ConnectionId{++connections_};
    Wire& wire = wires_[*one.control];
    wire.peer = one.number;
    wire.up.emplace_back(ConnectionOpened{.connection = *one.control,
                                          .remote_host = host(one.number)});
    wire.down.emplace_back(Opened{});
  }
  void carry_out(Peer& one, const CloseMaster&) {
    std::erase(failed_dials_, one.number);
    const auto connection = std::exchange(one.control, std::nullopt);
    if (!connection) return;
    Wire& wire = wires_.at(*connection);
    wire.peer_has_gone = true;
    wire.down.clear();
    if (!wire.master_has_gone && !wire.is_cut) wire.up.emplace_back(ConnectionClosed{*connection, "closed by peer"});
  }
  void carry_out(Peer& one, const SendMaster& send) {
    if (!one.control) return;
    Wire& wire = wires_.at(*one.control);
    if (!wire.master_has_gone && !wire.is_cut) wire.up.emplace_back(PeerSaid{*one.control, send.message});
  }
  void carry_out(Peer& one, const WantLinks& wanted) {
    std::set<std::uint64_t> named;
    for (const auto& wish : wanted.peers) {
      CHECK(named.insert(wish.peer.id.value).second);
      CHECK(wish.peer.id.value != one.number);
    }
    const bool anew = wanted.secret != one.wanted.secret;
    one.wanted = wanted;
    const std::set<std::uint64_t> before = one.up;
    for (const std::uint64_t other : before) {
      if (!anew && named.contains(other)) continue;
      // The end that closes a link knows.
      one.up.erase(other);
      if (peer(other).up.erase(one.number) > 0)
        peer(other).machine.link_changed(now, {one.number}, LinkChange::down);
    }
  }
  void carry_out(Peer& one, const GroupMembersKnown& known) { one.group_members = known.members; }
  void carry_out(Peer& one, const VisitorsKnown& known) { one.visitors = known.visitors; }
  void carry_out(Peer& one, const ConnectEnded& ended) { one.connect_ended = ended.error; }
  void carry_out(Peer& one, const UpdateEnded& ended) { one.updates.push_back(ended.error); }
  void carry_out(Peer& one, const ViewStarted& started) {
    ++one.views;
    views_[started.view.id] = numbers_of(started.view.members);
  }
  void carry_out(Peer& one, const OpCommitted& op) { CHECK(one.committed.insert(op.key).second); }
  void carry_out(Peer& one, const OpAborted& op) {
    CHECK(one.aborted.emplace(op.key, op.error).second);
    if (op.may_begin_again) one.may_begin_again.insert(op.key);
  }
  void carry_out(Peer& one, const RelayCalled& called) { CHECK(one.relayed.insert(called.key).second); }
  void carry_out(Peer&, const LogEvent&) {}

  /// Whether one of the two wants the link and may dial it.
  bool dials(const Peer& one, const Peer& other) const {
    return !forbidden_.contains({one.number, other.number}) &&
           std::any_of(one.wanted.peers.begin(), one.wanted.peers.end(), [&](const auto& wish) {
             return wish.peer.id.value == other.number && wish.dial_after;
           });
  }
  static bool wants(const Peer& one, const Peer& other) {
    return std::any_of(one.wanted.peers.begin(), one.wanted.peers.end(),
                       [&](const auto& wish) { return wish.peer.id.value == other.number; });
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> links_to_open() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> pairs;
    for (const auto& [number, one] : peers_)
      for (const auto& wish : one.wanted.peers) {
        const auto other = peers_.find(wish.peer.id.value);
        if (other == peers_.end() || number > other->first || one.up.contains(other->first)) continue;
        const Peer& two = other->second;
        if (!one.lives || !two.lives || !wants(two, one) || one.wanted.secret != two.wanted.secret) continue;
        if (dials(one, two) || dials(two, one)) pairs.emplace_back(number, other->first);
      }
    return pairs;
  }
  void open_link(Peer& one, Peer& other) {
    ++links_opened_;
    one.up.insert(other.number);
    other.up.insert(one.number);
    one.machine.link_changed(now, {other.number}, LinkChange::up);
    other.machine.link_changed(now, {one.number}, LinkChange::up);
  }
  void take_down(Peer& one, Peer& other) {
    one.up.erase(other.number);
    other.up.erase(one.number);
    one.machine.link_changed(now, {other.number}, LinkChange::down);
    other.machine.link_changed(now, {one.number}, LinkChange::down);
  }

  MasterConfig config_;
  std::optional<MasterMachine> master_;
  std::map<std::uint64_t, Peer> peers_;
  std::map<ViewId, std::vector<std::uint64_t>> views_;
  std::map<ConnectionId, Wire> wires_;
  std::vector<std::uint64_t> failed_dials_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> forbidden_;
  bool held_ = false;
  bool asleep_ = false;
  bool settling_ = false;
  std::vector<std::pair<ConnectionId, MasterMessage>> strangers_told_;
  std::uint64_t connections_ = 0;
  std::size_t links_opened_ = 0;
};

}  // namespace hawser
