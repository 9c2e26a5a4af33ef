#include "membership/peer_bench.hpp"

/// A peer's links: to whom, who dials when, and what the master is told of them. And its side of a prefetch.
namespace hawser {
namespace {

using Peers = std::vector<std::uint64_t>;
using Bench = PeerBench;

}  // namespace

// -------------------------------------------------------------------------------------------- links that it wants

TEST_CASE("a newcomer opens links to the members of its group and to other visitors, with their secret") {
  PeerBench bench;
  bench.connect();
  CHECK(bench.count<WantLinks>() == 0);
  bench.group_members({2, 9});
  CHECK(bench.links() == Peers{2, 9});
  CHECK(bench.last<WantLinks>().secret == Bench::kSecret);
  bench.visitors({5, 7});
  CHECK(bench.links() == Peers{2, 7, 9});
  for (const std::uint64_t other : {2, 7, 9}) CHECK(bench.wish(other).may_ask);
  bench.say(Visitors{{.whole = false, .came = Bench::members({4}), .gone = {{7}}}});
  CHECK(bench.links() == Peers{2, 4, 9});
  bench.say(GroupMembers{.members = {.whole = false, .came = Bench::members({8}), .gone = {{2}}},
                  .link_secret = Bench::kSecret + 1});
  CHECK(bench.links() == Peers{4, 8, 9});
  CHECK(bench.last<WantLinks>().secret == Bench::kSecret + 1);
  // It fetches nothing, so whom it may ask for state is no matter.
  CHECK(bench.count<GroupMembersKnown>() == 0);
}

TEST_CASE("visitors wait for the secret: their links come with the members of the group, also where there are none") {
  PeerBench bench;
  bench.connect();
  bench.visitors({5, 7});
  CHECK(bench.links().empty());
  bench.group_members({});
  CHECK(bench.links() == Peers{7});
}

TEST_CASE("a member keeps links to its visitors beside those of its view") {
  PeerBench bench;
  bench.join();
  bench.visitors({3, 7});
  CHECK(bench.last<VisitorsKnown>().visitors == Bench::members({3, 7}));
  CHECK(bench.links() == Peers{2, 3, 7, 9});
  CHECK(bench.last<WantLinks>().secret == Bench::kSecret);
  // Whoever wants to come in asks for ways itself: members ask for members only.
  for (const std::uint64_t member : {2, 9}) CHECK(bench.wish(member).may_ask);
  for (const std::uint64_t visitor : {3, 7}) CHECK_FALSE(bench.wish(visitor).may_ask);
  SECTION("one of them is admitted, and is named once all the while") {
    bench.start(Bench::view(2, {2, 5, 9, 7}));
    CHECK(bench.links() == Peers{2, 3, 7, 9});
    CHECK(bench.wish(7).may_ask);
    CHECK_FALSE(bench.wish(3).may_ask);
    bench.say(Visitors{{.whole = false, .came = {}, .gone = {{7}}}});
    CHECK(bench.links() == Peers{2, 3, 7, 9});
    bench.visitors({});
    CHECK(bench.links() == Peers{2, 7, 9});
  }
  SECTION("a member goes: the visitors stay") {
    bench.start(Bench::view(2, {5, 9}));
    CHECK(bench.links() == Peers{3, 7, 9});
  }
  SECTION("they go") {
    bench.visitors({});
    CHECK(bench.links() == Peers{2, 9});
    CHECK(bench.last<VisitorsKnown>().visitors.empty());
  }
}

TEST_CASE("a newcomer dials first, then the members; among equals the smaller id, then the other") {
  PeerBench bench;
  bench.connect();
  bench.group_members({2, 9});
  bench.visitors({3, 5, 7});
  for (const std::uint64_t host : {2, 9}) CHECK(bench.wish(host).dial_after == Duration::zero());
  CHECK(bench.wish(7).dial_after == Duration::zero());
  CHECK(bench.wish(3).dial_after == milliseconds(300));
  bench.start(Bench::view(1, {2, 5, 9}));
  CHECK(bench.wish(9).dial_after == Duration::zero());
  CHECK(bench.wish(2).dial_after == milliseconds(300));
  for (const std::uint64_t visitor : {3, 7}) CHECK(bench.wish(visitor).dial_after == seconds(1));
}

TEST_CASE("an address that only its own machine can dial is dialled where the master is, or not at all") {
  const std::string master = GENERATE("203.0.113.1", "127.0.0.1");
  PeerBench bench({.master_host = master});
  Introduction me = Bench::me();
  me.machine = 1;
  bench.machine.connect(bench.now, me, false, bench.actions);
  bench.up();
  std::vector<Member> elsewhere = Bench::members({2, 3, 4, 6});
  for (Member& member : elsewhere) member.address.host = "127.0.0.1";
  elsewhere[0].machine = 2;
  elsewhere[1].machine = 1;
  elsewhere[2].machine = 0;
  elsewhere[3].machine = 2;
  elsewhere[3].address.host = "203.0.113.6";
  bench.say(GroupMembers{.members = whole_list(elsewhere), .link_secret = Bench::kSecret});
  // Of another machine, as the master sees it on its own.
  const bool is_elsewhere = master != "127.0.0.1";
  CHECK(bench.wish(2).dial_after.has_value() == is_elsewhere);
  if (is_elsewhere) CHECK(bench.wish(2).peer.address.host == master);
  CHECK(bench.wish(3).peer.address.host == "127.0.0.1");
  CHECK(bench.wish(4).peer.address.host == "127.0.0.1");
  CHECK(bench.wish(6).peer.address.host == "203.0.113.6");
  for (const std::uint64_t peer : {3, 4, 6}) CHECK(bench.wish(peer).dial_after);
}

// ------------------------------------------------------------------------------------ what the master is told

TEST_CASE("links that come to stand or break at one time are told together") {
  PeerBench bench;
  bench.connect();
  bench.group_members({2, 9});
  bench.link(2, LinkChange::up);
  bench.pass(milliseconds(1));
  bench.link(9, LinkChange::up);
  CHECK(bench.sent<Linked>().empty());
  bench.pass(milliseconds(1));
  REQUIRE(bench.sent<Linked>().size() == 1);
  CHECK(bench.sent<Linked>().back() == Linked{.all = false, .up = {{2}, {9}}, .down = {}, .refused = {}});
  bench.link(2, LinkChange::down);
  bench.link(9, LinkChange::down);
  bench.link(9, LinkChange::refused);
  bench.pass(milliseconds(2));
  CHECK(bench.sent<Linked>().back() == Linked{.all = false, .up = {}, .down = {{2}, {9}}, .refused = {{9}}});
  // It is refused again and again: that is told once.
  bench.link(9, LinkChange::refused);
  bench.pass(seconds(1));
  CHECK(bench.sent<Linked>().size() == 2);
  bench.link(9, LinkChange::up);
  bench.link(9, LinkChange::down);
  bench.link(9, LinkChange::refused);
  bench.pass(milliseconds(2));
  CHECK(bench.sent<Linked>().back().refused == std::vector<PeerId>{{9}});
}

TEST_CASE("the master is told of links that go by a go-between, as long as they do") {
  Bench bench;
  bench.connect();
  bench.group_members({2, 9});
  bench.machine.link_changed(bench.now, {2}, LinkChange::up, {9});
  bench.pass(milliseconds(3));
  CHECK(bench.sent<Linked>().back().detours == std::vector<Linked::Detour>{{.to = {2}, .by = {9}}});
  bench.link(2, LinkChange::down);
  bench.link(2, LinkChange::up);
  bench.pass(milliseconds(3));
  CHECK(bench.sent<Linked>().back().up == std::vector<PeerId>{{2}});
  CHECK(bench.sent<Linked>().back().detours.empty());
}

TEST_CASE("peers without a straight way are told with the reason, once it lasts, and again when the master is back") {
  PeerBench bench;
  bench.connect();
  bench.group_members({2, 9});
  bench.link(9, LinkChange::up);
  bench.machine.straight_failed(bench.now, {2}, "10.0.0.1:1: refused");
  bench.machine.straight_failed(bench.now, {77}, "nobody that it has a link to");
  bench.pass(milliseconds(499));
  CHECK(bench.sent<Unreached>().empty());
  bench.pass(milliseconds(1));
  const Unreached one{{{.to = {2}, .by = {}, .why = "10.0.0.1:1: refused"}}};
  REQUIRE(bench.sent<Unreached>().size() == 1);
  CHECK(bench.sent<Unreached>().back() == one);
  bench.machine.straight_failed(bench.now, {2}, "10.0.0.1:1: refused");
  bench.pass(seconds(1));
  CHECK(bench.sent<Unreached>().size() == 1);
  bench.down();
  bench.pass(milliseconds(50));
  bench.up();
  bench.pass(milliseconds(500));
  REQUIRE(bench.sent<Unreached>().size() == 2);
  CHECK(bench.sent<Unreached>().back() == one);
  bench.machine.link_changed(bench.now, {2}, LinkChange::up, {9});
  bench.pass(milliseconds(500));
  REQUIRE(bench.sent<Unreached>().size() == 3);
  CHECK(bench.sent<Unreached>().back() == Unreached{{{.to = {2}, .by = {9}, .why = "10.0.0.1:1: refused"}}});
  bench.link(2, LinkChange::up);
  bench.pass(milliseconds(500));
  REQUIRE(bench.sent<Unreached>().size() == 4);
  CHECK(bench.sent<Unreached>().back() == Unreached{});
}

TEST_CASE("a reason is one line, and not longer than the master takes it") {
  PeerBench bench;
  bench.connect();
  bench.group_members({2});
  bench.machine.straight_failed(bench.now, {2}, std::string(1000, 'x') + "\n");
  bench.pass(milliseconds(500));
  REQUIRE(bench.sent<Unreached>().size() == 1);
  CHECK(bench.sent<Unreached>().back().ways.front().why.size() <= limits::kUnreachedReasonBytesMax);
}

TEST_CASE("a link that is back within that time is told as it is") {
  PeerBench bench;
  bench.join();
  bench.link(2, LinkChange::down);
  bench.link(2, LinkChange::up);
  // Refused by a dial of before.
  bench.link(2, LinkChange::refused);
  bench.pass(milliseconds(2));
  CHECK(bench.sent<Linked>().back() == Linked{.all = false, .up = {{2}}, .down = {}, .refused = {}});
}

TEST_CASE("what happens to links while the master is away is told when it is back") {
  PeerBench bench;
  const bool is_member = GENERATE(false, true);
  bench.connect();
  bench.group_members({2, 9});
  bench.link(2, LinkChange::up);
  bench.link(9, LinkChange::up);
  bench.pass(milliseconds(2));
  if (is_member) bench.start(Bench::view(1, {2, 5, 9}));
  const std::size_t told = bench.sent<Linked>().size();
  bench.down();
  bench.link(9, LinkChange::down);
  bench.pass(milliseconds(50));
  bench.up(false);
  bench.pass(milliseconds(10));
  CHECK(bench.sent<Linked>().size() == told);
  bench.say(Welcome{.run = {1}, .seen_host = "10.0.0.5"});
  if (is_member) bench.say(Present{.view = false, .outcomes = true});
  REQUIRE(bench.sent<Linked>().size() == told + 1);
  const std::vector<PeerId> down = is_member ? std::vector<PeerId>{{9}} : std::vector<PeerId>{};
  CHECK(bench.sent<Linked>().back() == Linked{.all = true, .up = {{2}}, .down = down, .refused = {}});
}

TEST_CASE("to a master that learns of visitors and members, links to them that are established already are told") {
  PeerBench bench;
  SECTION("visitors, by a member") {
    bench.join();
    bench.visitors({3});
    bench.link(3, LinkChange::up);
    bench.pass(milliseconds(2));
    bench.down();
    bench.pass(milliseconds(50));
    bench.up();
    bench.say(Present{.view = false, .outcomes = true});
    bench.visitors({3, 7});
    bench.pass(milliseconds(2));
    CHECK(bench.sent<Linked>().back() == Linked{.all = false, .up = {{3}}, .down = {}, .refused = {}});
  }
  SECTION("members, by a newcomer") {
    bench.connect();
    bench.group_members({2, 9});
    bench.link(2, LinkChange::up);
    bench.pass(milliseconds(2));
    bench.down();
    bench.pass(milliseconds(50));
    bench.up();
    bench.group_members({2, 9});
    bench.pass(milliseconds(2));
    CHECK(bench.sent<Linked>().back().up == std::vector<PeerId>{{2}});
  }
}

TEST_CASE("a member says which members it has no link to when it comes in") {
  PeerBench bench;
  bench.connect();
  bench.group_members({2, 9});
  bench.link(2, LinkChange::up);
  bench.pass(milliseconds(2));
  bench.start(Bench::view(1, {2, 5, 9}));
  bench.pass(milliseconds(2));
  CHECK(bench.sent<Linked>().back() == Linked{.all = false, .up = {}, .down = {{9}}, .refused = {}});
}

TEST_CASE("links of another secret are opened anew, and none of them stands") {
  PeerBench bench;
  bench.connect();
  bench.group_members({2});
  bench.link(2, LinkChange::up);
  bench.pass(milliseconds(2));
  bench.group_members({2}, Bench::kSecret + 1);
  bench.down();
  bench.pass(milliseconds(50));
  const std::size_t told = bench.sent<Linked>().size();
  bench.up();
  bench.pass(milliseconds(2));
  // Nothing stands: nothing is told.
  CHECK(bench.sent<Linked>().size() == told);
}

// ---------------------------------------------------------------------------------------------- as a guest

TEST_CASE("a guest is told whom it may ask for state, until it is a member") {
  PeerBench bench;
  bench.connect(true);
  CHECK(bench.sent<Hello>().back().prefetches);
  bench.group_members({2, 9});
  CHECK(bench.last<GroupMembersKnown>().members == Bench::members({2, 9}));
  bench.say(GroupMembers{.members = {.whole = false, .came = {}, .gone = {{2}}}, .link_secret = Bench::kSecret});
  CHECK(bench.last<GroupMembersKnown>().members == Bench::members({9}));
  SECTION("they stay while the master is away") {
    const std::size_t wanted = bench.count<WantLinks>();
    bench.down();
    bench.pass(seconds(1));
    bench.up();
    CHECK(bench.count<WantLinks>() == wanted);
    CHECK(bench.count<GroupMembersKnown>() == 2);
    bench.group_members({9});
  }
  SECTION("all of them may go") { bench.group_members({}); }
  bench.machine.prefetch_over(bench.actions);
  bench.start(Bench::view(2, {9, 5}));
  CHECK(bench.last<GroupMembersKnown>().members.empty());
  CHECK(bench.last<ConnectEnded>().error.status == Status::success);
  // GroupMembers are no matter of a member.
  const std::size_t known = bench.count<GroupMembersKnown>();
  bench.group_members({2, 9, 4});
  CHECK(bench.count<GroupMembersKnown>() == known);
  CHECK(bench.links() == Peers{9});
}

TEST_CASE("a peer that does not prefetch has no word on the end of it") {
  PeerBench bench;
  bench.connect();
  CHECK_FALSE(bench.sent<Hello>().back().prefetches);
  bench.machine.prefetch_over(bench.actions);
  bench.start(Bench::view(1, {2, 5}));
  bench.machine.prefetch_over(bench.actions);
  CHECK(bench.count<GroupMembersKnown>() == 0);
  CHECK(bench.sent<PrefetchOver>().empty());
}

TEST_CASE("the end of a prefetch is said once to each master that asks") {
  PeerBench bench;
  bench.connect(true);
  SECTION("while the master is there") {
    bench.machine.prefetch_over(bench.actions);
    bench.machine.prefetch_over(bench.actions);
    // A second welcome comes with the admission.
    bench.say(Welcome{.run = {1}, .seen_host = "10.0.0.5"});
  }
  SECTION("while it is away") {
    bench.down();
    bench.machine.prefetch_over(bench.actions);
    CHECK(bench.sent<PrefetchOver>().empty());
    bench.pass(seconds(1));
    bench.up();
  }
  CHECK(bench.sent<PrefetchOver>().size() == 1);
  bench.down();
  bench.pass(seconds(1));
  bench.up();
  CHECK(bench.sent<Hello>().back().prefetches);
  CHECK(bench.sent<PrefetchOver>().size() == 2);
}

TEST_CASE("the end of a prefetch comes after the welcome, however early it is") {
  PeerBench bench;
  bench.machine.connect(bench.now, Bench::me(), true, bench.actions);
  bench.machine.prefetch_over(bench.actions);
  bench.up(false);
  CHECK(bench.sent<PrefetchOver>().empty());
  bench.say(Welcome{.run = {1}, .seen_host = "10.0.0.5"});
  CHECK(bench.sent<PrefetchOver>().size() == 1);
}

TEST_CASE("a guest that does not become a member drops the members and links") {
  PeerBench bench({.connect = seconds(3600), .silence = seconds(36000)});
  bench.connect(true);
  bench.group_members({2, 9});
  bench.machine.prefetch_over(bench.actions);
  SECTION("refused") { bench.say(Refused{{Status::refused, "full"}}); }
  SECTION("closed") { bench.machine.leave(bench.actions); }
  SECTION("too late") { bench.pass(seconds(4000)); }
  CHECK(bench.machine.phase() == PeerMachine::Phase::idle);
  CHECK(bench.links().empty());
  CHECK(bench.last<GroupMembersKnown>().members.empty());
  CHECK(bench.last<ConnectEnded>().error.status != Status::success);
  // And it starts afresh if it connects again.
  bench.actions.clear();
  bench.connect(true);
  CHECK(bench.sent<PrefetchOver>().empty());
  bench.group_members({});
  CHECK(bench.links().empty());
}

TEST_CASE("a member keeps its visitors while the master is away, and forgets them when it is lost") {
  PeerBench bench;
  bench.join();
  bench.visitors({3});
  const std::size_t known = bench.count<VisitorsKnown>();
  bench.down();
  bench.pass(seconds(1));
  bench.up();
  CHECK(bench.count<VisitorsKnown>() == known);
  CHECK(bench.links() == Peers{2, 3, 9});
  bench.say(Expelled{{Status::expelled, "stalled"}});
  CHECK(bench.links().empty());
  CHECK(bench.last<VisitorsKnown>().visitors.empty());
  bench.connect();
  bench.start(Bench::view(3, {2, 5}));
  CHECK(bench.links() == Peers{2});
}

}  // namespace hawser
