#include "base/limits.hpp"
#include "membership/master_bench.hpp"

/// What becomes of collectives: commits, mismatches, stalls and bounds.
namespace hawser {

TEST_CASE("a commit needs the report of every member") {
  MasterBench bench;
  bench.found(3);
  const OpKey key = bench.key(1);
  bench.report(1, key);
  bench.report(2, key);
  CHECK(bench.count<Committed>(1) == 0);
  bench.report(3, key);
  for (const std::uint64_t peer : {1, 2, 3}) CHECK(bench.last<Committed>(peer).key == key);
}

TEST_CASE("a report that comes twice, and one of a committed collective, changes nothing") {
  MasterBench bench;
  bench.found(2);
  const OpKey key = bench.key(1);
  bench.report(1, key);
  bench.report(1, key);
  CHECK(bench.count<Committed>(1) == 0);
  bench.report(2, key);
  bench.report(2, key);
  bench.pass_alive(seconds(30), {1, 2});
  CHECK(bench.count<Committed>(1) == 1);
  CHECK(bench.count<StartView>(1) == 1);
}

TEST_CASE("a barrier is not passed without a member that is not known to have come") {
  MasterBench bench;
  bench.found(3);
  const auto barrier = [](const OpKey& key) {
    return Report{.key = key, .signature = {.collective = Collective::barrier}};
  };
  const OpKey missed = bench.key(1, 1);
  const OpKey passed = bench.key(1, 2);
  for (const std::uint64_t peer : {1, 2}) {
    bench.say(peer, barrier(missed));
    bench.say(peer, barrier(passed));
  }
  bench.say(3, Begun{.key = passed, .signature = {.collective = Collective::barrier}});
  bench.say(3, Leave{});
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(bench.count<Committed>(peer) == 1);
    CHECK(bench.last<Committed>(peer).key == passed);
    CHECK(bench.last<StartView>(peer).cause.status == Status::peer_lost);
  }
}

TEST_CASE("on a loss, what all survivors had reported is committed and the rest aborted") {
  MasterBench bench;
  bench.found(3);
  const OpKey whole = bench.key(1, 1);
  const OpKey partial = bench.key(1, 2);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, whole);
  bench.report(1, partial);
  bench.begun(2, partial);
  bench.say(3, Leave{});
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(bench.count<Committed>(peer) == 1);
    CHECK(bench.last<Committed>(peer).key == whole);
    CHECK(bench.members(peer) == Peers{1, 2});
    CHECK(bench.last<StartView>(peer).cause.status == Status::peer_lost);
  }
  // A report for the old view comes too late.
  bench.report(2, partial);
  CHECK(bench.count<Committed>(1) == 1);
}

TEST_CASE("calls that differ are a mismatch for all, with who called what") {
  MasterBench bench;
  bench.found(3);
  const OpKey key = bench.key(1);
  bench.begun(1, key, 10);
  bench.begun(2, key, 20);
  CHECK(bench.count<StartView>(1) == 1);
  SECTION("at once when everybody was heard") { bench.begun(3, key, 10); }
  SECTION("after a grace otherwise") { bench.pass(seconds(2)); }
  CHECK(bench.last<StartView>(1).cause.status == Status::mismatch);
  CHECK(bench.last<StartView>(1).cause.sentence.find("20 float32") != std::string::npos);
  CHECK(bench.view(1).size() == 3);
}

TEST_CASE("results of calls that differ are never committed, by a loss neither") {
  MasterBench bench;
  bench.found(3);
  const OpKey key = bench.key(1);
  bench.report(1, key, 10);
  bench.report(2, key, 20);
  bench.say(3, Leave{});
  CHECK(bench.count<Committed>(1) == 0);
  CHECK(bench.last<StartView>(1).cause.status == Status::peer_lost);
}

TEST_CASE("one in update-topology and one in a collective is a mismatch") {
  MasterBench bench;
  bench.found(2);
  bench.begun(1, bench.key(1));
  bench.say(2, UpdateCall{});
  CHECK(bench.last<StartView>(1).cause.status == Status::mismatch);
  CHECK(bench.last<UpdateDone>(2).error.status == Status::mismatch);
}

TEST_CASE("different tags everywhere are a mismatch after a while, unless somebody still calls") {
  MasterBench bench({.silence = seconds(60)});
  bench.found(2);
  bench.begun(1, bench.key(1, 1));
  bench.begun(2, bench.key(2, 2));
  bench.pass(seconds(4));
  CHECK(bench.count<StartView>(1) == 1);
  SECTION("never resolved") {
    bench.pass(seconds(1));
    CHECK(bench.last<StartView>(2).cause.status == Status::mismatch);
  }
  SECTION("the other thread comes") {
    bench.begun(2, bench.key(2, 1));
    bench.pass(seconds(10));
    CHECK(bench.count<StartView>(1) == 1);
  }
}

TEST_CASE("what a member that is away has called is not known: crossed calls are judged when all are present") {
  MasterBench bench({.silence = seconds(60), .recovery = seconds(30)});
  bench.found(3);
  bench.close(3);
  bench.begun(1, bench.key(1, 1));
  bench.begun(2, bench.key(2, 2));
  bench.begun(1, bench.key(1, 3));
  bench.pass(seconds(20));
  CHECK(bench.count<StartView>(1) == 1);
  bench.resume(3, {.undecided = {bench.undecided(bench.key(3, 4), false)}, .committed = {}});
  bench.pass(seconds(4));
  CHECK(bench.count<StartView>(1) == 1);
  bench.pass(seconds(1));
  CHECK(bench.last<StartView>(1).cause.status == Status::mismatch);
}

TEST_CASE("what a member calls behind a dead connection does not come: crossed calls wait until it is heard or lost") {
  MasterBench bench({.silence = seconds(6), .recovery = seconds(30)});
  bench.found(3);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, bench.key(1, peer));
  bench.pass_alive(milliseconds(500), {3});
  bench.pass_alive(milliseconds(5400), {1, 2});
  CHECK(bench.count<StartView>(1) == 1);
  SECTION("it is heard, and has called nothing else") {
    bench.pass_alive(seconds(3), {1, 2, 3});
    CHECK(bench.last<StartView>(1).cause.status == Status::mismatch);
  }
  SECTION("it is silent, which is no mismatch") {
    bench.pass_alive(seconds(1), {1, 2});
    CHECK(bench.last<StartView>(1).cause.status == Status::peer_lost);
  }
}

TEST_CASE("a mismatch that repeats is told later and later, with its number, until something is committed") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(2);
  std::uint64_t tag = 0;
  /// How long it takes until both are told that they called different things, again.
  const auto mismatch = [&] {
    const Instant called_at = bench.now;
    const std::size_t views = bench.count<StartView>(1);
    const OpKey key = bench.key(1, tag++);
    bench.begun(1, key, 10);
    bench.begun(2, key, 20);
    while (bench.count<StartView>(1) == views) {
      REQUIRE(bench.now < called_at + seconds(5));
      bench.pass(milliseconds(10));
    }
    CHECK(bench.last<StartView>(2).cause.status == Status::mismatch);
    return whole_milliseconds(bench.now - called_at);
  };
  CHECK(mismatch() == 0);
  CHECK(bench.last<StartView>(1).cause.sentence.find("in a row") == std::string::npos);
  CHECK(mismatch() == 50);
  CHECK(bench.last<StartView>(1).cause.sentence.find("2 times in a row") != std::string::npos);
  CHECK(mismatch() == 100);
  CHECK(mismatch() == 200);
  CHECK(mismatch() == 400);
  CHECK(mismatch() == 800);
  for (int i = 0; i < 20; ++i) CHECK(mismatch() == 1000);
  CHECK(bench.last<StartView>(1).cause.sentence.find("26 times in a row") != std::string::npos);
  const OpKey key = bench.key(1, tag++);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  REQUIRE(bench.last<Committed>(1).key == key);
  CHECK(mismatch() == 0);
}

TEST_CASE("a member that others wait for is expelled, not one that is slow to call") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(3);
  const OpKey key = bench.key(1);
  bench.begun(1, key);
  bench.begun(2, key);
  const auto complain = [&] {
    bench.say(1, Complaint{.key = key, .stalled_ms = 6000, .waiting_for = {MasterBench::id(3)}, .unresponsive = {}});
    bench.say(2, Complaint{.key = key, .stalled_ms = 6000, .waiting_for = {MasterBench::id(3)}, .unresponsive = {}});
    bench.pass(seconds(2));
  };
  complain();
  CHECK(bench.view(1).size() == 3);
  // What was complained of is over when the last has called.
  bench.begun(3, key);
  complain();
  CHECK(bench.view(1).size() == 3);
  bench.pass(seconds(4));
  complain();
  CHECK(bench.view(1).size() == 2);
  CHECK(bench.last<Expelled>(3).error.sentence.find("p1") != std::string::npos);
}

TEST_CASE("a call that a member gives up ends for all, and nobody is lost") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(3);
  const OpKey key = bench.key(1, 7);
  const auto cause = [&] { return bench.last<StartView>(1).cause; };
  bench.begun(1, key);
  const ViewId before = bench.view(1).id;
  // Of what it has not called, and of another view.
  bench.say(2, GiveUp{.key = key, .after_ms = 100});
  bench.say(1, GiveUp{.key = {.epoch = key.epoch, .view = ViewId{99}, .tag = 7}, .after_ms = 100});
  CHECK(bench.view(1).id == before);
  bench.begun(2, key);
  const bool cancelled = GENERATE(false, true);
  bench.say(1, GiveUp{.key = key, .after_ms = 1500, .cancelled = cancelled});
  CHECK(bench.view(1).id != before);
  CHECK(bench.view(1).size() == 3);
  CHECK(cause().status == Status::timeout);
  for (const char* const words : {"after 1500 ms", "not called by p3", "call again", "p1",
                                  cancelled ? " cancelled the" : " gave up the"})
    CHECK(cause().sentence.find(words) != std::string::npos);
  // All have called, and one has no result.
  const OpKey next = bench.key(1, 8);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, next);
  for (const std::uint64_t peer : {1, 3}) bench.report(peer, next);
  bench.say(1, GiveUp{.key = next, .after_ms = 2});
  bench.pass(milliseconds(50));
  CHECK(cause().sentence.find("no result had come to p2") != std::string::npos);
  // What is committed stays so.
  const OpKey last = bench.key(1, 9);
  for (const std::uint64_t peer : {1, 2, 3}) bench.report(peer, last);
  const ViewId committed_in = bench.view(1).id;
  bench.say(1, GiveUp{.key = last, .after_ms = 2});
  CHECK(bench.view(1).id == committed_in);
}

TEST_CASE("of calls that are given up in a row each lasts longer, until one is committed") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(2);
  std::uint64_t tag = 0;
  const auto give_up = [&] {
    const OpKey key = bench.key(1, tag++);
    bench.begun(1, key);
    bench.say(1, GiveUp{.key = key, .after_ms = 1});
    return key;
  };
  const auto lasts = [&](const OpKey& key) {
    const Instant since = bench.now;
    while (bench.view(1).id == key.view && bench.now < since + seconds(60)) bench.pass(milliseconds(10));
    return bench.now - since;
  };
  for (const int ms : {0, 50, 100, 200, 400}) CHECK(lasts(give_up()) == milliseconds(ms));
  // What takes less time than that is committed.
  const OpKey key = give_up();
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  CHECK(bench.last<Committed>(1).key == key);
  CHECK(lasts(give_up()) == Duration::zero());
  for (int i = 0; i < 12; ++i) lasts(give_up());
  CHECK(lasts(give_up()) == seconds(30));
}

TEST_CASE("who has a whole result no longer complains") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  bench.pass(seconds(6));
  for (const std::uint64_t peer : {1, 2})
    bench.say(peer, Complaint{.key = key, .stalled_ms = 6000, .waiting_for = {MasterBench::id(3)}, .unresponsive = {}});
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  bench.pass(seconds(60));
  CHECK(bench.view(1).size() == 3);
}

TEST_CASE("one that alone has no result is expelled, whomever it accuses, and the others keep theirs") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  for (const std::uint64_t peer : {1, 3}) bench.report(peer, key);
  bench.pass(seconds(6));
  const std::vector<PeerId> accused{MasterBench::id(1)};
  const bool says_dead = GENERATE(false, true);
  bench.say(2, Complaint{.key = key, .stalled_ms = 6000, .waiting_for = accused,
                         .unresponsive = says_dead ? accused : std::vector<PeerId>{}});
  bench.pass(seconds(2));
  CHECK(bench.count<Expelled>(2) == 1);
  CHECK(bench.view(1).size() == 2);
  CHECK(bench.last<Committed>(1).key == key);
  CHECK(bench.last<Committed>(3).key == key);
}

TEST_CASE("nobody is blamed while something still moves, unless links are dead") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  bench.pass(seconds(6));
  // 2 is slowly served by 3; 1 waits for 2.
  bench.say(1, Complaint{.key = key, .stalled_ms = 6000, .waiting_for = {MasterBench::id(2)}, .unresponsive = {}});
  bench.say(2, Complaint{.key = key, .stalled_ms = 0, .waiting_for = {}, .unresponsive = {}});
  bench.pass(seconds(2));
  CHECK(bench.view(1).size() == 3);
  SECTION("a dead link counts at once") {
    bench.say(1, Complaint{.key = key, .stalled_ms = 6000, .waiting_for = {MasterBench::id(2)},
                           .unresponsive = {MasterBench::id(2)}});
    bench.pass(seconds(2));
  }
  SECTION("and so does a standstill of all") {
    bench.pass(seconds(5));
    bench.say(1, Complaint{.key = key, .stalled_ms = 9000, .waiting_for = {MasterBench::id(2)}, .unresponsive = {}});
    bench.pass(seconds(2));
  }
  CHECK(bench.view(1).size() == 2);
  CHECK(bench.count<Expelled>(2) == 1);
}

TEST_CASE("a complaint of a collective that has just begun is not believed yet") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  const Complaint complaint{
      .key = key, .stalled_ms = 1'000'000, .waiting_for = {}, .unresponsive = {MasterBench::id(2)}};
  bench.say(1, complaint);
  bench.pass(seconds(6) - milliseconds(1));
  CHECK(bench.view(1).size() == 3);
  bench.pass(milliseconds(1));
  CHECK(bench.count<Expelled>(2) == 1);
}

TEST_CASE("a complaint that is taken back harms nobody") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(2);
  const OpKey key = bench.key(1);
  bench.begun(1, key);
  bench.begun(2, key);
  bench.say(1, Complaint{.key = key, .stalled_ms = 6000, .waiting_for = {MasterBench::id(2)}, .unresponsive = {}});
  bench.say(1, Complaint{.key = key, .stalled_ms = 0, .waiting_for = {}, .unresponsive = {}});
  bench.pass(seconds(10));
  CHECK(bench.view(1).size() == 2);
}

TEST_CASE("who never calls makes the others time out, and stays") {
  MasterBench bench({.silence = seconds(3600), .call_wait = seconds(60)});
  bench.found(2);
  SECTION("a collective") {
    bench.begun(1, bench.key(1));
    bench.pass(seconds(60));
    CHECK(bench.last<StartView>(1).cause.status == Status::timeout);
    CHECK(bench.last<StartView>(1).cause.sentence.find("p2") != std::string::npos);
    CHECK(bench.view(1).size() == 2);
  }
  SECTION("update-topology") {
    bench.say(1, UpdateCall{});
    bench.pass(seconds(60));
    CHECK(bench.last<UpdateDone>(1).error.status == Status::timeout);
    CHECK(bench.last<UpdateDone>(1).error.sentence.find("p2") != std::string::npos);
  }
}

TEST_CASE("each collective has a bound of its own, counted from its first call") {
  MasterBench bench({.silence = seconds(3600), .call_wait = seconds(60)});
  bench.found(2);
  const OpKey done = bench.key(1, 1);
  bench.begun(1, done);
  bench.pass(seconds(30));
  bench.begun(1, bench.key(1, 2));
  bench.report(1, done);
  bench.report(2, done);
  CHECK(bench.count<Committed>(1) == 1);
  bench.pass(seconds(59));
  CHECK(bench.count<StartView>(1) == 1);
  bench.pass(seconds(1));
  CHECK(bench.last<StartView>(1).cause.status == Status::timeout);
  CHECK(bench.last<StartView>(1).cause.sentence.find("tag 2") != std::string::npos);
}

TEST_CASE("a member with too many collectives in flight is lost") {
  MasterBench bench({.silence = seconds(3600)});
  bench.found(3);
  for (std::uint64_t tag = 0; tag < limits::kOpsInFlightMax; ++tag) bench.begun(1, bench.key(1, tag));
  bench.begun(1, bench.key(1, 7));
  CHECK(bench.count<Expelled>(1) == 0);
  bench.begun(1, bench.key(1, limits::kOpsInFlightMax));
  CHECK(bench.last<Expelled>(1).error.status == Status::refused);
  CHECK(bench.members(2) == Peers{2, 3});
}

TEST_CASE("groups are independent in collectives and losses") {
  MasterBench bench;
  bench.arrive({1, 2}, 0);
  bench.arrive({3, 4, 5}, 7);
  bench.pass(seconds(1));
  CHECK(bench.last<StartView>(1).world == World{.size = 5, .group_count = 2, .largest_group_size = 3});
  const OpKey key = bench.key(1);
  bench.report(1, key);
  bench.say(5, Leave{});
  CHECK(bench.count<StartView>(1) == 1);
  bench.report(2, key);
  CHECK(bench.count<Committed>(1) == 1);
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).world.size == 4);
}

}  // namespace hawser
