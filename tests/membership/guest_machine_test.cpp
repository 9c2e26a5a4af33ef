#include <algorithm>

#include "catch.hpp"
#include "membership/peer_machine.hpp"

namespace hawser {
namespace {

constexpr std::uint64_t kSecret = 77;

Member member(std::uint64_t number) {
  return {.id = {number}, .name = "p" + std::to_string(number), .address = {.host = "127.0.0.1", .port = 1}};
}

std::vector<Member> members(const std::vector<std::uint64_t>& numbers) {
  std::vector<Member> all;
  for (const auto number : numbers) all.push_back(member(number));
  return all;
}

View view(std::uint64_t epoch, const std::vector<std::uint64_t>& numbers, std::uint64_t secret = kSecret) {
  return {
      .epoch = {epoch}, .id = {1000 + epoch}, .group = 0, .link_secret = secret, .members = members(numbers)};
}

/// One peer, number 5, and what it wants to be done.
class PeerBench {
 public:
  PeerActions actions;
  Instant now{};

  void connect(bool prefetch) {
    machine.connect(
        now, {.id = {5}, .token = 1, .group = 0, .name = "p5", .address = {.host = "127.0.0.1", .port = 1}},
        prefetch, actions);
    up();
  }
  void up() {
    machine.master_up(now, actions);
    say(Welcome{.run = {1}, .seen_host = "127.0.0.1"});
  }
  void down() { machine.master_down(now, "cut", actions); }
  void redial() {
    now += seconds(1);
    machine.tick(now, actions);
  }
  void say(const MasterMessage& message) { machine.master_said(now, message, actions); }
  void start(const View& next) {
    say(StartView{.view = next, .world = {}, .cause = {Status::success, {}}, .update_round = 0});
  }
  /// A member in a view with 2 and 9.
  void join() {
    connect(false);
    start(view(1, {2, 5, 9}));
  }
  void link(std::uint64_t peer) { machine.link_changed({peer}, true, actions); }

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
  /// Sorted, each as often as it is named.
  std::vector<std::uint64_t> links() const {
    std::vector<std::uint64_t> all;
    for (const auto& wish : last<WantLinks>().peers) all.push_back(wish.peer.id.value);
    std::sort(all.begin(), all.end());
    return all;
  }
  bool dials(std::uint64_t peer) const {
    for (const auto& wish : last<WantLinks>().peers)
      if (wish.peer.id.value == peer) return wish.dial;
    FAIL("no link is wanted to " << peer);
    return false;
  }

  PeerMachine machine{PeerBounds{}};
};

using Peers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a guest opens links to its hosts; the smaller id dials") {
  PeerBench bench;
  bench.connect(true);
  CHECK(bench.sent<Hello>().back().prefetches);
  CHECK(bench.count<HostsKnown>() == 0);
  bench.say(Hosts{.members = members({2, 9}), .link_secret = kSecret});
  CHECK(bench.last<HostsKnown>().members == members({2, 9}));
  CHECK(bench.links() == Peers{2, 9});
  CHECK_FALSE(bench.dials(2));
  CHECK(bench.dials(9));
  CHECK(bench.last<WantLinks>().secret == kSecret);
  bench.say(Hosts{.members = members({9}), .link_secret = kSecret + 1});
  CHECK(bench.links() == Peers{9});
  CHECK(bench.last<WantLinks>().secret == kSecret + 1);
  bench.say(Hosts{});
  CHECK(bench.links().empty());
  CHECK(bench.last<HostsKnown>().members.empty());
  CHECK(bench.count<HostsKnown>() == 3);
}

TEST_CASE("a peer that does not prefetch has no hosts and no word on the end of it") {
  PeerBench bench;
  bench.connect(false);
  CHECK_FALSE(bench.sent<Hello>().back().prefetches);
  bench.say(Hosts{.members = members({2}), .link_secret = kSecret});
  bench.machine.prefetch_over(bench.actions);
  bench.start(view(1, {2, 5}));
  bench.machine.prefetch_over(bench.actions);
  CHECK(bench.count<HostsKnown>() == 0);
  CHECK(bench.sent<PrefetchOver>().empty());
}

TEST_CASE("the end of a prefetch is said once to each master that asks") {
  PeerBench bench;
  SECTION("while the master is there") {
    bench.connect(true);
    bench.machine.prefetch_over(bench.actions);
    bench.machine.prefetch_over(bench.actions);
    // A second welcome comes with the admission.
    bench.say(Welcome{.run = {1}, .seen_host = "127.0.0.1"});
    CHECK(bench.sent<PrefetchOver>().size() == 1);
  }
  SECTION("while it is away") {
    bench.connect(true);
    bench.down();
    bench.machine.prefetch_over(bench.actions);
    CHECK(bench.sent<PrefetchOver>().empty());
    bench.redial();
    bench.up();
    CHECK(bench.sent<PrefetchOver>().size() == 1);
  }
  bench.down();
  bench.redial();
  bench.up();
  CHECK(bench.sent<Hello>().size() >= 2);
  CHECK(bench.sent<Hello>().back().prefetches);
  CHECK(bench.sent<PrefetchOver>().size() == 2);
}

TEST_CASE("the end of a prefetch comes after the welcome, however early it is") {
  PeerBench bench;
  bench.machine.connect(bench.now, {.id = {5}, .token = 1, .group = 0, .name = "p5", .address = {}}, true,
                        bench.actions);
  bench.machine.prefetch_over(bench.actions);
  bench.machine.master_up(bench.now, bench.actions);
  CHECK(bench.sent<PrefetchOver>().empty());
  bench.say(Welcome{.run = {1}, .seen_host = "127.0.0.1"});
  CHECK(bench.sent<PrefetchOver>().size() == 1);
}

TEST_CASE("hosts stay while the master is away") {
  PeerBench bench;
  bench.connect(true);
  bench.say(Hosts{.members = members({2, 9}), .link_secret = kSecret});
  const std::size_t wanted = bench.count<WantLinks>();
  bench.down();
  bench.redial();
  bench.up();
  CHECK(bench.count<WantLinks>() == wanted);
  CHECK(bench.count<HostsKnown>() == 1);
  bench.say(Hosts{.members = members({9}), .link_secret = kSecret});
  CHECK(bench.links() == Peers{9});
}

TEST_CASE("a guest's open links count when it is admitted") {
  PeerBench bench;
  bench.connect(true);
  bench.say(Hosts{.members = members({2, 9}), .link_secret = kSecret});
  bench.link(2);
  bench.link(9);
  bench.machine.prefetch_over(bench.actions);
  SECTION("all of them") {
    bench.say(Prepare{view(2, {2, 9, 5})});
    CHECK(bench.links() == Peers{2, 9});
  }
  SECTION("with another newcomer, whose link is opened first") {
    bench.say(Prepare{view(2, {2, 9, 7, 5})});
    CHECK(bench.links() == Peers{2, 7, 9});
    CHECK(bench.sent<Prepared>().empty());
    bench.link(7);
  }
  SECTION("unless the secret is another one: then they are opened anew") {
    bench.say(Prepare{view(2, {2, 9, 5}, kSecret + 1)});
    CHECK(bench.last<WantLinks>().secret == kSecret + 1);
    CHECK(bench.sent<Prepared>().empty());
    bench.link(2);
    bench.link(9);
  }
  REQUIRE(bench.sent<Prepared>().size() == 1);
  CHECK(bench.sent<Prepared>().back().unreachable.empty());
  CHECK(bench.last<HostsKnown>().members.size() == 2);
  bench.start(view(2, {2, 9, 5}));
  CHECK(bench.links() == Peers{2, 9});
  CHECK(bench.last<HostsKnown>().members.empty());
  CHECK(bench.last<ConnectEnded>().error.status == Status::success);
  // Hosts are no matter of a member.
  const std::size_t known = bench.count<HostsKnown>();
  bench.say(Hosts{.members = members({2, 9, 4}), .link_secret = kSecret});
  CHECK(bench.count<HostsKnown>() == known);
  CHECK(bench.links() == Peers{2, 9});
}

TEST_CASE("hosts of a run that came back void what was proposed before") {
  PeerBench bench;
  bench.connect(true);
  bench.say(Hosts{.members = {}, .link_secret = kSecret});
  bench.machine.prefetch_over(bench.actions);
  bench.say(Prepare{view(1, {5, 8})});
  CHECK(bench.links() == Peers{8});
  SECTION("with its own secret") {
    bench.say(Hosts{.members = members({2, 9}), .link_secret = kSecret + 1});
    CHECK(bench.links() == Peers{2, 9});
    CHECK(bench.last<WantLinks>().secret == kSecret + 1);
  }
  SECTION("but not what is proposed on top of them") {
    bench.say(Prepare{view(2, {2, 9, 8, 5})});
    bench.say(Hosts{.members = members({2, 9}), .link_secret = kSecret});
    CHECK(bench.links() == Peers{2, 8, 9});
  }
}

TEST_CASE("a guest that does not become a member drops its hosts and links") {
  PeerBench bench;
  bench.connect(true);
  bench.say(Hosts{.members = members({2, 9}), .link_secret = kSecret});
  bench.machine.prefetch_over(bench.actions);
  SECTION("refused") { bench.say(Refused{{Status::refused, "full"}}); }
  SECTION("closed") { bench.machine.leave(bench.actions); }
  SECTION("too late") {
    bench.now += seconds(4000);
    bench.machine.tick(bench.now, bench.actions);
  }
  CHECK(bench.machine.phase() == PeerMachine::Phase::idle);
  CHECK(bench.links().empty());
  CHECK(bench.last<HostsKnown>().members.empty());
  CHECK(bench.last<ConnectEnded>().error.status != Status::success);
  // And it starts afresh if it connects again.
  bench.actions.clear();
  bench.connect(true);
  CHECK(bench.sent<PrefetchOver>().empty());
  bench.say(Hosts{.members = {}, .link_secret = kSecret});
  CHECK(bench.links().empty());
}

TEST_CASE("a member keeps links to its guests beside those of its view") {
  PeerBench bench;
  bench.join();
  bench.say(Guests{members({3, 7})});
  CHECK(bench.last<GuestsKnown>().guests == members({3, 7}));
  CHECK(bench.links() == Peers{2, 3, 7, 9});
  CHECK_FALSE(bench.dials(3));
  CHECK(bench.dials(7));
  CHECK(bench.last<WantLinks>().secret == kSecret);
  SECTION("one of them is admitted, and is named once all the while") {
    bench.link(7);
    bench.say(Prepare{view(2, {2, 5, 9, 7})});
    CHECK(bench.links() == Peers{2, 3, 7, 9});
    REQUIRE(bench.sent<Prepared>().size() == 1);
    CHECK(bench.sent<Prepared>().back().unreachable.empty());
    bench.start(view(2, {2, 5, 9, 7}));
    CHECK(bench.links() == Peers{2, 3, 7, 9});
    bench.say(Guests{members({3})});
    CHECK(bench.links() == Peers{2, 3, 7, 9});
    bench.say(Guests{});
    CHECK(bench.links() == Peers{2, 7, 9});
  }
  SECTION("a member goes: the guests stay") {
    bench.start(view(2, {5, 9}));
    CHECK(bench.links() == Peers{3, 7, 9});
  }
  SECTION("they go") {
    bench.say(Guests{});
    CHECK(bench.links() == Peers{2, 9});
    CHECK(bench.last<GuestsKnown>().guests.empty());
  }
}

TEST_CASE("a member keeps its guests while the master is away, and forgets them when it is lost") {
  PeerBench bench;
  bench.join();
  bench.say(Guests{members({3})});
  bench.down();
  bench.redial();
  bench.up();
  CHECK(bench.sent<Resume>().size() == 1);
  CHECK(bench.count<GuestsKnown>() == 1);
  CHECK(bench.links() == Peers{2, 3, 9});
  bench.say(Expelled{{Status::expelled, "stalled"}});
  CHECK(bench.links().empty());
  CHECK(bench.last<GuestsKnown>().guests.empty());
  bench.connect(false);
  bench.say(Guests{members({3})});
  bench.start(view(3, {2, 5}));
  CHECK(bench.links() == Peers{2});
}

}  // namespace hawser
