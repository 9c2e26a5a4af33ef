#include "membership/majority.hpp"
#include "membership/master_bench.hpp"
#include "membership/peer_bench.hpp"

/// Several masters, one of which serves.
namespace hawser {
namespace {

constexpr MasterConfig kBegins{.silence = seconds(3600), .has_others = true};
constexpr MasterConfig kStandsBy{.silence = seconds(3600), .has_others = true, .is_standby = true};

/// Nobody else serves.
const OthersSeen kAlone{.all_answered = true};

struct TwoMasters {
  MasterBench first{kBegins};
  MasterBench second{kStandsBy, 99};
  explicit TwoMasters(std::uint64_t members) {
    first.see_others(kAlone);
    Peers all;
    for (std::uint64_t peer = 1; peer <= members; ++peer) all.push_back(peer);
    first.arrive(all);
    for (int i = 0; i < 5; ++i) {
      first.pass(milliseconds(300));
      first.see_others(kAlone);
    }
    REQUIRE(first.members(1) == all);
  }
  void go_to_second(const Peers& peers, std::uint64_t term = 1) {
    for (const auto peer : peers) {
      Resume claim = first.memory(peer);
      claim.term = term;
      second.come_back(first, peer, claim);
    }
    second.see_others({.all_answered = false});
  }
};

}  // namespace

TEST_CASE("a master that stands by takes a run over with more than half of it, in a later term") {
  TwoMasters masters(5);
  CHECK(masters.first.machine().snapshot().term == 1);
  masters.go_to_second({1, 2});
  masters.second.pass(seconds(20));
  CHECK_FALSE(masters.second.machine().snapshot().serves);
  CHECK(masters.second.count<Welcome>(1) == 0);
  CHECK(masters.second.last<Standby>(1).gathers);
  masters.go_to_second({4});
  masters.second.pass(seconds(1));
  REQUIRE(masters.second.last<Welcome>(4).term == 2);
  masters.second.present_outcomes({1, 2, 4});
  CHECK(masters.second.machine().snapshot().serves);
  CHECK(masters.second.members(1) == Peers{1, 2, 4});
  CHECK(term_of(masters.second.view(1).epoch) == 2);
  // Until all have started it, it must keep more than half of the one before.
  REQUIRE(masters.second.last<StartView>(1).quorums.size() == 1);
  CHECK(masters.second.last<StartView>(1).quorums[0] == Quorum{.ranks = {0, 1, 2}, .of = 5});
  for (const std::uint64_t peer : {1, 2, 4}) {
    CHECK(masters.second.count<ViewHeld>(peer) == 0);
    masters.second.say(peer, ViewTaken{masters.second.view(peer).id});
  }
  CHECK(masters.second.count<ViewHeld>(4) == 1);
}

TEST_CASE("a master that has lost more than half of its members stands by, and closes all connections") {
  TwoMasters masters(5);
  for (const std::uint64_t peer : {1, 2, 3}) masters.first.close(peer);
  masters.first.link_down(4, {1, 2, 3}, true);
  masters.first.link_down(5, {1, 2, 3}, true);
  masters.first.pass(seconds(6));
  CHECK(masters.first.logged("stepped-down") == 1);
  CHECK(masters.first.closed(4));
  // It was told of the first two, as they were found lost one after the other.
  CHECK(masters.first.members(4) == Peers{3, 4, 5});
  CHECK_FALSE(masters.first.machine().snapshot().serves);
  CHECK(masters.first.machine().snapshot().views.empty());
}

TEST_CASE("good-byes and single losses cost a run with several masters nothing") {
  TwoMasters masters(4);
  MasterBench& first = masters.first;
  for (const std::uint64_t peer : {1, 2}) first.say(peer, Leave{});
  CHECK(first.members(3) == Peers{3, 4});
  for (const std::uint64_t peer : {3, 4}) first.say(peer, ViewTaken{first.view(peer).id});
  first.close(3);
  first.pass(seconds(6));
  CHECK(first.members(4) == Peers{4});
}

TEST_CASE("a master hears no member that has accepted a later one, and stands by once it sees that one serve") {
  TwoMasters masters(3);
  masters.first.close(2);
  masters.first.open(2);
  Resume later = masters.first.memory(2);
  later.term = 2;
  later.who.connection = 9;
  masters.first.say(2, later);
  CHECK_FALSE(masters.first.last<Standby>(2).gathers);
  CHECK(masters.first.closed(2));
  // It does not come back, so nobody waits for it.
  CHECK(masters.first.members(1) == Peers{1, 3});
  // The later one serves nobody yet, and the one that serves is no later one.
  masters.first.see_others({.all_answered = true, .none_serves = false, .term = 2});
  CHECK(masters.first.logged("stepped-down") == 0);
  masters.first.see_others({.all_answered = true, .none_serves = false, .term = 2, .serving_term = 2});
  CHECK(masters.first.logged("stepped-down") == 1);
}

TEST_CASE("a master that too many of its members have left for a later one steps down at once") {
  TwoMasters masters(3);
  for (const std::uint64_t peer : {2, 3}) {
    Resume later = masters.first.memory(peer);
    later.term = 2;
    later.who.connection = 9;
    masters.first.open(peer);
    masters.first.say(peer, later);
  }
  CHECK(masters.first.logged("stepped-down") == 1);
  CHECK_FALSE(masters.first.machine().snapshot().serves);
}

TEST_CASE("a master that has nobody any more steps down as soon as somebody tells of a later one") {
  TwoMasters masters(5);
  for (const std::uint64_t peer : {1, 2, 3, 4, 5}) masters.first.close(peer);
  CHECK(masters.first.machine().snapshot().serves);
  Resume later = masters.first.memory(2);
  later.term = 2;
  later.who.connection = 9;
  masters.first.open(2);
  masters.first.say(2, later);
  CHECK(masters.first.logged("stepped-down") == 1);
}

TEST_CASE("members that have left a master behind are taken over although it still serves") {
  TwoMasters masters(3);
  const std::uint64_t term = GENERATE(1, 2);
  masters.go_to_second({1, 2, 3}, term);
  masters.second.see_others({.all_answered = true, .none_serves = false, .term = 1, .serving_term = 1});
  masters.second.pass(seconds(2));
  // Those of term 1 may be heard by that master, which may hear them.
  CHECK(masters.second.count<Welcome>(1) == (term == 2 ? 1u : 0u));
  if (term == 2) CHECK(masters.second.last<Welcome>(1).term == 3);
}

TEST_CASE("a master that sees another one serve sends the members there that are with it") {
  TwoMasters masters(3);
  masters.go_to_second({1, 2});
  masters.go_to_second({3}, 2);
  CHECK(masters.second.machine().snapshot().recovering);
  masters.second.see_others({.all_answered = true, .none_serves = false, .term = 1, .serving_term = 1});
  for (const std::uint64_t peer : {1, 2}) {
    CHECK_FALSE(masters.second.last<Standby>(peer).gathers);
    CHECK(masters.second.closed(peer));
  }
  // That one is not heard there any more.
  CHECK_FALSE(masters.second.closed(3));
  masters.second.see_others({.all_answered = true, .none_serves = false, .term = 2, .serving_term = 2});
  CHECK(masters.second.closed(3));
}

TEST_CASE("members that wait with several masters go to the one with which more of them wait") {
  TwoMasters masters(5);
  MasterBench& second = masters.second;
  masters.go_to_second({1, 2});
  second.pass(milliseconds(500));
  // The others may still be on their way.
  second.see_others({.all_answered = true, .gathered = 3});
  CHECK_FALSE(second.closed(1));
  second.pass(milliseconds(600));
  second.see_others({.all_answered = true, .gathered = 1});
  CHECK_FALSE(second.closed(1));
  second.see_others({.all_answered = true, .gathered = 3});
  for (const std::uint64_t peer : {1, 2}) {
    CHECK_FALSE(second.last<Standby>(peer).gathers);
    CHECK(second.closed(peer));
  }
  CHECK(second.machine().gathered() == 0);

  // They come back if they do not reach that one, and are kept until those that wait there have come, too.
  masters.go_to_second({1});
  second.pass(seconds(2));
  second.see_others({.all_answered = true, .gathered = 3});
  CHECK_FALSE(second.closed(1));
  second.pass(seconds(18));
  second.see_others({.all_answered = true, .gathered = 3});
  CHECK(second.closed(1));
}

TEST_CASE("members whose update-topology waits for former ones of another group are told once these have gone") {
  MasterBench first(kBegins);
  MasterBench second(kStandsBy, 99);
  first.see_others(kAlone);
  first.arrive({1, 2, 3});
  first.arrive({11, 12}, 1);
  for (int i = 0; i < 5; ++i) {
    first.pass(milliseconds(300));
    first.see_others(kAlone);
  }
  REQUIRE(first.members(1) == Peers{1, 2, 3});
  REQUIRE(first.members(11) == Peers{11, 12});
  const auto go_to_second = [&](const Peers& peers) {
    for (const auto peer : peers) {
      Resume claim = first.memory(peer);
      claim.term = 1;
      second.come_back(first, peer, claim);
    }
    second.see_others({.all_answered = false});
  };
  go_to_second({11, 12});
  second.pass(seconds(1));
  second.see_others({.all_answered = false});
  second.pass(seconds(1));
  second.present_outcomes({11, 12});
  REQUIRE(second.machine().snapshot().serves);
  // One of three is not enough.
  go_to_second({1});
  REQUIRE(second.machine().gathered() == 1);
  second.call_update({11, 12});
  CHECK(second.count<UpdateDone>(11) == 0);
  second.close(1);
  second.pass(milliseconds(100));
  CHECK(second.count<UpdateDone>(11) == 1);
  CHECK(second.count<UpdateDone>(12) == 1);
}

TEST_CASE("a run of two goes on without the one that was lost when their last collective was committed") {
  TwoMasters masters(2);
  const OpKey key = masters.first.key(1, 0, 0);
  masters.first.say(2, Begun{.key = key, .signature = {.count = 10}});
  masters.first.report(1, key);
  // The first master waits for it, commits with whom it has left, and is gone before the other is back.
  masters.first.close(2);
  masters.first.link_down(1, {2}, true);
  masters.first.pass(seconds(6));
  REQUIRE(masters.first.count<Committed>(1) == 1);
  REQUIRE(masters.first.members(1) == Peers{1});
  REQUIRE(masters.first.members(2) == Peers{1, 2});
  masters.go_to_second({1, 2});
  masters.second.pass(seconds(2));
  masters.second.say(1, OutcomesPresented{.undecided = {}, .committed = {key}});
  masters.second.say(2, OutcomesPresented{.undecided = {MasterBench::undecided(key, false)}, .committed = {}});
  CHECK(masters.second.machine().snapshot().serves);
  CHECK(masters.second.members(1) == Peers{1});
  CHECK(masters.second.count<Expelled>(2) == 1);
}

TEST_CASE("a member whose master had ended what another one committed does not go on with the rest") {
  TwoMasters masters(5);
  MasterBench& second = masters.second;
  const OpKey key = masters.first.key(1, 0, 0);
  std::map<std::uint64_t, Resume> memories;
  for (const std::uint64_t peer : {1, 2, 3}) memories.emplace(peer, masters.first.memory(peer));
  const View base = masters.first.view(1);
  masters.first.say(4, Leave{});
  REQUIRE(masters.first.members(5) == Peers{1, 2, 3, 5});
  masters.go_to_second({5});
  for (auto& [peer, memory] : memories) {
    memory.term = 1;
    memory.whole = true;
    second.say_back(masters.first, peer, memory);
    second.say(peer, ViewPresented{base});
  }
  second.see_others({.all_answered = false});
  second.pass(seconds(2));
  const bool knows = GENERATE(false, true);
  for (const std::uint64_t peer : {1, 2}) second.say(peer, OutcomesPresented{.undecided = {}, .committed = {key}});
  second.say(3, OutcomesPresented{.undecided = {MasterBench::undecided(key, true)}, .committed = {}});
  second.say(5, OutcomesPresented{.undecided = {}, .committed = knows ? std::vector{key} : std::vector<OpKey>{}});
  REQUIRE(second.machine().snapshot().serves);
  CHECK(second.count<Committed>(3) == 1);
  CHECK(second.members(1) == (knows ? Peers{1, 2, 3, 5} : Peers{1, 2, 3}));
  CHECK(second.count<Expelled>(5) == (knows ? 0U : 1U));
}

TEST_CASE("after an attempt that members at odds hindered those that are to go are set aside") {
  TwoMasters masters(3);
  MasterBench& second = masters.second;
  const OpKey key = masters.first.key(1, 0, 0);
  std::map<std::uint64_t, Resume> memories;
  for (const std::uint64_t peer : {1, 3}) memories.emplace(peer, masters.first.memory(peer));
  const View base = masters.first.view(1);
  // The first master goes on without 1, and only 2 hears of it; another one has committed with 1 and 3 meanwhile.
  masters.first.close(1);
  masters.first.link_down(2, {1}, true);
  masters.first.link_down(3, {1}, true);
  masters.first.pass(seconds(6));
  REQUIRE(masters.first.members(2) == Peers{2, 3});
  const auto come = [&] {
    masters.go_to_second({2});
    for (auto& [peer, memory] : memories) {
      memory.term = 1;
      memory.whole = true;
      second.say_back(masters.first, peer, memory);
      second.say(peer, ViewPresented{base});
    }
    second.see_others({.all_answered = false});
    second.pass(seconds(2));
  };
  come();
  second.say(3, OutcomesPresented{.undecided = {}, .committed = {key}, .views = {key.view}});
  second.say(2, OutcomesPresented{.undecided = {}, .committed = {}, .views = {key.view}});
  CHECK_FALSE(second.machine().snapshot().serves);
  come();
  for (const std::uint64_t peer : {1, 3})
    second.say(peer, OutcomesPresented{.undecided = {}, .committed = {key}, .views = {key.view}});
  CHECK(second.machine().snapshot().serves);
  CHECK(second.members(1) == Peers{1, 3});
  CHECK(second.count<Expelled>(2) == 1);
}

TEST_CASE("who was in a view that is over and lacks a commit of it does not go on with those who have it") {
  TwoMasters masters(4);
  MasterBench& second = masters.second;
  const auto give_up = [&] {
    const OpKey key = masters.first.key(1, 7, 0);
    masters.first.begun(1, key);
    masters.first.say(1, GiveUp{.key = key, .after_ms = 1});
  };
  give_up();
  const OpKey key = masters.first.key(1, 0, 0);
  give_up();
  masters.first.pass(milliseconds(100));
  REQUIRE(masters.first.view(1).epoch > key.epoch);
  REQUIRE(masters.first.members(4) == Peers{1, 2, 3, 4});
  masters.go_to_second({1, 2, 3, 4});
  second.pass(seconds(2));
  for (const std::uint64_t peer : {1, 2, 3})
    second.say(peer, OutcomesPresented{.undecided = {}, .committed = {key}, .views = {key.view}});
  // Or it was lost from the group before, and taken back after that view.
  const bool was_in = GENERATE(true, false);
  const ViewId now = masters.first.view(1).id;
  second.say(4, OutcomesPresented{.undecided = {},
                                  .committed = {},
                                  .views = was_in ? std::vector{key.view, now} : std::vector{now}});
  REQUIRE(second.machine().snapshot().serves);
  CHECK(second.members(1) == (was_in ? Peers{1, 2, 3} : Peers{1, 2, 3, 4}));
}

TEST_CASE("one member that makes up a commit costs nobody his place but itself") {
  TwoMasters masters(5);
  MasterBench& second = masters.second;
  OpKey made_up = masters.first.key(1, 0, 0);
  Resume memory = masters.first.memory(2);
  const View base = masters.first.view(2);
  masters.first.say(4, Leave{});
  masters.go_to_second({1, 3, 5});
  // It claims the view before, which the others have left behind.
  memory.term = 1;
  memory.whole = true;
  second.say_back(masters.first, 2, memory);
  second.say(2, ViewPresented{base});
  second.see_others({.all_answered = false});
  second.pass(seconds(2));
  for (const std::uint64_t peer : {1, 3, 5}) second.say(peer, OutcomesPresented{});
  second.say(2, OutcomesPresented{.undecided = {}, .committed = {made_up}});
  REQUIRE(second.machine().snapshot().serves);
  CHECK(second.members(1) == Peers{1, 3, 5});
  CHECK(second.count<Expelled>(2) == 1);
}

TEST_CASE("a master that took a run over founds no group while another one may serve it") {
  TwoMasters masters(3);
  MasterBench& second = masters.second;
  masters.go_to_second({1, 2, 3});
  second.pass(seconds(2));
  second.present_outcomes({1, 2, 3});
  REQUIRE(second.machine().snapshot().serves);
  second.pass(seconds(30));
  second.arrive({7}, 1);
  OthersSeen seen = kAlone;
  const bool is_alone = GENERATE(false, true);
  SECTION("it has not looked lately") {
    if (is_alone) return;
  }
  SECTION("another one does not answer") {
    if (is_alone) return;
    seen.all_answered = false;
    second.see_others(seen);
  }
  SECTION("another one gathers") {
    if (is_alone) return;
    seen.gathered = 2;
    second.see_others(seen);
  }
  SECTION("it has looked, and there is none") {
    if (!is_alone) return;
    second.see_others(seen);
  }
  for (const std::uint64_t peer : {1, 2, 3}) second.say(peer, UpdateCall{.after_error = true});
  CHECK(second.last<UpdateDone>(1).error.status == Status::success);
  CHECK(second.is_member(7) == is_alone);
}

TEST_CASE("what a member calls while its run is taken over counts at the next commit") {
  TwoMasters masters(3);
  MasterBench& second = masters.second;
  const OpKey key = masters.first.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) masters.first.report(peer, key);
  REQUIRE(masters.first.update_round(1) == 1);
  for (const std::uint64_t peer : {1, 2, 3}) {
    Resume claim = masters.first.memory(peer);
    claim.term = 1;
    claim.update_round = 1;
    second.come_back(masters.first, peer, claim);
  }
  second.say(1, UpdateCall{.update_round = 1, .was_over = true, .waits = false});
  second.see_others({.all_answered = false});
  second.pass(seconds(2));
  second.present_outcomes({1, 2, 3});
  REQUIRE(second.machine().snapshot().serves);
  const OpKey next = second.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) second.report(peer, next);
  CHECK(second.last<Committed>(2).updates_made == 1);
}

TEST_CASE("a commit in a takeover says how many update-topology calls the one that made most has behind it") {
  TwoMasters masters(3);
  MasterBench& second = masters.second;
  const OpKey key = masters.first.key(1);
  const bool is_known = GENERATE(false, true);
  for (const std::uint64_t peer : {1, 2, 3}) {
    Resume claim = masters.first.memory(peer);
    claim.term = 1;
    claim.update_round = 1;
    claim.updates_made = peer == 1 ? 1 : 0;
    second.come_back(masters.first, peer, claim);
  }
  second.see_others({.all_answered = false});
  second.pass(seconds(2));
  const OutcomesPresented reported{.undecided = {MasterBench::undecided(key, true)}, .committed = {}};
  // Who knows of it already may have gone on from there.
  second.say(1, is_known ? OutcomesPresented{.undecided = {}, .committed = {key}} : reported);
  for (const std::uint64_t peer : {2, 3}) second.say(peer, reported);
  REQUIRE(second.machine().snapshot().serves);
  REQUIRE(second.last<Committed>(2).key == key);
  CHECK(second.last<Committed>(2).update_round == 1);
  CHECK(second.last<Committed>(2).updates_made == (is_known ? 0U : 1U));
}

TEST_CASE("a master that all had left counts the time anew for whoever comes then") {
  const Duration recovery = kStandsBy.recovery;
  TwoMasters masters(5);
  masters.go_to_second({1, 2});
  masters.second.say(2, Leave{});
  masters.second.close(1);
  // It is remembered that one has said good-bye.
  masters.second.pass(recovery - milliseconds(500));
  REQUIRE(masters.second.machine().snapshot().recovering);
  masters.go_to_second({3});
  masters.second.pass(seconds(1));
  CHECK(masters.second.machine().gathered() == 1);
  masters.go_to_second({4, 5});
  masters.second.see_others({.all_answered = true});
  // The first one may still come.
  masters.second.pass(recovery);
  CHECK(masters.second.count<Welcome>(3) == 1);
}

TEST_CASE("of two masters with which equally many members wait one alone keeps them") {
  TwoMasters masters(4);
  masters.go_to_second({1, 2});
  masters.second.pass(milliseconds(1100));
  const RunId own = masters.second.machine().snapshot().run;
  const bool other_is_higher = GENERATE(true, false);
  const RunId other{other_is_higher ? ~std::uint64_t{0} : 0};
  REQUIRE(own != other);
  masters.second.see_others({.all_answered = true, .gathered = 2, .gathering = other});
  CHECK(masters.second.closed(1) == other_is_higher);
}

TEST_CASE("a master to which a member has said good-bye keeps the others that wait with it") {
  TwoMasters masters(5);
  masters.go_to_second({1, 2});
  masters.second.say(2, Leave{});
  masters.second.pass(milliseconds(1100));
  masters.second.see_others({.all_answered = true, .gathered = 3});
  CHECK_FALSE(masters.second.closed(1));
}

TEST_CASE("one member that tells of a later master does not make another one take the run over") {
  TwoMasters masters(3);
  masters.go_to_second({1, 2});
  masters.go_to_second({3}, 2);
  masters.second.see_others({.all_answered = true, .none_serves = false, .term = 1, .serving_term = 1});
  masters.second.pass(seconds(10));
  CHECK(masters.second.count<Welcome>(1) == 0);
}

TEST_CASE("members that are enough are told to stay while a master waits for the rest") {
  TwoMasters masters(5);
  masters.go_to_second({1, 2, 3});
  masters.second.say(1, Linked{.all = true, .up = {{4}, {5}}, .down = {}});
  masters.second.say(2, Linked{.all = true, .up = {{4}, {5}}, .down = {}});
  masters.second.say(3, Linked{.all = true, .up = {{4}, {5}}, .down = {}});
  masters.second.pass(milliseconds(4500));
  masters.second.see_others({.all_answered = false});
  CHECK(masters.second.count<Welcome>(1) == 0);
  CHECK(masters.second.count<Standby>(1) >= 4);
  CHECK(masters.second.count<Standby>(1) <= 6);
  masters.second.pass(seconds(1));
  CHECK(masters.second.count<Welcome>(1) == 1);
}

TEST_CASE("a member whose connection to a master that gathers members breaks comes back to that one first") {
  PeerBench peer({.masters = 2, .silence = seconds(5)});
  peer.join();
  peer.down();
  peer.pass(milliseconds(50));
  peer.down();
  peer.tick();
  REQUIRE(peer.last<DialMaster>().which == 1);
  peer.up(false);
  peer.say(Standby{.sentence = "it waits", .gathers = true});
  peer.down();
  peer.pass(milliseconds(51));
  CHECK(peer.last<DialMaster>().which == 1);
  peer.down();
  peer.tick();
  CHECK(peer.last<DialMaster>().which == 0);
}

TEST_CASE("a member stays with a master that gathers others as long as that says so, and hears it as any master") {
  PeerBench peer({.masters = 2, .silence = seconds(5)});
  peer.join();
  peer.down();
  peer.pass(milliseconds(50));
  peer.down();
  peer.tick();
  CHECK(peer.last<DialMaster>().which == 1);
  peer.up(false);
  // What the master said arrived a little after the connection was there.
  peer.pass(milliseconds(20));
  peer.say(Standby{.sentence = "it waits", .gathers = true});
  const auto pings = peer.sent<Ping>().size();
  peer.pass(milliseconds(1300));
  CHECK(peer.sent<Ping>().size() == pings + 1);
  CHECK(peer.count<CloseMaster>() == 0);
  for (int i = 0; i < 5; ++i) {
    peer.say(Standby{.sentence = "it waits", .gathers = true});
    peer.pass(seconds(1));
  }
  CHECK(peer.count<CloseMaster>() == 0);
  peer.pass(milliseconds(1400));
  peer.say(Pong{});
  peer.pass(milliseconds(200));
  CHECK(peer.count<CloseMaster>() == 1);
}

TEST_CASE("a run begins once all other masters were reached and none has one") {
  MasterBench first(kBegins);
  first.hello(1);
  CHECK(first.closed(1));
  CHECK_FALSE(first.last<Standby>(1).gathers);
  first.see_others({.all_answered = false});
  first.hello(1);
  CHECK(first.closed(1));
  first.see_others({.all_answered = true, .none_serves = true, .gathered = 1});
  first.hello(1);
  CHECK(first.closed(1));
  first.see_others(kAlone);
  first.hello(1);
  CHECK_FALSE(first.closed(1));
  MasterBench second(kStandsBy);
  second.see_others(kAlone);
  second.hello(1);
  CHECK(second.closed(1));
}

TEST_CASE("a member that died while the master was away costs a second where its links tell it") {
  MasterBench before;
  before.found(4);
  MasterBench after({}, 99);
  for (const std::uint64_t peer : {1, 2, 3}) after.come_back(before, peer);
  for (const std::uint64_t peer : {1, 2, 3}) CHECK(after.last<Welcome>(peer).wants_links);
  const bool told = GENERATE(true, false);
  for (const std::uint64_t peer : {1, 2, 3})
    after.say(peer, Linked{.all = true, .up = {}, .down = {{4}}, .refused = told ? std::vector<PeerId>{{4}}
                                                                                  : std::vector<PeerId>{}});
  after.pass(milliseconds(1100));
  after.present_outcomes({1, 2, 3});
  CHECK(after.members(1) == Peers{1, 2, 3});
}

TEST_CASE("a member whose links stand is waited for as long as there is, another one for the bound of silence") {
  const MasterConfig config{.silence = seconds(4), .recovery = seconds(20)};
  MasterBench before;
  before.found(3);
  MasterBench after(config, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  const bool stand = GENERATE(true, false);
  for (const std::uint64_t peer : {1, 2})
    after.say(peer, Linked{.all = true, .up = stand ? std::vector<PeerId>{{3}} : std::vector<PeerId>{}});
  after.pass_alive(milliseconds(4100), {1, 2});
  CHECK(after.last<Present>(1).outcomes == !stand);
  after.pass_alive(seconds(16), {1, 2});
  CHECK(after.last<Present>(1).outcomes);
}

}  // namespace hawser
