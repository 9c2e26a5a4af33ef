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
#include "membership/peer_machine.hpp"

namespace hawser {

/// A master and its peers, all real, in a world where words and links need no time: a link stands as soon as
/// both ends want it with one secret. Peers have numbers; what their machines ask for is carried out.
class RunBench {
 public:
  struct Peer {
    explicit Peer(std::uint64_t given) : number(given) {}
    std::uint64_t number;
    PeerMachine machine{PeerBounds{}};
    std::optional<ConnectionId> control;
    bool wants_master = false;
    WantLinks wanted;
    std::set<std::uint64_t> up;
    std::vector<Member> hosts;
    std::vector<Member> guests;
    std::optional<Error> connect_ended;
    std::size_t updates = 0;
  };

  Instant now{};

  Peer& peer(std::uint64_t number) { return peers_.try_emplace(number, number).first->second; }

  void connect(std::uint64_t number, bool prefetch = false, std::uint32_t group = 0) {
    Peer& one = peer(number);
    act(one, [&](PeerActions& out) {
      one.machine.connect(now,
                          {.id = {number},
                           .token = number,
                           .group = group,
                           .name = "p" + std::to_string(number),
                           .address = {.host = "127.0.0.1", .port = 1}},
                          prefetch, out);
    });
  }
  void prefetch_over(std::uint64_t number) {
    Peer& one = peer(number);
    act(one, [&](PeerActions& out) { one.machine.prefetch_over(out); });
  }
  void update(const std::vector<std::uint64_t>& numbers) {
    for (const auto number : numbers) {
      Peer& one = peer(number);
      act(one, [&](PeerActions& out) { one.machine.update_topology(now, out); });
    }
  }
  void leave(std::uint64_t number) {
    Peer& one = peer(number);
    act(one, [&](PeerActions& out) { one.machine.leave(out); });
  }
  /// A collective of these members, from its call to its commit.
  void collective(const std::vector<std::uint64_t>& numbers, std::uint64_t tag,
                  const Signature& signature = {.count = 10}) {
    std::vector<std::pair<std::uint64_t, OpKey>> begun;
    for (const auto number : numbers) {
      const auto key = peer(number).machine.begin(now, tag, signature);
      REQUIRE(key.ok());
      begun.emplace_back(number, *key);
    }
    for (const auto& [number, key] : begun) {
      Peer& one = peer(number);
      act(one, [&, &op = key](PeerActions& out) { one.machine.result_whole(op, out); });
    }
  }
  void measured(std::uint64_t number, const LinkRow& row) {
    Peer& one = peer(number);
    act(one, [&](PeerActions& out) { one.machine.measured(row, out); });
  }
  /// The control connection breaks, and both ends notice.
  void cut(std::uint64_t number) {
    Peer& one = peer(number);
    const ConnectionId connection = *std::exchange(one.control, std::nullopt);
    act(one, [&](PeerActions& out) { one.machine.master_down(now, "cut", out); });
    step(ConnectionClosed{connection, "cut"});
  }
  void kill_master() {
    master_.reset();
    for (auto& [number, one] : peers_)
      if (std::exchange(one.control, std::nullopt))
        act(one, [&, &peer = one](PeerActions& out) { peer.machine.master_down(now, "killed", out); });
  }
  void start_master(std::uint64_t seed) { master_.emplace(MasterConfig{}, seed, now); }

  void pass(Duration time) {
    const Instant until = now + time;
    while (const auto next = next_deadline()) {
      if (*next > until) break;
      now = std::max(now, *next);
      tick();
    }
    now = until;
    tick();
  }

  /// Members as this peer sees them.
  std::vector<std::uint64_t> view(std::uint64_t number) {
    return numbers(peer(number).machine.view().members);
  }
  std::vector<std::uint64_t> hosts(std::uint64_t number) { return numbers(peer(number).hosts); }
  std::vector<std::uint64_t> guests(std::uint64_t number) { return numbers(peer(number).guests); }
  std::vector<std::uint64_t> links(std::uint64_t number) {
    return {peer(number).up.begin(), peer(number).up.end()};
  }
  /// How often a link came to stand, since the run began.
  std::size_t links_opened() const { return links_opened_; }

 private:
  static std::vector<std::uint64_t> numbers(const std::vector<Member>& members) {
    std::vector<std::uint64_t> all;
    for (const Member& member : members) all.push_back(member.id.value);
    return all;
  }

  std::optional<Instant> next_deadline() const {
    std::optional<Instant> next = master_ ? master_->next_deadline() : std::nullopt;
    for (const auto& [number, one] : peers_) next = earlier(next, one.machine.next_deadline());
    return next;
  }
  void tick() {
    if (master_) step(Tick{});
    for (auto& [number, one] : peers_)
      act(one, [&, &peer = one](PeerActions& out) { peer.machine.tick(now, out); });
  }

  void step(const MasterEvent& event) {
    if (!master_) return;
    MasterActions actions;
    master_->step(now, event, actions);
    for (const auto& action : actions) {
      if (const auto* const send = std::get_if<SendToPeer>(&action)) {
        if (Peer* const to = at(send->connection))
          act(*to, [&](PeerActions& out) { to->machine.master_said(now, send->message, out); });
      } else if (const auto* const close = std::get_if<CloseConnection>(&action)) {
        if (Peer* const to = at(close->connection)) {
          to->control.reset();
          act(*to, [&](PeerActions& out) { to->machine.master_down(now, close->reason, out); });
        }
      }
    }
  }
  Peer* at(ConnectionId connection) {
    for (auto& [number, one] : peers_)
      if (one.control == connection) return &one;
    return nullptr;
  }

  /// What is said in answer waits until all of this answer is carried out, as on a connection.
  template <class Call>
  void act(Peer& one, const Call& call) {
    PeerActions actions;
    call(actions);
    for (auto& action : actions) todo_.emplace_back(&one, std::move(action));
    if (std::exchange(busy_, true)) return;
    while (!todo_.empty()) {
      auto [who, action] = std::move(todo_.front());
      todo_.erase(todo_.begin());
      std::visit([&, &peer = *who](const auto& asked) { carry_out(peer, asked); }, action);
    }
    busy_ = false;
  }

  void carry_out(Peer& one, const DialMaster&) {
    if (!master_) return act(one, [&](PeerActions& out) { one.machine.master_down(now, "no master", out); });
    one.control = ConnectionId{++connections_};
    step(ConnectionOpened{*one.control, "127.0.0.1"});
    act(one, [&](PeerActions& out) { one.machine.master_up(now, out); });
  }
  void carry_out(Peer& one, const CloseMaster&) {
    if (const auto connection = std::exchange(one.control, std::nullopt))
      step(ConnectionClosed{*connection, "closed"});
  }
  void carry_out(Peer& one, const SendMaster& send) {
    if (one.control) step(PeerSaid{*one.control, send.message});
  }
  void carry_out(Peer& one, const WantLinks& wanted) {
    std::set<PeerId> named;
    for (const auto& wish : wanted.peers) {
      CHECK(named.insert(wish.peer.id).second);
      CHECK(wish.peer.id.value != one.number);
      CHECK(wish.dial == (one.number < wish.peer.id.value));
    }
    if (wanted.secret != one.wanted.secret) drop_links(one, {});
    one.wanted = wanted;
    drop_links(one, named);
    for (const PeerId other : named) connect_link(one, peer(other.value));
  }
  void carry_out(Peer& one, const HostsKnown& known) { one.hosts = known.members; }
  void carry_out(Peer& one, const GuestsKnown& known) { one.guests = known.guests; }
  void carry_out(Peer& one, const ConnectEnded& ended) { one.connect_ended = ended.error; }
  void carry_out(Peer& one, const UpdateEnded& ended) {
    one.updates += ended.error.status == Status::success;
  }
  template <class Other>
  void carry_out(Peer&, const Other&) {}

  static bool wants(const Peer& one, const Peer& other) {
    return std::any_of(one.wanted.peers.begin(), one.wanted.peers.end(),
                       [&](const auto& wish) { return wish.peer.id.value == other.number; });
  }
  void connect_link(Peer& one, Peer& other) {
    if (one.up.contains(other.number) || !wants(other, one) || one.wanted.secret != other.wanted.secret)
      return;
    ++links_opened_;
    for (const auto& [a, b] : {std::pair<Peer*, Peer*>{&one, &other}, {&other, &one}}) {
      a->up.insert(b->number);
      act(*a,
          [&, from = a, to = b](PeerActions& out) { from->machine.link_changed({to->number}, true, out); });
    }
  }
  void drop_links(Peer& one, const std::set<PeerId>& but) {
    const std::set<std::uint64_t> before = one.up;
    for (const std::uint64_t number : before) {
      if (but.contains({number})) continue;
      Peer& other = peer(number);
      one.up.erase(number);
      if (other.up.erase(one.number) > 0)
        act(other, [&](PeerActions& out) { other.machine.link_changed({one.number}, false, out); });
    }
  }

  std::optional<MasterMachine> master_{std::in_place, MasterConfig{}, 1, Instant{}};
  std::map<std::uint64_t, Peer> peers_;
  std::vector<std::pair<Peer*, PeerAction>> todo_;
  bool busy_ = false;
  std::uint64_t connections_ = 0;
  std::size_t links_opened_ = 0;
};

}  // namespace hawser
