#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_bench.hpp"

/// Who comes in when: the first peers of a run, and update-topology.
namespace hawser {
namespace {

Introduction with_terms(const MasterBench& bench, std::uint64_t peer, std::vector<Term> terms,
                        std::uint32_t group = 0) {
  Introduction who = bench.introduction(peer, group);
  who.terms = std::move(terms);
  return who;
}

/// The place of the newest message of that kind among all that this peer was told.
template <class Message>
std::ptrdiff_t place_of(MasterBench& bench, std::uint64_t peer) {
  const auto& told = bench.told(peer);
  const auto found = std::find_if(told.rbegin(), told.rend(),
                                  [](const auto& message) { return std::holds_alternative<Message>(message); });
  return told.rend() - found;
}

}  // namespace

TEST_CASE("members of one name are warned of, once for each name") {
  MasterBench bench;
  const auto hello_as = [&](std::uint64_t peer, const std::string& name) {
    bench.open(peer);
    Introduction who = bench.introduction(peer);
    who.name = name;
    bench.say(peer, Hello{who});
  };
  hello_as(1, "berlin");
  hello_as(2, "berlin");
  hello_as(3, "madrid");
  CHECK(bench.logged("name-twice") == 0);
  bench.link_all({1, 2, 3});
  bench.pass(seconds(1));
  REQUIRE(bench.is_member(3));
  CHECK(bench.logged("name-twice") == 1);
}

// ------------------------------------------------------------------------------ the first peers of a run

TEST_CASE("the first peers form a view together, in order of arrival") {
  MasterBench bench;
  bench.arrive({3, 1});
  bench.pass(milliseconds(899));
  CHECK_FALSE(bench.is_member(3));
  bench.pass(milliseconds(1));
  CHECK(bench.members(1) == Peers{3, 1});
  CHECK(bench.view(1) == bench.view(3));
  CHECK(bench.last<StartView>(1).world == World{.size = 2, .group_count = 1, .largest_group_size = 2});
  CHECK(bench.last<StartView>(1).cause.status == Status::success);
}

TEST_CASE("the first peers are given up to two seconds more for links to each other") {
  MasterBench bench;
  for (const std::uint64_t peer : {1, 2, 3}) bench.hello(peer);
  bench.pass(milliseconds(1500));
  CHECK_FALSE(bench.is_member(1));
  SECTION("and start as soon as these stand") {
    bench.link_all({1, 2, 3});
    CHECK(bench.members(1) == Peers{1, 2, 3});
  }
  SECTION("one that answers nobody keeps nobody out") {
    bench.link(1, 2);
    bench.pass(milliseconds(1499));
    CHECK_FALSE(bench.is_member(1));
    bench.pass(milliseconds(1));
    CHECK(bench.members(1) == Peers{1, 2});
    CHECK_FALSE(bench.is_member(3));
    CHECK(bench.pending() == 1);
  }
  SECTION("of those without any link the first goes in") {
    bench.pass(milliseconds(1500));
    CHECK(bench.members(1) == Peers{1});
    CHECK(bench.pending() == 2);
  }
}

TEST_CASE("who comes after the window is not waited for, but comes in if its links happen to stand") {
  MasterBench bench;
  bench.hello(1);
  bench.hello(2);
  bench.pass(milliseconds(1200));
  bench.hello(3);
  const bool linked = GENERATE(false, true);
  if (linked)
    for (const std::uint64_t peer : {1, 2}) bench.link(peer, 3);
  CHECK_FALSE(bench.is_member(1));
  bench.link(1, 2);
  CHECK(bench.members(1) == (linked ? Peers{1, 2, 3} : Peers{1, 2}));
}

TEST_CASE("the first peer of a run has nobody to wait for") {
  MasterBench bench;
  bench.hello(1);
  bench.pass(seconds(1));
  CHECK(bench.members(1) == Peers{1});
}

TEST_CASE("one of the first peers that goes holds up nobody") {
  MasterBench bench;
  for (const std::uint64_t peer : {1, 2, 3}) bench.hello(peer);
  bench.pass(milliseconds(100));
  bench.link(1, 2);
  SECTION("within the window") {
    bench.say(3, Leave{});
    bench.pass(milliseconds(900));
  }
  SECTION("after it") {
    bench.pass(milliseconds(1100));
    CHECK_FALSE(bench.is_member(1));
    bench.say(3, Leave{});
  }
  CHECK(bench.members(1) == Peers{1, 2});
}

TEST_CASE("the first peers of several groups start at one moment") {
  MasterBench bench;
  bench.arrive({1, 2}, 0);
  bench.arrive({3}, 7);
  bench.pass(milliseconds(800));
  CHECK(bench.members(2) == Peers{1, 2});
  CHECK(bench.members(3) == Peers{3});
  CHECK(bench.last<StartView>(3).world == World{.size = 3, .group_count = 2, .largest_group_size = 2});
  CHECK(bench.view(3).link_secret == bench.view(1).link_secret);
}

// ---------------------------------------------------------------------------------------- update-topology

TEST_CASE("a newcomer is admitted when all members of all groups have called, at once") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3});
  CHECK(bench.last<WorldNews>(1).pending == 1);
  bench.say(1, UpdateCall{});
  CHECK_FALSE(bench.is_member(3));
  bench.say(2, UpdateCall{});
  for (const std::uint64_t peer : {1, 2, 3}) CHECK(bench.members(peer) == Peers{1, 2, 3});
  CHECK(bench.view(3) == bench.view(1));
  CHECK(bench.last<StartView>(1).members.came.size() == 1);
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(bench.last<UpdateDone>(peer).error.status == Status::success);
    CHECK(bench.count<UpdateDone>(peer) == 1);
    // The view first: whoever returns from the call is in it.
    CHECK(place_of<StartView>(bench, peer) < place_of<UpdateDone>(bench, peer));
    CHECK(bench.last<WorldNews>(peer).pending == 0);
    CHECK(place_of<WorldNews>(bench, peer) < place_of<UpdateDone>(bench, peer));
  }
  CHECK(bench.count<UpdateDone>(3) == 0);
  CHECK(bench.last<StartView>(3).update_round == bench.last<UpdateDone>(1).update_round);
}

TEST_CASE("a newcomer without its links is not admitted, and the call of the members ends at once") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.call_update({1, 2});
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  CHECK(bench.members(1) == Peers{1, 2});
  SECTION("one is not enough") {
    bench.link(3, 1);
    bench.call_update({1, 2});
    CHECK(bench.members(1) == Peers{1, 2});
  }
  bench.link(3);
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(2).pending == 1);
  bench.call_update({1, 2});
  CHECK(bench.members(3) == Peers{1, 2, 3});
}

TEST_CASE("a newcomer that is away is not admitted, and keeps its place") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3, 4});
  bench.close(3);
  bench.call_update({1, 2});
  CHECK(bench.members(1) == Peers{1, 2, 4});
  bench.link(3, 4);
  bench.hello(3);
  bench.link(3, 4);
  bench.call_update({1, 2, 4});
  CHECK(bench.members(3) == Peers{1, 2, 4, 3});
}

TEST_CASE("of newcomers that lack links to each other those stay out that lack most, the youngest first") {
  MasterBench bench;
  bench.found(2);
  const auto arrive = [&](const Peers& peers) {
    for (const auto peer : peers) bench.hello(peer);
    bench.pass(milliseconds(100));
    for (const auto peer : peers)
      for (const std::uint64_t member : {1, 2}) bench.link(peer, member);
  };
  SECTION("the younger of two") {
    arrive({4, 3});
    bench.call_update({1, 2});
    CHECK(bench.members(1) == Peers{1, 2, 4});
  }
  SECTION("one that lacks most, whatever its age") {
    arrive({3, 4, 5});
    bench.link(4, 5);
    bench.call_update({1, 2});
    CHECK(bench.members(1) == Peers{1, 2, 4, 5});
  }
  SECTION("in a chain the end that came last") {
    arrive({3, 4, 5});
    bench.link(3, 4);
    bench.link(4, 5);
    bench.pass(milliseconds(100));
    CHECK(bench.last<WorldNews>(1).pending == 2);
    bench.call_update({1, 2});
    CHECK(bench.members(1) == Peers{1, 2, 3, 4});
    // The last one has its links to all members but one.
    bench.link(3, 5);
    bench.call_update({1, 2, 3, 4});
    CHECK(bench.members(1) == Peers{1, 2, 3, 4, 5});
  }
}

TEST_CASE("who comes into a group without members needs no links") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3, 7);
  bench.call_update({1, 2});
  CHECK(bench.members(3) == Peers{3});
  CHECK(bench.last<StartView>(3).world == World{.size = 3, .group_count = 2, .largest_group_size = 2});
}

TEST_CASE("a call that the rest has made ends when the last one that has not is lost") {
  MasterBench bench;
  bench.found(3);
  bench.arrive({4});
  bench.call_update({1, 2});
  bench.say(3, Leave{});
  CHECK(bench.members(4) == Peers{1, 2, 4});
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
}

TEST_CASE("a call that timed out is over, and the next one begins with nobody") {
  MasterBench bench({.silence = seconds(600), .call_wait = seconds(20)});
  bench.found(2);
  bench.say(1, UpdateCall{});
  bench.pass(seconds(20));
  CHECK(bench.last<UpdateDone>(1).error.status == Status::timeout);
  CHECK(bench.last<UpdateDone>(1).update_round == 0);
  bench.say(2, UpdateCall{});
  CHECK(bench.count<UpdateDone>(2) == 0);
  bench.pass(seconds(19));
  bench.say(1, UpdateCall{});
  CHECK(bench.last<UpdateDone>(2).error.status == Status::success);
  CHECK(bench.last<UpdateDone>(1).update_round == 1);
}

// ------------------------------------------------------------------- the first update-topology of a newcomer

TEST_CASE("a newcomer's first update-topology is over when the others have gone on to a collective") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3});
  bench.call_update({1, 2});
  REQUIRE(bench.is_member(3));
  const OpKey key = bench.key(1);
  SECTION("before it calls") {
    bench.begun(1, key);
    bench.say(3, UpdateCall{.first = true});
  }
  SECTION("after it has called") {
    bench.say(3, UpdateCall{.first = true});
    CHECK(bench.count<UpdateDone>(3) == 0);
    bench.begun(1, key);
  }
  REQUIRE(bench.count<UpdateDone>(3) == 1);
  CHECK(bench.last<UpdateDone>(3).error.status == Status::success);
  CHECK(bench.last<UpdateDone>(3).update_round == bench.last<UpdateDone>(1).update_round);
  for (const std::uint64_t peer : {1, 2, 3}) bench.report(peer, key);
  CHECK(bench.last<Committed>(3).key == key);
  CHECK(bench.count<StartView>(3) == 1);
  // Only those who wait in it were told.
  CHECK(bench.count<UpdateDone>(1) == 1);
}

TEST_CASE("a first update-topology is an update-topology like any other where the others call it") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3});
  bench.call_update({1, 2});
  bench.say(3, UpdateCall{.first = true});
  bench.call_update({1, 2});
  for (const std::uint64_t peer : {1, 2, 3}) CHECK(bench.last<UpdateDone>(peer).error.status == Status::success);
  CHECK(bench.last<UpdateDone>(3).update_round == 2);
}

TEST_CASE("all of the first peers may call update-topology before anything else, or none, or some") {
  MasterBench bench;
  bench.found(3);
  const OpKey key = bench.key(1);
  SECTION("all") {
    for (const std::uint64_t peer : {1, 2, 3}) bench.say(peer, UpdateCall{.first = true});
    for (const std::uint64_t peer : {1, 2, 3}) CHECK(bench.last<UpdateDone>(peer).error.status == Status::success);
  }
  SECTION("some") {
    bench.say(1, UpdateCall{.first = true});
    bench.begun(2, key);
    CHECK(bench.count<UpdateDone>(1) == 1);
    bench.say(3, UpdateCall{.first = true});
    CHECK(bench.count<UpdateDone>(3) == 1);
  }
  for (const std::uint64_t peer : {1, 2, 3}) bench.report(peer, key);
  CHECK(bench.last<Committed>(1).key == key);
}

TEST_CASE("beside a later update-topology of another member a first one is a mismatch as any") {
  MasterBench bench;
  bench.found(3);
  bench.say(1, UpdateCall{.first = true});
  bench.say(2, UpdateCall{.first = false});
  bench.begun(3, bench.key(3));
  for (const std::uint64_t peer : {1, 2}) CHECK(bench.last<UpdateDone>(peer).error.status == Status::mismatch);
}

// ------------------------------------------------------------- an update-topology that is over before it is called

namespace {

constexpr UpdateCall kGoesOn{.update_round = 1, .was_over = true, .waits = false};
constexpr UpdateCall kWaitsToo{.update_round = 1, .was_over = true};

/// A run of so many that has reduced once, when nobody waited.
void found_and_reduce(MasterBench& bench, std::uint64_t n) {
  bench.found(n);
  const OpKey key = bench.key(1);
  for (std::uint64_t peer = 1; peer <= n; ++peer) bench.report(peer, key);
  for (std::uint64_t peer = 1; peer <= n; ++peer) {
    REQUIRE(bench.last<Committed>(peer).update_round == 1);
    REQUIRE(bench.last<Committed>(peer).updates_made == 0);
  }
}

}  // namespace

TEST_CASE("where nobody waits for admission, the next update-topology is over with the commit before it") {
  MasterBench bench;
  found_and_reduce(bench, 2);
  SECTION("once, however many are committed before it is called") {
    const OpKey key = bench.key(1, 0, 1);
    for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
    CHECK(bench.last<Committed>(2).update_round == 1);
  }
  SECTION("and the one after it with the next commit") {
    for (const std::uint64_t peer : {1, 2}) bench.say(peer, kGoesOn);
    CHECK(bench.count<UpdateDone>(1) == 0);
    const OpKey key = bench.key(1, 0, 1);
    for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
    CHECK(bench.last<Committed>(2).update_round == 2);
    CHECK(bench.last<Committed>(2).updates_made == 1);
  }
  SECTION("also if the commit is told to a member that was away") {
    bench.resume(2);
    bench.say(2, kGoesOn);
    bench.say(1, UpdateCall{.update_round = 1});
    CHECK(bench.count<UpdateDone>(1) == 0);
    bench.say(2, UpdateCall{.update_round = 1});
    CHECK(bench.last<UpdateDone>(1).update_round == 2);
  }
  SECTION("one who has not heard so is told at once") {
    bench.say(2, UpdateCall{.update_round = 0, .after_error = true});
    bench.forget(1);
    MasterBench other;
    other.found(2);
    // Of the first round, which the bench takes for the newest one if it is 0.
    other.call_update({1, 2});
    const OpKey key = other.key(1);
    for (const std::uint64_t peer : {1, 2}) other.report(peer, key);
    REQUIRE(other.last<Committed>(1).update_round == 2);
    other.say(1, UpdateCall{.update_round = 1});
    CHECK(other.last<UpdateDone>(1).update_round == 2);
    CHECK(other.last<UpdateDone>(1).was_over);
  }
}

TEST_CASE("where there are several groups, no update-topology is over before all have called it") {
  MasterBench bench;
  for (const std::uint64_t peer : {1, 2}) bench.hello(peer, 0);
  for (const std::uint64_t peer : {3, 4}) bench.hello(peer, 1);
  bench.pass(milliseconds(100));
  for (const std::uint64_t peer : {1, 2, 3, 4}) bench.link(peer);
  bench.pass(seconds(2));
  REQUIRE(bench.members(4) == Peers{3, 4});
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  CHECK(bench.last<Committed>(1).update_round == 0);
}

TEST_CASE("a newcomer that waits when a collective is committed comes in with the next update-topology") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3});
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  CHECK(bench.last<Committed>(1).update_round == 0);
  bench.call_update({1, 2});
  CHECK(bench.members(1) == Peers{1, 2, 3});
}

TEST_CASE("a newcomer that has come since the commit comes in if all members wait for it") {
  MasterBench bench;
  found_and_reduce(bench, 3);
  bench.arrive({4});
  SECTION("all have heard of it") {
    for (const std::uint64_t peer : {1, 2, 3}) bench.say(peer, kWaitsToo);
    CHECK(bench.members(1) == Peers{1, 2, 3, 4});
    CHECK(bench.last<UpdateDone>(2).update_round == 2);
  }
  SECTION("one goes on, which has not heard of it") {
    for (const std::uint64_t peer : {1, 2}) bench.say(peer, kWaitsToo);
    CHECK(bench.count<UpdateDone>(1) == 0);
    bench.say(3, kGoesOn);
    for (const std::uint64_t peer : {1, 2}) {
      CHECK(bench.last<UpdateDone>(peer).error.status == Status::success);
      CHECK(bench.last<UpdateDone>(peer).update_round == 1);
      CHECK(bench.last<UpdateDone>(peer).was_over);
    }
    CHECK(bench.members(1) == Peers{1, 2, 3});
    // It waits for the others then.
    const OpKey key = bench.key(1, 0, 1);
    for (const std::uint64_t peer : {1, 2, 3}) bench.report(peer, key);
    CHECK(bench.last<Committed>(1).update_round == 1);
    bench.call_update({1, 2, 3});
    CHECK(bench.members(1) == Peers{1, 2, 3, 4});
  }
  SECTION("one goes on, and calls the next at once: that is where all wait") {
    for (const std::uint64_t peer : {1, 2}) bench.say(peer, kWaitsToo);
    bench.say(3, UpdateCall{.update_round = 1});
    for (const std::uint64_t peer : {1, 2}) CHECK(bench.last<UpdateDone>(peer).update_round == 1);
    CHECK(bench.count<UpdateDone>(3) == 0);
    for (const std::uint64_t peer : {1, 2}) bench.say(peer, UpdateCall{.update_round = 1});
    CHECK(bench.members(1) == Peers{1, 2, 3, 4});
    CHECK(bench.last<UpdateDone>(3).update_round == 2);
  }
}

TEST_CASE("after an error an update-topology is one and the same for those who have called it once more and the rest") {
  MasterBench bench;
  found_and_reduce(bench, 3);
  bench.say(1, kGoesOn);
  bench.begun(1, bench.key(1, 0, 1));
  bench.say(3, Leave{});
  REQUIRE(bench.last<StartView>(1).cause.status == Status::peer_lost);
  SECTION("all call it") {
    bench.say(1, UpdateCall{.update_round = 1, .after_error = true});
    bench.say(2, UpdateCall{.update_round = 1, .was_over = true, .after_error = true});
    for (const std::uint64_t peer : {1, 2}) CHECK(bench.last<UpdateDone>(peer).update_round == 2);
  }
  SECTION("one calls its collective again: the other goes on to that") {
    bench.say(2, UpdateCall{.update_round = 1, .was_over = true, .after_error = true});
    CHECK(bench.count<UpdateDone>(2) == 0);
    const OpKey key = bench.key(1);
    bench.begun(1, key);
    CHECK(bench.last<UpdateDone>(2).was_over);
    for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
    CHECK(bench.last<Committed>(2).key == key);
    CHECK(bench.last<Committed>(2).updates_made == 1);
  }
}

// ------------------------------------------------------------------------------- how many are to be first

namespace {

void arrive_wishing(MasterBench& bench, std::uint64_t peer, std::uint32_t least) {
  bench.open(peer);
  Introduction who = bench.introduction(peer);
  who.min_peers = least;
  bench.say(peer, Hello{who});
  bench.pass(milliseconds(100));
  bench.link(peer);
}

}  // namespace

TEST_CASE("the first members of a group are as many as they ask for") {
  MasterBench bench(MasterConfig{.silence = seconds(3600)});
  arrive_wishing(bench, 1, 3);
  bench.pass(seconds(100));
  arrive_wishing(bench, 2, 3);
  bench.pass(seconds(100));
  for (const std::uint64_t peer : {1, 2}) {
    CHECK_FALSE(bench.is_member(peer));
    CHECK_FALSE(bench.closed(peer));
  }
  arrive_wishing(bench, 3, 3);
  bench.pass(milliseconds(1));
  CHECK(bench.members(1) == Peers{1, 2, 3});
  // Whoever comes to a group that there is has nobody to wait for.
  arrive_wishing(bench, 4, 900);
  bench.call_update({1, 2, 3});
  CHECK(bench.members(1) == Peers{1, 2, 3, 4});
}

TEST_CASE("one that asks for more than the others do holds up nobody") {
  MasterBench bench;
  arrive_wishing(bench, 1, 0);
  arrive_wishing(bench, 2, 2);
  arrive_wishing(bench, 3, 900);
  bench.pass(seconds(1));
  CHECK(bench.members(1) == Peers{1, 2, 3});
}

// -------------------------------------------------------------------------------------- who does not fit

TEST_CASE("what members must have alike is compared at the hello and at the admission") {
  MasterBench bench;
  const auto hello = [&](std::uint64_t peer, const char* rate, std::uint32_t group = 0) {
    bench.open(peer);
    bench.say(peer, Hello{with_terms(bench, peer, {{.name = "outer_lr", .value = rate}}, group)});
  };
  SECTION("at the hello, with the eldest member") {
    hello(1, "0.7");
    bench.pass(seconds(1));
    REQUIRE(bench.is_member(1));
    hello(2, "0.9");
    CHECK(bench.closed(2));
    hello(3, "0.7");
    CHECK_FALSE(bench.closed(3));
    const std::string& sentence = bench.last<Refused>(2).error.sentence;
    for (const char* const part : {"outer_lr", "0.7", "0.9", "p1"}) CHECK(sentence.find(part) != std::string::npos);
    // Other groups have terms of their own.
    hello(4, "0.9", 1);
    CHECK_FALSE(bench.closed(4));
  }
  SECTION("at the admission, with the first that comes in") {
    hello(1, "0.7");
    hello(2, "0.9");
    hello(3, "0.7");
    bench.link_all({1, 2, 3});
    bench.pass(seconds(1));
    CHECK(bench.members(1) == Peers{1, 3});
    CHECK(bench.last<Refused>(2).error.sentence.find("0.9") != std::string::npos);
    CHECK(bench.closed(2));
    CHECK(bench.pending() == 0);
  }
}

TEST_CASE("terms that only one side has differ, too") {
  MasterBench bench;
  bench.open(1);
  bench.say(1, Hello{with_terms(bench, 1, {{.name = "a", .value = "1"}, {.name = "c", .value = "3"}})});
  bench.pass(seconds(1));
  bench.open(2);
  bench.say(2, Hello{with_terms(bench, 2, {{.name = "b", .value = "2"}, {.name = "c", .value = "3"}})});
  const std::string& sentence = bench.last<Refused>(2).error.sentence;
  CHECK(sentence.find("a is nothing here and \"1\" there") != std::string::npos);
  CHECK(sentence.find("b is \"2\" here and nothing there") != std::string::npos);
  CHECK(sentence.find("c is") == std::string::npos);
}

TEST_CASE("a group that is full refuses") {
  MasterBench bench({.silence = seconds(3600), .link_open = seconds(600)});
  Peers in;
  std::uint64_t next = 1;
  while (in.size() < limits::kGroupSizeMax) {
    Peers all = in;
    for (std::size_t i = 0; i < limits::kUnprovenMax && all.size() < limits::kGroupSizeMax; ++i) {
      bench.hello(next);
      all.push_back(next++);
    }
    bench.pass(milliseconds(100));
    bench.link_all(all);
    bench.pass(seconds(1));
    bench.call_update(in);
    REQUIRE(bench.view(1).size() == all.size());
    in = all;
  }
  bench.hello(next);
  bench.pass(milliseconds(100));
  Peers all = in;
  all.push_back(next);
  bench.link_all(all);
  bench.call_update(in);
  CHECK(bench.last<Refused>(next).error.sentence.find("full") != std::string::npos);
  CHECK(bench.view(1).size() == limits::kGroupSizeMax);
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
}

}  // namespace hawser
