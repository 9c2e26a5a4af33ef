#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "catch.hpp"
#include "membership/master_machine.hpp"

namespace hawser {

/// A master with hand-made peers: messages go in by peer number, what each peer is told is kept.
class MasterBench {
 public:
  explicit MasterBench(MasterConfig config = {}, std::uint64_t seed = 1) : config_(config), master_(config, seed, now) {}

  Instant now{};

  static PeerId id(std::uint64_t peer) { return {peer}; }

  void open(std::uint64_t peer) {
    connection_of_[peer] = {++connections_};
    opened_by_[connection_of_[peer]] = peer;
    step(ConnectionOpened{connection_of_[peer], "127.0.0.1"});
  }
  void say(std::uint64_t peer, PeerMessage message) { step(PeerSaid{connection_of_.at(peer), std::move(message)}); }
  void close(std::uint64_t peer) { step(ConnectionClosed{connection_of_.at(peer), "closed"}); }
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
  /// Time passes without the master.
  void sleep(Duration time) { now += time; }
  Introduction introduction(std::uint64_t peer, std::uint32_t group = 0) const {
    return {.id = id(peer), .token = peer * 11, .group = group, .name = "p" + std::to_string(peer),
            .address = {.host = "127.0.0.1", .port = static_cast<std::uint16_t>(1000 + peer)}};
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
  /// Answers the newest Prepare of each of these.
  void prepare(const std::vector<std::uint64_t>& peers) {
    for (const auto peer : peers) say(peer, Prepared{.view = last<Prepare>(peer).view.id, .unreachable = {}});
  }
  void call_update(const std::vector<std::uint64_t>& peers) {
    for (const auto peer : peers) say(peer, UpdateCall{});
  }
  /// A run of members 1 to n.
  void found(std::uint64_t n) {
    std::vector<std::uint64_t> all;
    for (std::uint64_t peer = 1; peer <= n; ++peer) {
      hello(peer);
      all.push_back(peer);
    }
    pass(config_.bootstrap);
    prepare(all);
    REQUIRE(view(1).size() == n);
  }
  OpKey key(std::uint64_t peer, std::uint64_t tag = 0, std::uint64_t sequence = 0) {
    return {.epoch = view(peer).epoch, .view = view(peer).id, .tag = tag, .sequence = sequence};
  }
  void begun(std::uint64_t peer, const OpKey& key, std::uint64_t count = 10) {
    say(peer, Begun{.key = key, .signature = {.count = count}});
  }
  void report(std::uint64_t peer, const OpKey& key, std::uint64_t count = 10) {
    say(peer, Report{.key = key, .signature = {.count = count}});
  }

  const View& view(std::uint64_t peer) { return last<StartView>(peer).view; }
  template <class Message>
  std::size_t count(std::uint64_t peer) const {
    std::size_t n = 0;
    if (const auto found = told_.find(peer); found != told_.end())
      for (const auto& message : found->second) n += std::holds_alternative<Message>(message) ? 1 : 0;
    return n;
  }
  template <class Message>
  const Message& last(std::uint64_t peer) {
    const Message* newest = nullptr;
    for (const auto& message : told_[peer])
      if (const auto* const one = std::get_if<Message>(&message)) newest = one;
    REQUIRE(newest != nullptr);
    return *newest;
  }
  bool closed(std::uint64_t peer) const { return closed_.contains(connection_of_.at(peer).value); }
  MasterMachine& machine() { return master_; }

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
    for (auto& action : actions) {
      if (auto* const send = std::get_if<SendToPeer>(&action)) {
        const std::uint64_t peer = opened_by_.at(send->connection);
        if (connection_of_.at(peer) == send->connection) told_[peer].push_back(std::move(send->message));
      } else if (const auto* const close = std::get_if<CloseConnection>(&action)) {
        closed_[close->connection.value] = close->reason;
      }
    }
  }

  MasterConfig config_;
  MasterMachine master_;
  std::uint64_t connections_ = 0;
  std::map<std::uint64_t, ConnectionId> connection_of_;  ///< Its newest.
  std::map<ConnectionId, std::uint64_t> opened_by_;
  std::map<std::uint64_t, std::vector<MasterMessage>> told_;
  std::map<std::uint64_t, std::string> closed_;
};

}  // namespace hawser
