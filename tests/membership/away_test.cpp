#include "base/random.hpp"
#include "membership/master_bench.hpp"

/// Members whose connection to the master breaks: how long they have, who says that they are gone, and what they are
/// told when they are back.
namespace hawser {
namespace {


}  // namespace

TEST_CASE("a member whose connection broke has time to come back, and nothing happens meanwhile") {
  MasterBench bench(kPatient);
  bench.found(3);
  bench.close(3);
  bench.pass(seconds(5) - milliseconds(1));
  CHECK(bench.count<StartView>(1) == 1);
  SECTION("it comes") {
    bench.resume(3);
    bench.pass(seconds(60));
    CHECK(bench.count<StartView>(1) == 1);
    CHECK(bench.count<StartView>(3) == 1);
    CHECK(bench.last<Welcome>(3).run == bench.last<Welcome>(1).run);
    CHECK(bench.role_of(3) == ConnectionRole::member);
  }
  SECTION("it does not") {
    bench.pass(milliseconds(1));
    CHECK(bench.members(1) == Peers{1, 2});
    CHECK(bench.last<StartView>(1).cause.status == Status::peer_lost);
    const Resume late = bench.memory(3);
    bench.open(3);
    bench.say(3, late);
    CHECK(bench.last<Expelled>(3).error.status == Status::expelled);
    CHECK(bench.closed(3));
  }
}

TEST_CASE("what is under way is committed without a word to the member that is away, which learns it later") {
  MasterBench bench(kPatient);
  bench.found(2);
  const OpKey done = bench.key(1, 1);
  const OpKey open = bench.key(1, 2);
  bench.report(2, done);
  bench.report(1, open);
  bench.close(2);
  bench.report(1, done);
  CHECK(bench.last<Committed>(1).key == done);
  bench.resume(2, {.undecided = {bench.undecided(done, true), bench.undecided(open, true)}, .committed = {}});
  CHECK(bench.count<StartView>(1) == 1);
  CHECK(bench.count<Committed>(2) == 2);
  CHECK(bench.last<Committed>(1).key == open);
}

TEST_CASE("a member that noticed a dead connection first goes on where it was") {
  MasterBench bench;
  bench.found(2);
  const ConnectionId dead = bench.newest(2);
  const OpKey key = bench.key(1);
  bench.report(1, key);
  bench.resume(2, {.undecided = {bench.undecided(key, true)}, .committed = {}});
  CHECK(bench.closed(dead));
  CHECK(bench.last<Committed>(1).key == key);
  CHECK(bench.count<StartView>(1) == 1);
  // The end of the old connection is no news.
  bench.close_connection(dead);
  bench.pass_alive(seconds(10), {1, 2});
  CHECK(bench.members(1) == Peers{1, 2});
}

TEST_CASE("a member that is back is told nothing else before it has told what it knows") {
  MasterBench bench(kPatient);
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  const Resume memory = bench.memory(3);
  bench.close(3);
  bench.open(3);
  const std::size_t told = bench.told(3).size();
  bench.say(3, memory);
  bench.hello(4);
  bench.report(1, key);
  bench.report(2, key);
  bench.say(3, Ping{});
  bench.say(2, Leave{});
  // What survivors have decided meanwhile: member 3 had not reported, so nothing was.
  CHECK(bench.told(3).size() == told + 3);
  CHECK(bench.count<Present>(3) == 1);
  CHECK(bench.count<Pong>(3) == 1);
  bench.say(3, OutcomesPresented{.undecided = {bench.undecided(key, true)}, .committed = {}});
  CHECK(bench.members(3) == Peers{1, 3});
  CHECK(bench.last<StartView>(3).cause.status == Status::peer_lost);
  CHECK(bench.count<Committed>(3) == 0);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(3) == Peers{4});
}

TEST_CASE("one that is back and does not tell what it knows is lost like one that is not back") {
  MasterBench bench(kPatient);
  bench.found(2);
  const Resume memory = bench.memory(2);
  bench.close(2);
  bench.pass(seconds(3));
  bench.open(2);
  bench.say(2, memory);
  bench.pass(seconds(5) - milliseconds(1));
  CHECK(bench.count<StartView>(1) == 1);
  bench.pass(milliseconds(1));
  CHECK(bench.members(1) == Peers{1});
  CHECK(bench.last<Expelled>(2).error.sentence.find("did not tell") != std::string::npos);
}

TEST_CASE("what was decided while it was away is told before the view that ended the rest") {
  MasterBench bench(kPatient);
  bench.found(3);
  const OpKey whole = bench.key(1, 1);
  const OpKey partial = bench.key(1, 2);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, whole);
  bench.begun(3, whole);
  bench.report(2, partial);
  bench.close(2);
  bench.say(3, Leave{});
  REQUIRE(bench.last<Committed>(1).key == whole);
  REQUIRE(bench.members(1) == Peers{1, 2});
  bench.resume(2, {.undecided = {bench.undecided(whole, true), bench.undecided(partial, true)}, .committed = {}});
  CHECK(bench.members(2) == Peers{1, 2});
  CHECK(bench.count<Committed>(2) == 1);
  CHECK(bench.last<Committed>(2).key == whole);
  const auto& told = bench.told(2);
  CHECK(std::holds_alternative<Committed>(told[told.size() - 2]));
  CHECK(std::holds_alternative<StartView>(told.back()));
  // The cause of the view that ended what it knew.
  CHECK(bench.last<StartView>(2).cause.sentence.find("p3") != std::string::npos);
  // What it has undecided of the old view is over, and does nobody any harm.
  CHECK(bench.count<Committed>(1) == 1);
}

TEST_CASE("a view that follows the one it knew comes as a difference, a later one as a whole") {
  MasterBench bench(kPatient);
  bench.found(4);
  bench.close(4);
  bench.say(3, Leave{});
  const bool several = GENERATE(false, true);
  if (several) bench.say(2, Leave{});
  bench.resume(4);
  CHECK(bench.last<StartView>(4).members.whole == several);
  CHECK(bench.members(4) == (several ? Peers{1, 4} : Peers{1, 2, 4}));
}

TEST_CASE("whom a difference did not fit is told the whole view, with the cause of the end of its own") {
  MasterBench bench(kPatient);
  bench.found(4);
  bench.close(4);
  bench.say(3, Leave{});
  bench.open(4);
  Resume asks = bench.memory(4);
  asks.whole = true;
  bench.say(4, asks);
  bench.say(4, OutcomesPresented{});
  CHECK(bench.last<StartView>(4).members.whole);
  CHECK(bench.last<StartView>(4).cause.sentence.find("p3") != std::string::npos);
  CHECK(bench.members(4) == Peers{1, 2, 4});
}

TEST_CASE("an update-topology that ended while a member was away has ended for it, too") {
  MasterBench bench(kPatient);
  bench.found(2);
  Resume memory = bench.memory(2);
  memory.in_update = true;
  SECTION("by success") {
    bench.say(2, UpdateCall{});
    bench.close(2);
    bench.say(1, UpdateCall{});
    REQUIRE(bench.last<UpdateDone>(1).error.status == Status::success);
    bench.open(2);
    memory.who.connection = 2;
    bench.say(2, memory);
    bench.say(2, OutcomesPresented{});
    CHECK(bench.last<UpdateDone>(2).error.status == Status::success);
    CHECK(bench.last<UpdateDone>(2).update_round == bench.last<UpdateDone>(1).update_round);
    // That was that call, and the next is another one.
    bench.call_update({1, 2});
    CHECK(bench.count<UpdateDone>(2) == 2);
  }
  SECTION("not yet") {
    bench.close(2);
    bench.open(2);
    memory.who.connection = 2;
    bench.say(2, memory);
    bench.say(2, OutcomesPresented{});
    CHECK(bench.count<UpdateDone>(2) == 0);
    bench.say(1, UpdateCall{});
    CHECK(bench.last<UpdateDone>(2).error.status == Status::success);
  }
  SECTION("it calls between its word that it is back and what it knows") {
    bench.close(2);
    bench.open(2);
    memory.who.connection = 2;
    memory.in_update = false;
    bench.say(2, memory);
    bench.say(2, UpdateCall{});
    bench.say(1, UpdateCall{});
    REQUIRE(bench.last<UpdateDone>(1).error.status == Status::success);
    bench.say(2, OutcomesPresented{});
    CHECK(bench.last<UpdateDone>(2).error.status == Status::success);
  }
  SECTION("the master thinks that it waits, but it knows that its call is over") {
    bench.say(2, UpdateCall{});
    bench.resume(2);
    bench.begun(2, bench.key(2));
    bench.begun(1, bench.key(1));
    bench.pass(seconds(60));
    CHECK(bench.count<StartView>(1) == 1);
  }
}

TEST_CASE("an update-topology that a mismatch ended while a member was away is a mismatch for it, too") {
  MasterBench bench(kPatient);
  bench.found(3);
  Resume memory = bench.memory(2);
  memory.in_update = true;
  memory.who.connection = 2;
  for (const std::uint64_t peer : {2, 3}) bench.say(peer, UpdateCall{});
  bench.close(2);
  bench.begun(1, bench.key(1));
  bench.pass(milliseconds(500));
  REQUIRE(bench.last<UpdateDone>(3).error.status == Status::mismatch);
  SECTION("in the latest view") {}
  SECTION("before another end of a view") {
    bench.say(3, Leave{});
    REQUIRE(bench.last<StartView>(1).cause.status == Status::peer_lost);
  }
  bench.open(2);
  bench.say(2, memory);
  bench.say(2, OutcomesPresented{});
  CHECK(bench.last<UpdateDone>(2).error.status == Status::mismatch);
  // What it calls next is another call.
  bench.say(2, UpdateCall{});
  bench.say(1, UpdateCall{});
  bench.say(3, UpdateCall{});
  CHECK(bench.last<UpdateDone>(2).error.status == Status::success);
}

TEST_CASE("a member that is back in update-topology meets others that are in a collective") {
  MasterBench bench(kPatient);
  bench.found(2);
  bench.arrive({3});
  bench.call_update({1, 2});
  REQUIRE(bench.is_member(3));
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2}) bench.begun(peer, key);
  const bool is_first = GENERATE(true, false);
  Resume memory = bench.memory(3);
  memory.in_update = true;
  memory.first = is_first;
  memory.update_round = bench.last<StartView>(3).update_round;
  bench.close(3);
  bench.open(3);
  ++memory.who.connection;
  bench.say(3, memory);
  bench.say(3, OutcomesPresented{});
  REQUIRE(bench.count<UpdateDone>(3) == 1);
  CHECK(bench.last<UpdateDone>(3).error.status == (is_first ? Status::success : Status::mismatch));
  CHECK(bench.count<StartView>(3) == (is_first ? 1U : 2U));
}

// ------------------------------------------------------------------------ what the others say of their links

TEST_CASE("a member that more than half of the others have no link to any more is gone after 300 ms") {
  MasterBench bench(kPatient);
  bench.found(5);
  bench.close(5);
  bench.link_down(1, {5});
  bench.link_down(2, {5});
  bench.pass(seconds(1));
  CHECK(bench.members(1).size() == 5);
  bench.link_down(3, {5});
  bench.pass(milliseconds(299));
  CHECK(bench.members(1).size() == 5);
  SECTION("counted from the last word") {
    bench.link_down(4, {5});
    bench.pass(milliseconds(299));
    CHECK(bench.members(1).size() == 5);
  }
  SECTION("counted from the break, if the links broke before") {}
  bench.pass(milliseconds(1));
  CHECK(bench.members(1) == Peers{1, 2, 3, 4});
  CHECK(bench.last<StartView>(1).cause.sentence.find("links to the other members") != std::string::npos);
}

TEST_CASE("links that broke before the connection count from the break of that") {
  MasterBench bench(kPatient);
  bench.found(2);
  bench.link_down(1, {2});
  bench.pass(seconds(1));
  bench.close(2);
  bench.pass(milliseconds(299));
  CHECK(bench.members(1).size() == 2);
  bench.pass(milliseconds(1));
  CHECK(bench.members(1) == Peers{1});
}

TEST_CASE("where most are refused the member is gone at once, where some are a little later") {
  MasterBench bench(kPatient);
  bench.found(3);
  SECTION("most") {
    bench.close(3);
    bench.link_down(1, {3}, true);
    bench.link_down(2, {3}, true);
    CHECK(bench.members(1) == Peers{1, 2});
  }
  SECTION("after its connection") {
    bench.close(3);
    bench.link_down(1, {3});
    bench.link_down(2, {3}, true);
  }
  SECTION("before its connection") {
    bench.link_down(2, {3}, true);
    bench.link_down(1, {3});
    CHECK(bench.members(1).size() == 3);
    bench.close(3);
  }
  bench.pass(milliseconds(100));
  CHECK(bench.members(1) == Peers{1, 2});
}

TEST_CASE("one bad member cannot say that another is gone") {
  MasterBench bench(kPatient);
  bench.found(3);
  bench.link_down(1, {2, 3}, true);
  bench.pass(seconds(10));
  CHECK(bench.members(1).size() == 3);
  bench.close(3);
  bench.link_down(1, {3}, true);
  bench.pass(seconds(4));
  bench.resume(3);
  CHECK(bench.members(1).size() == 3);
}

TEST_CASE("links that stand again are no sign of death") {
  MasterBench bench(kPatient);
  bench.found(2);
  bench.close(2);
  bench.link_down(1, {2});
  bench.pass(milliseconds(200));
  bench.say(1, Linked{.all = false, .up = {{2}}, .down = {}, .refused = {}});
  bench.pass(seconds(4));
  CHECK(bench.members(1).size() == 2);
  // Nor are they if the member was told of as lost before it came back.
  bench.resume(2);
  bench.close(2);
  bench.pass(seconds(1));
  CHECK(bench.members(1).size() == 2);
}

TEST_CASE("only those who are present have a say, unless most are away: then there is time") {
  MasterBench bench(kPatient);
  bench.found(4);
  bench.link_down(3, {4});
  for (const std::uint64_t peer : {1, 2, 4}) bench.close(peer);
  bench.pass(milliseconds(300));
  // 3 is the only one left. As after a stop of the master the others may all come back, whatever it says of 4.
  CHECK(bench.members(3) == Peers{1, 2, 3, 4});
  bench.close(3);
  bench.pass(seconds(4));
  for (const std::uint64_t peer : {1, 2, 3}) bench.resume(peer);
  CHECK(bench.members(1) == Peers{1, 2, 3, 4});
  // Three of four say so.
  bench.link_down(1, {4});
  bench.link_down(2, {4});
  bench.link_down(3, {4});
  bench.pass(milliseconds(300));
  CHECK(bench.members(1) == Peers{1, 2, 3});
}

TEST_CASE("one that is back and has not told of its links yet leaves nobody else alone with its word") {
  MasterBench bench(kPatient);
  bench.found(3);
  bench.link_down(1, {3}, true);
  const Resume back = bench.memory(2);
  bench.close(2);
  bench.open(2);
  bench.say(2, back);
  bench.close(3);
  bench.pass(seconds(1));
  CHECK(bench.members(1).size() == 3);
}

TEST_CASE("a member tells all its links when it is back") {
  MasterBench bench(kPatient);
  bench.found(3);
  bench.link_down(2, {3});
  bench.resume(2);
  bench.say(2, Linked{.all = true, .up = {{1}, {3}}, .down = {}, .refused = {}});
  bench.link_down(1, {3});
  bench.close(3);
  bench.pass(seconds(4));
  CHECK(bench.members(1).size() == 3);
}

// -------------------------------------------------------------------------------------------- bad members

TEST_CASE("a connection that poses as a member changes nothing") {
  MasterBench bench(kPatient);
  bench.found(2);
  const bool is_away = GENERATE(false, true);
  if (is_away) bench.close(2);
  Resume fake = bench.memory(2);
  SECTION("without its token") { fake.who.token ^= 1; }
  SECTION("in another group") { fake.who.group = 7; }
  SECTION("under an id that nobody has") {
    fake.who.id = {77};
    fake.run = {12345};
  }
  SECTION("under an id that nobody has, in this run") { fake.who.id = {77}; }
  SECTION("in another group of this run") {
    fake.who.id = {77};
    fake.who.group = 7;
    fake.view.epoch = {std::uint64_t{1} << 62};
  }
  bench.open(9);
  bench.say(9, fake);
  CHECK(bench.closed(9));
  CHECK_FALSE(bench.machine().snapshot().recovering);
  if (is_away) bench.resume(2);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  CHECK(bench.last<Committed>(2).key == key);
  CHECK(bench.count<StartView>(1) == 1);
  CHECK(bench.count<StartView>(2) == 1);
}

TEST_CASE("a member's word on a view that is not the master's is worth nothing to others") {
  MasterBench bench(kPatient);
  bench.found(2);
  Resume odd = bench.memory(2);
  odd.view = {.epoch = {std::uint64_t{1} << 62}, .id = {4}, .size = 1, .fingerprint = 5};
  odd.update_round = ~std::uint64_t{0};
  bench.open(2);
  odd.who.connection = 2;
  bench.say(2, odd);
  bench.say(2, OutcomesPresented{.undecided = {{.key = {.epoch = odd.view.epoch, .view = odd.view.id}, .signature = {},
                                                .reported = true}},
                                 .committed = {bench.key(1)}});
  CHECK(bench.last<StartView>(2).members.whole);
  CHECK(bench.count<Committed>(1) == 0);
  CHECK(bench.count<StartView>(1) == 1);
}

TEST_CASE("outcomes that were not asked for, and views, change nothing") {
  MasterBench bench(kPatient);
  bench.found(2);
  const OpKey key = bench.key(1);
  bench.begun(1, key);
  bench.say(2, OutcomesPresented{.undecided = {bench.undecided(key, true)}, .committed = {key}});
  bench.say(2, ViewPresented{bench.view(2)});
  bench.hello(3);
  bench.say(3, OutcomesPresented{.undecided = {bench.undecided(key, true)}, .committed = {key}});
  bench.say(3, ViewPresented{bench.view(2)});
  bench.report(1, key);
  CHECK(bench.count<Committed>(1) == 0);
  CHECK_FALSE(bench.closed(3));
}

TEST_CASE("an outdated connection is dropped without a word, whatever it says") {
  MasterBench bench(kPatient);
  bench.found(2);
  Resume first = bench.memory(2);
  first.who.connection = 2;
  Resume second = first;
  second.who.connection = 3;
  bench.open(2);
  const ConnectionId older = bench.newest(2);
  bench.open(2);
  bench.say(2, second);
  bench.say(2, OutcomesPresented{});
  bench.say_on(older, first);
  CHECK(bench.closed(older));
  CHECK_FALSE(bench.closed(2));
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  CHECK(bench.last<Committed>(2).key == key);
}

TEST_CASE("wherever connections break in a collective or an update-topology, both end as if they had not") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MasterBench bench(kPatient, seed);
    bench.found(3);
    for (std::uint64_t round = 0; round < 4; ++round) {
      const bool is_update = random.chance(1, 2);
      const OpKey key = bench.key(1, 0, round);
      std::map<std::uint64_t, std::size_t> done;
      const auto is_done = [&](std::uint64_t peer) {
        return (is_update ? bench.count<UpdateDone>(peer) : bench.count<Committed>(peer)) > done.at(peer);
      };
      std::map<std::uint64_t, int> said;  // 1: it has called, 2: its result is whole.
      for (const std::uint64_t peer : {1, 2, 3})
        done[peer] = is_update ? bench.count<UpdateDone>(peer) : bench.count<Committed>(peer);
      for (int moves = 0; moves < 500 && !(is_done(1) && is_done(2) && is_done(3)); ++moves) {
        const std::uint64_t peer = 1 + random.below(3);
        bench.pass(milliseconds(random.below(10)));
        if (random.chance(1, 3)) {
          Resume memory = bench.memory(peer);
          if (random.chance(1, 2)) bench.close(peer);
          bench.pass(milliseconds(random.below(200)));
          memory.in_update = is_update && said[peer] > 0 && !is_done(peer);
          memory.update_round = bench.count<UpdateDone>(peer) > 0 ? bench.last<UpdateDone>(peer).update_round : 0;
          bench.open(peer);
          ++memory.who.connection;
          bench.say(peer, memory);
          OutcomesPresented known;
          if (!is_update && said[peer] > 0 && !is_done(peer)) known.undecided = {bench.undecided(key, said[peer] > 1)};
          bench.say(peer, known);
        } else if (is_update && said[peer] == 0) {
          said[peer] = 1;
          bench.say(peer, UpdateCall{});
        } else if (!is_update && said[peer] < 2) {
          said[peer] = random.chance(1, 2) ? 2 : 1;
          said[peer] == 2 ? bench.report(peer, key) : bench.begun(peer, key);
        }
      }
      for (const std::uint64_t peer : {1, 2, 3}) {
        REQUIRE(is_done(peer));
        if (is_update) REQUIRE(bench.last<UpdateDone>(peer).error.status == Status::success);
        REQUIRE(bench.count<StartView>(peer) == 1);
      }
    }
  }
}

}  // namespace hawser
