#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "catch.hpp"
#include "membership/peer_machine.hpp"

namespace hawser {

/// One peer, number 5, with a hand-made master, and what it wants to be done.
class PeerBench {
 public:
  static constexpr std::uint64_t kSecret = 77;

  explicit PeerBench(PeerBounds bounds = {}) : machine(bounds) {}

  PeerActions actions;
  Instant now{};
  PeerMachine machine;

  static Member member(std::uint64_t number) {
    return {.id = {number}, .name = "p" + std::to_string(number), .address = {.host = "10.0.0.1", .port = 1}};
  }
  static std::vector<Member> members(const std::vector<std::uint64_t>& numbers) {
    std::vector<Member> all;
    for (const auto number : numbers) all.push_back(member(number));
    return all;
  }
  static View view(std::uint64_t epoch, const std::vector<std::uint64_t>& numbers, std::uint64_t secret = kSecret) {
    return {.epoch = {epoch}, .id = {1000 + epoch}, .group = 0, .link_secret = secret, .members = members(numbers)};
  }
  static Introduction me() {
    return {.id = {5}, .token = 1, .group = 0, .name = "p5", .address = {.host = "10.0.0.5", .port = 1}};
  }

  void connect(bool prefetch = false) {
    machine.connect(now, me(), prefetch, actions);
    up();
  }
  void up(bool welcome = true) {
    machine.master_up(now, {}, actions);
    if (welcome) say(Welcome{.run = {1}, .seen_host = "10.0.0.5"});
  }
  void down() { machine.master_down(now, "cut", false, actions); }
  void say(const MasterMessage& message) { machine.master_said(now, message, actions); }
  /// Time passes, with a tick at each deadline.
  void pass(Duration time) {
    const Instant until = now + time;
    for (auto next = machine.next_deadline(); next && *next < until; next = machine.next_deadline()) {
      now = std::max(now, *next);
      tick();
    }
    now = until;
    tick();
  }
  void tick() {
    machine.tick(now, actions);
    const auto next = machine.next_deadline();
    REQUIRE((!next || *next > now));
  }
  void start(const View& next, const Error& cause = {Status::success, {}}, std::uint64_t update_round = 0) {
    say(StartView{.epoch = next.epoch, .id = next.id, .group = next.group, .link_secret = next.link_secret,
                  .base = {}, .members = whole_list(next.members), .world = {}, .cause = cause,
                  .update_round = update_round, .fingerprint = fingerprint(next)});
  }
  void group_members(const std::vector<std::uint64_t>& numbers, std::uint64_t secret = kSecret) {
    say(GroupMembers{.members = whole_list(members(numbers)), .link_secret = secret});
  }
  void visitors(const std::vector<std::uint64_t>& numbers) { say(Visitors{whole_list(members(numbers))}); }
  /// A member in a view with 2 and 9, with links to both.
  void join() {
    connect();
    group_members({2, 9});
    for (const std::uint64_t peer : {2, 9}) link(peer, LinkChange::up);
    pass(milliseconds(2));
    start(view(1, {2, 5, 9}));
  }
  void link(std::uint64_t peer, LinkChange change) { machine.link_changed(now, {peer}, change); }

  template <class Action>
  std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(
        actions.begin(), actions.end(), [](const auto& one) { return std::holds_alternative<Action>(one); }));
  }
  template <class Action>
  const Action& last() const {
    const Action* newest = nullptr;
    for (const auto& action : actions)
      if (const auto* const one = std::get_if<Action>(&action)) newest = one;
    REQUIRE(newest != nullptr);
    return *newest;
  }
  template <class Message>
  std::vector<Message> sent() const {
    std::vector<Message> all;
    for (const auto& action : actions)
      if (const auto* const send = std::get_if<SendMaster>(&action))
        if (const auto* const one = std::get_if<Message>(&send->message)) all.push_back(*one);
    return all;
  }
  std::vector<std::string> logged(const char* what) const {
    std::vector<std::string> texts;
    for (const auto& action : actions)
      if (const auto* const event = std::get_if<LogEvent>(&action); event && event->what == std::string(what))
        texts.push_back(event->text);
    return texts;
  }
  /// Sorted, each as often as it is named.
  std::vector<std::uint64_t> links() const {
    std::vector<std::uint64_t> all;
    for (const auto& wish : last<WantLinks>().peers) all.push_back(wish.peer.id.value);
    std::sort(all.begin(), all.end());
    return all;
  }
  const WantLinks::Wish& wish(std::uint64_t peer) const {
    for (const auto& wish : last<WantLinks>().peers)
      if (wish.peer.id.value == peer) return wish;
    FAIL("no link is wanted to " << peer);
    return last<WantLinks>().peers.front();
  }
};

}  // namespace hawser
