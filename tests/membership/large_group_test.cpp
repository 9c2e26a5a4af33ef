#include <algorithm>
#include <string>

#include "membership/master_bench.hpp"
#include "membership/peer_bench.hpp"
#include "membership/sponsors.hpp"

/// Groups in which members have links to their neighbours only: more than 3 members here, in rows of two.
namespace hawser {
namespace {

constexpr LinkLayout kRows{.all_links_max = 3, .width = 2, .sponsors = 2};
constexpr MasterConfig kMaster{.silence = seconds(3600), .links = kRows};

Peers sponsors(const std::vector<Member>& members, std::uint64_t newcomer) {
  return numbers(sponsors_of(kRows, members, {newcomer}));
}

Peers sorted(Peers peers) {
  std::sort(peers.begin(), peers.end());
  return peers;
}

/// It comes, and has links to its sponsors.
void come(MasterBench& bench, std::uint64_t newcomer) {
  bench.hello(newcomer);
  bench.pass(milliseconds(100));
  for (const std::uint64_t sponsor : sponsors(bench.view(1).members, newcomer)) bench.link(newcomer, sponsor);
}

/// Peer 5 waits for a group that has these members.
PeerBench newcomer_of(const Peers& hosts) {
  PeerBench bench({.links = kRows});
  bench.connect();
  bench.group_members(hosts);
  return bench;
}

/// Peer 5 is the last of these.
PeerBench member_of(const Peers& hosts) {
  PeerBench bench = newcomer_of(hosts);
  Peers all = hosts;
  all.push_back(5);
  bench.start(PeerBench::view(1, all));
  bench.pass(milliseconds(2));
  return bench;
}

Peers told_down(const PeerBench& bench) {
  Peers all;
  for (const Linked& linked : bench.sent<Linked>())
    for (const PeerId peer : linked.down) all.push_back(peer.value);
  return sorted(all);
}

}  // namespace

TEST_CASE("sponsors are as many as the layout says, and stay when others come and go") {
  const auto members = PeerBench::members({1, 2, 3, 4, 6, 7, 8, 9});
  const Peers before = sponsors(members, 5);
  REQUIRE(before.size() == 2);
  for (const Member& member : members)
    CHECK(is_sponsor(kRows, members, member.id, {5}) ==
          (std::count(before.begin(), before.end(), member.id.value) == 1));
  for (const Member& gone : members) {
    auto rest = members;
    std::erase(rest, gone);
    Peers kept = before;
    std::erase(kept, gone.id.value);
    const Peers after = sponsors(rest, 5);
    CHECK(after.size() == 2);
    for (const std::uint64_t one : kept) CHECK(std::count(after.begin(), after.end(), one) == 1);
  }
  CHECK(sponsors(PeerBench::members({1}), 5) == Peers{1});
}

// ------------------------------------------------------------------------------------------- the master

TEST_CASE("a newcomer of a large group is proven by its sponsors, and newcomers need no links to each other") {
  MasterBench bench(kMaster);
  bench.found(4);
  come(bench, 5);
  come(bench, 6);
  bench.call_update({1, 2, 3, 4});
  CHECK(bench.members(1) == Peers{1, 2, 3, 4, 5, 6});
}

TEST_CASE("one that a sponsor does not reach is refused, and told that it must be reachable") {
  MasterBench bench(kMaster);
  bench.found(4);
  bench.hello(5);
  bench.pass(milliseconds(100));
  const Peers two = sponsors(bench.view(1).members, 5);
  bench.link(5, two.front());
  bench.call_update({1, 2, 3, 4});
  CHECK(bench.members(1) == Peers{1, 2, 3, 4});
  bench.pass(kMaster.link_open);
  const std::string& sentence = bench.last<Refused>(5).error.sentence;
  CHECK(sentence.find("p" + std::to_string(two.back())) != std::string::npos);
  CHECK(sentence.find("in groups of more than 3 members all must be reachable") != std::string::npos);
}

TEST_CASE("a newcomer that gets another sponsor has time for its link, and else it has not") {
  MasterBench bench(kMaster);
  bench.found(5);
  bench.hello(6);
  bench.pass(kMaster.link_open - seconds(1));
  const Peers two = sponsors(bench.view(1).members, 6);
  SECTION("a sponsor goes") {
    bench.say(two.front(), Leave{});
    bench.pass(seconds(2));
    CHECK(bench.count<Refused>(6) == 0);
    bench.pass(kMaster.link_open);
  }
  SECTION("somebody else goes") {
    Peers others{1, 2, 3, 4, 5};
    for (const std::uint64_t sponsor : two) std::erase(others, sponsor);
    bench.say(others.front(), Leave{});
    bench.pass(seconds(2));
  }
  CHECK(bench.count<Refused>(6) == 1);
}

TEST_CASE("whether a member that is away is gone its neighbours say") {
  MasterBench bench(kMaster);
  bench.found(6);
  // Peer 6 is beside peer 5, and below 2 and 4.
  bench.close(6);
  for (const std::uint64_t other : {1, 3}) bench.link_down(other, {6});
  bench.pass(seconds(1));
  CHECK(bench.members(1).size() == 6);
  bench.link_down(2, {6});
  bench.pass(seconds(1));
  CHECK(bench.members(1).size() == 6);
  SECTION("most of them lack their links") {
    bench.link_down(5, {6});
    bench.pass(milliseconds(300));
    CHECK(bench.members(1) == Peers{1, 2, 3, 4, 5});
  }
  SECTION("those that are away do not speak, and few do not speak for all") {
    bench.close(4);
    bench.close(5);
    bench.pass(seconds(1));
    CHECK(bench.members(1).size() == 6);
  }
  SECTION("it has until the end of its time") {
    bench.pass(kMaster.recovery);
    CHECK(bench.members(1) == Peers{1, 2, 3, 4, 5});
  }
}

TEST_CASE("what was said of one that is no neighbour any more is forgotten") {
  MasterBench bench(kMaster);
  bench.found(6);
  bench.link_down(5, {6});
  bench.link_down(4, {6});
  // Then 6 is the first of a row, below 2 and 4.
  bench.say(1, Leave{});
  CHECK(bench.members(2) == Peers{2, 3, 4, 5, 6});
  bench.close(6);
  bench.pass(seconds(1));
  CHECK(bench.members(2).size() == 5);
  bench.link_down(2, {6});
  bench.pass(milliseconds(300));
  CHECK(bench.members(2) == Peers{2, 3, 4, 5});
}

// --------------------------------------------------------------------------------------------- the peer

TEST_CASE("a newcomer of a large group is dialled by its sponsors, and keeps no other links") {
  PeerBench bench = newcomer_of({1, 2, 3, 4});
  bench.visitors({5, 7});
  const Peers two = sponsors(PeerBench::members({1, 2, 3, 4}), 5);
  CHECK(bench.links() == sorted(two));
  for (const std::uint64_t one : two) CHECK_FALSE(bench.wish(one).dial_after);
}

TEST_CASE("what a newcomer fetches it asks of its sponsors") {
  PeerBench bench({.links = kRows});
  bench.connect(true);
  bench.group_members({1, 2, 3, 4});
  CHECK(numbers(bench.last<GroupMembersKnown>().members) == sponsors(PeerBench::members({1, 2, 3, 4}), 5));
}

TEST_CASE("a member keeps links to its neighbours, and dials the newcomers that it is a sponsor of") {
  PeerBench bench = member_of({1, 2, 3, 4, 6});
  CHECK(bench.links() == Peers{2, 4, 6});
  Peers sponsored;
  Peers newcomers;
  for (std::uint64_t newcomer = 10; newcomer < 30; ++newcomer) {
    newcomers.push_back(newcomer);
    if (is_sponsor(kRows, bench.machine.view().members, {5}, {newcomer})) sponsored.push_back(newcomer);
  }
  REQUIRE(!sponsored.empty());
  REQUIRE(sponsored.size() < newcomers.size());
  bench.visitors(newcomers);
  Peers all{2, 4, 6};
  all.insert(all.end(), sponsored.begin(), sponsored.end());
  CHECK(bench.links() == all);
  for (const std::uint64_t one : sponsored) CHECK(bench.wish(one).dial_after == Duration::zero());
  // In a small group it has links to all.
  bench.visitors({});
  bench.start(PeerBench::view(2, {1, 3, 5}));
  CHECK(bench.links() == Peers{1, 3});
}

TEST_CASE("a link that began with a view says nothing of its other end before it has stood") {
  PeerBench bench = member_of({1, 2, 3, 4, 6});
  bench.pass(seconds(1));
  CHECK(told_down(bench).empty());
  bench.say(Present{.view = false, .outcomes = true});
  CHECK(told_down(bench).empty());
  bench.link(2, LinkChange::up);
  bench.pass(milliseconds(2));
  bench.link(2, LinkChange::down);
  bench.pass(milliseconds(2));
  CHECK(told_down(bench) == Peers{2});
  // So also in a small group that was a large one before.
  bench.start(PeerBench::view(2, {1, 2, 5}));
  bench.pass(milliseconds(2));
  CHECK(told_down(bench) == Peers{2, 2});
}

TEST_CASE("the master hears of links to former sponsors that are closed") {
  PeerBench bench = newcomer_of({1, 2, 3, 4});
  const Peers two = sponsors(PeerBench::members({1, 2, 3, 4}), 5);
  for (const std::uint64_t one : two) bench.link(one, LinkChange::up);
  bench.pass(milliseconds(2));
  std::uint64_t other = 10;
  const auto with = [&](std::uint64_t more) { return PeerBench::members({1, 2, 3, 4, more}); };
  while (!is_sponsor(kRows, with(other), {other}, {5})) ++other;
  bench.group_members({1, 2, 3, 4, other});
  bench.pass(milliseconds(2));
  Peers dropped = sorted(two);
  for (const std::uint64_t one : sponsors(with(other), 5)) std::erase(dropped, one);
  CHECK(dropped.size() == 1);
  CHECK(told_down(bench) == dropped);
}

TEST_CASE("links beside those of neighbours last until they are told anew, or the next view") {
  PeerBench bench = member_of({1, 2, 3, 4, 6});
  bench.machine.need_links(bench.now, {{1}, {2}}, bench.actions);
  CHECK(bench.links() == Peers{1, 2, 4, 6});
  bench.visitors({});
  CHECK(bench.links() == Peers{1, 2, 4, 6});
  SECTION("told anew") {
    bench.machine.need_links(bench.now, {}, bench.actions);
    CHECK(bench.links() == Peers{2, 4, 6});
  }
  SECTION("the next view") {
    bench.start(PeerBench::view(2, {1, 2, 3, 4, 6, 5}));
    CHECK(bench.links() == Peers{2, 4, 6});
  }
}

}  // namespace hawser
