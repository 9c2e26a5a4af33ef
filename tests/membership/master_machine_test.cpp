#include "membership/master_machine.hpp"

#include "master_bench.hpp"

namespace hawser {

TEST_CASE("the first peers form a view together, in order of arrival") {
  MasterBench bench;
  bench.hello(3);
  bench.hello(1);
  CHECK(bench.count<Prepare>(3) == 0);
  bench.pass(seconds(1));
  bench.prepare({3, 1});
  CHECK(bench.view(1).members[0].id == MasterBench::id(3));
  CHECK(bench.view(1) == bench.view(3));
  CHECK(bench.last<StartView>(1).world == World{.size = 2, .group_count = 1, .largest_group_size = 2});
}

TEST_CASE("a newcomer is admitted when all members of all groups have called") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  CHECK(bench.last<WorldNews>(1).pending == 1);
  bench.say(1, UpdateCall{});
  CHECK(bench.count<Prepare>(3) == 0);
  bench.say(2, UpdateCall{});
  bench.prepare({1, 2, 3});
  CHECK(bench.view(3).size() == 3);
  CHECK(bench.view(3).rank_of(MasterBench::id(3)) == 2U);
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  CHECK(bench.count<UpdateDone>(2) == 1);
}

TEST_CASE("a newcomer that somebody cannot reach is refused, and the rest goes on") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  bench.hello(4);
  bench.say(1, UpdateCall{});
  bench.say(2, UpdateCall{});
  const ViewId proposed = bench.last<Prepare>(1).view.id;
  for (const std::uint64_t peer : {2, 3, 4}) bench.say(peer, Prepared{.view = proposed, .unreachable = {}});
  bench.say(1, Prepared{.view = proposed, .unreachable = {MasterBench::id(3)}});
  CHECK(bench.last<Refused>(3).error.status == Status::refused);
  CHECK(bench.closed(3));
  bench.prepare({1, 2, 4});
  CHECK(bench.view(1).size() == 3);
  CHECK(bench.count<UpdateDone>(1) == 1);
}

TEST_CASE("a newcomer that never opens its links does not keep the members") {
  MasterBench bench({.silence = seconds(60), .link_open = seconds(10)});
  bench.found(2);
  bench.hello(3);
  bench.say(1, UpdateCall{});
  bench.say(2, UpdateCall{});
  bench.prepare({1, 2});
  bench.pass(seconds(10));
  CHECK(bench.closed(3));
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  CHECK(bench.view(1).size() == 2);
}

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
  bench.close(3);
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(bench.count<Committed>(peer) == 1);
    CHECK(bench.last<Committed>(peer).key == passed);
    CHECK(bench.last<StartView>(peer).cause.status == Status::peer_lost);
  }
}

TEST_CASE("who comes after an update's admission has begun waits for the next") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  bench.say(1, UpdateCall{});
  bench.say(2, UpdateCall{});
  const ViewId proposed = bench.last<Prepare>(1).view.id;
  bench.hello(4);
  for (const std::uint64_t peer : {2, 3}) bench.say(peer, Prepared{.view = proposed, .unreachable = {}});
  bench.say(1, Prepared{.view = proposed, .unreachable = {MasterBench::id(3)}});
  CHECK(bench.closed(3));
  CHECK(bench.count<UpdateDone>(1) == 1);
  CHECK(bench.count<Prepare>(4) == 0);
  bench.say(1, UpdateCall{});
  bench.say(2, UpdateCall{});
  bench.prepare({1, 2, 4});
  CHECK(bench.view(4).size() == 3);
}

TEST_CASE("on a loss, what all survivors had reported is committed and the rest aborted") {
  MasterBench bench;
  bench.found(3);
  const OpKey whole = bench.key(1, 1);
  const OpKey partial = bench.key(1, 2);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, whole);
  bench.report(1, partial);
  bench.begun(2, partial);
  bench.close(3);
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(bench.count<Committed>(peer) == 1);
    CHECK(bench.last<Committed>(peer).key == whole);
    CHECK(bench.view(peer).size() == 2);
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

TEST_CASE("a silent member is lost and told why when it comes back") {
  MasterBench bench;
  bench.found(2);
  bench.now += seconds(3);
  bench.say(1, Ping{});
  bench.pass(seconds(2));
  CHECK(bench.view(1).size() == 1);
  CHECK(bench.last<Expelled>(2).error.status == Status::expelled);
  const View old = bench.view(2);
  bench.open(2);
  bench.say(2, Resume{.who = bench.introduction(2), .run = bench.last<Welcome>(1).run, .view = old,
                      .undecided = {}, .committed = {}});
  CHECK(bench.count<Expelled>(2) == 2);
  CHECK(bench.closed(2));
}

TEST_CASE("however many fall silent at one moment, the rest gets one new view") {
  MasterBench bench;
  bench.found(6);
  const OpKey key = bench.key(1);
  bench.now += seconds(3);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  bench.pass(seconds(2));
  CHECK(bench.count<StartView>(1) == 2);
  CHECK(bench.view(1).size() == 2);
  // Both survivors had reported.
  CHECK(bench.last<Committed>(2).key == key);
}

TEST_CASE("an abort while newcomers' links are opened voids the views proposed to them") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  bench.say(1, UpdateCall{});
  bench.say(2, UpdateCall{});
  const ViewId proposed = bench.last<Prepare>(3).view.id;
  bench.begun(1, bench.key(1));
  CHECK(bench.last<StartView>(1).cause.status == Status::mismatch);
  for (const std::uint64_t peer : {1, 2, 3}) bench.say(peer, Prepared{.view = proposed, .unreachable = {}});
  CHECK(bench.count<StartView>(3) == 0);
  CHECK(bench.view(1).size() == 2);
}

TEST_CASE("a master that stood still blames nobody for it") {
  MasterBench bench;
  bench.found(2);
  bench.begun(1, bench.key(1, 1));
  bench.begun(2, bench.key(2, 2));
  bench.sleep(seconds(60));
  bench.pass(Duration::zero());
  CHECK(bench.count<StartView>(1) == 1);
  bench.begun(2, bench.key(2, 1));
  bench.begun(1, bench.key(1, 2));
  bench.pass(seconds(4));
  CHECK(bench.view(1).size() == 2);
  CHECK(bench.count<StartView>(1) == 1);
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
  bench.begun(3, key);
  complain();
  CHECK(bench.view(1).size() == 2);
  CHECK(bench.last<Expelled>(3).error.sentence.find("p1") != std::string::npos);
}

TEST_CASE("nobody is blamed while something still moves, unless links are dead") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
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

TEST_CASE("groups are independent in collectives and losses") {
  MasterBench bench;
  for (const std::uint64_t peer : {1, 2}) bench.hello(peer, 0);
  for (const std::uint64_t peer : {3, 4, 5}) bench.hello(peer, 7);
  bench.pass(seconds(1));
  bench.prepare({1, 2, 3, 4, 5});
  CHECK(bench.last<StartView>(1).world == World{.size = 5, .group_count = 2, .largest_group_size = 3});
  const OpKey key = bench.key(1);
  bench.report(1, key);
  bench.close(5);
  CHECK(bench.count<StartView>(1) == 1);
  bench.report(2, key);
  CHECK(bench.count<Committed>(1) == 1);
  CHECK(bench.last<WorldNews>(1).world.size == 4);
}

TEST_CASE("strangers, double introductions and other versions are refused") {
  MasterBench bench;
  bench.found(2);
  bench.open(8);
  bench.say(8, Ping{});
  CHECK(bench.last<Refused>(8).error.status == Status::refused);
  bench.open(9);
  Introduction old = bench.introduction(9);
  old.protocol_version = kProtocolVersion + 1;
  bench.say(9, Hello{old});
  CHECK(bench.closed(9));
  bench.open(7);
  bench.pass(seconds(1));
  CHECK_FALSE(bench.closed(7));
  bench.say(1, Ping{});
  bench.say(2, Ping{});
  bench.pass(seconds(4));
  CHECK(bench.closed(7));
  bench.say(2, Hello{bench.introduction(2)});
  CHECK(bench.view(1).size() == 1);
}

TEST_CASE("a connection that poses as a member without its token changes nothing") {
  MasterBench bench;
  bench.found(2);
  Resume fake{.who = bench.introduction(2), .run = bench.last<Welcome>(1).run, .view = bench.view(2),
              .undecided = {}, .committed = {}};
  fake.who.token ^= 1;
  bench.open(9);
  bench.say(9, fake);
  CHECK(bench.closed(9));
  CHECK(bench.view(1).size() == 2);
}

TEST_CASE("a member that noticed a dead connection first goes on where it was") {
  MasterBench bench;
  bench.found(2);
  const OpKey done = bench.key(1, 1);
  const OpKey open = bench.key(1, 2);
  bench.report(1, done);
  bench.report(2, done);
  bench.report(1, open);
  const Resume resume{.who = bench.introduction(2),
                      .run = bench.last<Welcome>(2).run,
                      .view = bench.view(2),
                      .undecided = {{.key = done, .signature = {.count = 10}, .reported = true},
                                    {.key = open, .signature = {.count = 10}, .reported = true}},
                      .committed = {}};
  bench.open(2);
  bench.say(2, resume);
  CHECK(bench.count<StartView>(1) == 1);
  CHECK(bench.count<Committed>(2) == 3);
  CHECK(bench.last<Committed>(1).key == open);
}

namespace {

/// What members 1 to n know when their master dies.
Resume memory(MasterBench& before, std::uint64_t peer) {
  return {.who = before.introduction(peer), .run = before.last<Welcome>(peer).run, .view = before.view(peer),
          .undecided = {}, .committed = {}};
}

}  // namespace

TEST_CASE("a restarted master resumes the run with the next epoch") {
  MasterBench before;
  before.found(3);
  const OpKey whole = before.key(1, 1);
  const OpKey told = before.key(1, 2);
  const OpKey partial = before.key(1, 3);
  MasterBench after({}, 99);
  const auto come_back = [&](std::uint64_t peer) {
    Resume resume = memory(before, peer);
    resume.undecided.push_back({.key = whole, .signature = {.count = 10}, .reported = true});
    if (peer == 1)
      resume.committed.push_back(told);
    else
      resume.undecided.push_back({.key = told, .signature = {.count = 10}, .reported = true});
    resume.undecided.push_back({.key = partial, .signature = {.count = 10}, .reported = peer != 3});
    resume.in_update = peer == 2;
    after.open(peer);
    after.say(peer, resume);
  };
  come_back(2);
  come_back(1);
  CHECK(after.count<StartView>(1) == 0);
  SECTION("at once when all are back") {
    come_back(3);
    CHECK(after.view(1).size() == 3);
    CHECK(after.count<Committed>(1) == 1);
    CHECK(after.count<Committed>(2) == 2);
    CHECK(after.count<Committed>(3) == 2);
  }
  SECTION("without those that stay away; then what the rest had reported is committed") {
    after.pass(seconds(4));
    CHECK(after.count<StartView>(1) == 0);
    for (const std::uint64_t peer : {1, 2}) after.say(peer, Ping{});
    after.pass(seconds(1));
    CHECK(after.view(1).size() == 2);
    CHECK(after.count<Committed>(1) == 2);
    CHECK(after.count<Committed>(2) == 3);
    come_back(3);
    CHECK(after.count<Expelled>(3) == 1);
  }
  CHECK(after.view(1).epoch.value == before.view(1).epoch.value + 1);
  CHECK(after.last<StartView>(2).cause.status == Status::master_restarted);
  // The vote of member 2 was taken over: the other votes complete it.
  for (const std::uint64_t peer : {1, 3})
    if (after.count<StartView>(peer) > 0) after.say(peer, UpdateCall{});
  CHECK(after.last<UpdateDone>(2).error.status == Status::success);
}

TEST_CASE("newcomers that reach a restarted master first join the run that comes back") {
  MasterBench before;
  before.found(2);
  MasterBench after({}, 99);
  after.hello(5);
  after.pass(seconds(1));
  CHECK(after.count<Prepare>(5) == 1);
  for (const std::uint64_t peer : {1, 2}) {
    after.open(peer);
    after.say(peer, memory(before, peer));
  }
  CHECK(after.view(1).size() == 2);
  CHECK(after.count<StartView>(5) == 0);
  for (const std::uint64_t peer : {1, 2}) after.say(peer, UpdateCall{});
  after.prepare({1, 2, 5});
  CHECK(after.view(5).size() == 3);
  CHECK(after.last<Welcome>(5).run == before.last<Welcome>(1).run);
}

TEST_CASE("the newest view among those who come back holds") {
  MasterBench before;
  before.found(3);
  const Resume behind = memory(before, 2);
  const Resume gone = memory(before, 3);
  before.close(3);
  MasterBench after({}, 99);
  for (const auto& [peer, resume] :
       {std::pair<std::uint64_t, Resume>{3, gone}, {2, behind}, {1, memory(before, 1)}}) {
    after.open(peer);
    after.say(peer, resume);
  }
  CHECK(after.view(1).size() == 2);
  CHECK(after.view(2).id == after.view(1).id);
  CHECK(after.count<Expelled>(3) == 1);
}

TEST_CASE("a member that lacks what others know as committed does not resume with them") {
  MasterBench before;
  before.found(3);
  const OpKey told = before.key(1, 1);
  MasterBench after({.silence = seconds(60)}, 99);
  for (const std::uint64_t peer : {1, 3}) {
    // Member 3 was lost to the former master, which committed with 1 and 2, and died with 2.
    Resume resume = memory(before, peer);
    if (peer == 1)
      resume.committed.push_back(told);
    else
      resume.undecided.push_back({.key = told, .signature = {.count = 10}, .reported = false});
    after.open(peer);
    after.say(peer, resume);
  }
  after.pass(seconds(20));
  CHECK(after.closed(3));
  CHECK(after.view(1).size() == 1);
}

}  // namespace hawser
