#include "base/random.hpp"
#include "membership/master_bench.hpp"

/// A master that lost its memory, and the members of its run.
namespace hawser {
namespace {

/// Members that come back to `after` and have told what they know of their collectives.
void recover(MasterBench& before, MasterBench& after, const Peers& peers) {
  for (const auto peer : peers) after.come_back(before, peer);
  after.pass(seconds(1));
  after.present_outcomes(peers);
}

}  // namespace

TEST_CASE("a restarted master takes up the run when all are back, after a second, with the next epoch") {
  MasterBench before;
  before.found(3);
  MasterBench after({}, 99);
  for (const std::uint64_t peer : {2, 1, 3}) after.come_back(before, peer);
  CHECK(after.machine().snapshot().recovering);
  after.pass(seconds(1) - milliseconds(1));
  for (const std::uint64_t peer : {1, 2, 3}) CHECK(after.all<Present>(peer).size() <= 1);
  after.pass(milliseconds(1));
  after.present_outcomes({1, 2});
  CHECK(after.count<StartView>(1) == 0);
  after.present_outcomes({3});
  for (const std::uint64_t peer : {1, 2, 3}) {
    CHECK(after.view(peer).members == before.view(peer).members);
    CHECK(after.view(peer).epoch.value == before.view(peer).epoch.value + 1);
    CHECK(after.view(peer).link_secret == before.view(peer).link_secret);
    CHECK(after.last<StartView>(peer).cause.status == Status::master_restarted);
    // The members are as before: nothing of them is told.
    CHECK(after.last<StartView>(peer).members.came.empty());
    CHECK_FALSE(after.last<StartView>(peer).members.whole);
    CHECK(after.last<Welcome>(peer).run == before.last<Welcome>(peer).run);
    CHECK(after.role_of(peer) == ConnectionRole::member);
  }
  CHECK_FALSE(after.machine().snapshot().recovering);
}

TEST_CASE("the first that claims a view is asked for its members, others are not") {
  MasterBench before;
  before.found(4);
  MasterBench after({}, 99);
  for (const std::uint64_t peer : {1, 2, 3, 4}) after.say_back(before, peer, before.memory(peer));
  // And one more, should the first be slow.
  CHECK(after.last<Present>(1).view);
  CHECK_FALSE(after.last<Present>(1).outcomes);
  CHECK(after.last<Present>(2).view);
  CHECK(after.role_of(1) == ConnectionRole::presenting);
  CHECK(after.count<Present>(3) == 0);
  CHECK(after.role_of(3) == ConnectionRole::newcomer);
  after.say(2, ViewPresented{before.view(2)});
  CHECK(after.role_of(2) == ConnectionRole::newcomer);
  after.pass(seconds(1));
  CHECK(after.last<Present>(4).outcomes);
}

TEST_CASE("a restarted master waits for those who are missed as long as is due, and goes on without them") {
  MasterBench before;
  before.found(3);
  const OpKey whole = before.key(1, 1);
  const OpKey told = before.key(1, 2);
  const OpKey partial = before.key(1, 3);
  const auto known = [&](std::uint64_t peer) {
    OutcomesPresented outcomes{.undecided = {MasterBench::undecided(whole, true),
                                             MasterBench::undecided(partial, peer != 3)},
                               .committed = {}};
    if (peer == 1)
      outcomes.committed.push_back(told);
    else
      outcomes.undecided.push_back(MasterBench::undecided(told, true));
    return outcomes;
  };
  MasterBench after({.silence = seconds(60)}, 99);
  const auto come_back = [&](std::uint64_t peer) {
    Resume claim = before.memory(peer);
    claim.in_update = peer == 2;
    after.come_back(before, peer, claim);
  };
  come_back(2);
  come_back(1);
  SECTION("all are back: what all had reported or one was told is committed") {
    come_back(3);
    after.pass(seconds(1));
    for (const std::uint64_t peer : {1, 2, 3}) after.say(peer, known(peer));
    CHECK(after.members(1) == Peers{1, 2, 3});
    CHECK(after.count<Committed>(1) == 1);
    CHECK(after.count<Committed>(2) == 2);
    CHECK(after.count<Committed>(3) == 2);
  }
  SECTION("one stays away: then what the rest had reported is committed") {
    after.pass(seconds(5) - milliseconds(1));
    CHECK(after.count<StartView>(1) == 0);
    after.pass(milliseconds(1));
    for (const std::uint64_t peer : {1, 2}) after.say(peer, known(peer));
    CHECK(after.members(1) == Peers{1, 2});
    CHECK(after.last<StartView>(1).members.gone == std::vector<PeerId>{{3}});
    CHECK(after.count<Committed>(1) == 2);
    CHECK(after.count<Committed>(2) == 3);
    come_back(3);
    CHECK(after.last<Expelled>(3).error.status == Status::expelled);
  }
  SECTION("one that is back does not tell what it knows") {
    come_back(3);
    after.pass(seconds(1));
    for (const std::uint64_t peer : {1, 2}) after.say(peer, known(peer));
    after.pass(seconds(5) - milliseconds(1));
    CHECK(after.count<StartView>(1) == 0);
    after.pass(milliseconds(1));
    CHECK(after.members(1) == Peers{1, 2});
    CHECK(after.count<Expelled>(3) == 1);
  }
  CHECK(after.last<StartView>(2).cause.status == Status::master_restarted);
  // The vote of member 2 was taken over: the other votes complete it.
  for (const std::uint64_t peer : {1, 3})
    if (after.count<StartView>(peer) > 0) after.say(peer, UpdateCall{});
  CHECK(after.last<UpdateDone>(2).error.status == Status::success);
}

TEST_CASE("calls and results that come while a run is taken up are counted") {
  MasterBench before;
  before.found(2);
  const OpKey key = before.key(1, 1);
  MasterBench after({}, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  // Before it is asked: all that comes with what it knows.
  after.report(1, key);
  after.say(1, UpdateCall{});
  after.pass(seconds(1));
  after.say(1, OutcomesPresented{.undecided = {MasterBench::undecided(key, false)}, .committed = {}});
  after.report(1, key);
  after.say(2, OutcomesPresented{.undecided = {MasterBench::undecided(key, true)}, .committed = {}});
  CHECK(after.last<Committed>(1).key == key);
  CHECK(after.last<Committed>(2).key == key);
  after.say(2, UpdateCall{});
  CHECK(after.last<UpdateDone>(1).error.status == Status::success);
}

TEST_CASE("newcomers that reach a restarted master first join the run that comes back") {
  MasterBench before;
  before.found(2);
  MasterBench after(kPatient, 99);
  after.hello(5);
  after.pass(milliseconds(500));
  after.come_back(before, 1);
  after.pass(seconds(3));
  CHECK_FALSE(after.is_member(5));
  after.come_back(before, 2);
  after.present_outcomes({1, 2});
  CHECK(after.members(1) == Peers{1, 2});
  CHECK(after.count<StartView>(5) == 0);
  after.pass(milliseconds(100));
  CHECK(after.group_members(5) == Peers{1, 2});
  after.link(5);
  after.call_update({1, 2});
  CHECK(after.members(5) == Peers{1, 2, 5});
  CHECK(after.last<Welcome>(5).run == before.last<Welcome>(1).run);
  CHECK(after.view(5).link_secret == before.view(1).link_secret);
}

TEST_CASE("the newest view among those who come back holds, if more than one has heard of it") {
  MasterBench before;
  before.found(4);
  const Resume behind = before.memory(2);
  const Resume gone = before.memory(4);
  before.say(4, Leave{});
  MasterBench after({}, 99);
  const auto claim = [&](std::uint64_t peer, const Resume& resume) {
    after.open(peer);
    Resume now = resume;
    now.who.connection = 1;
    after.say(peer, now);
  };
  View old = before.view(4);
  claim(4, gone);
  claim(2, behind);
  for (const std::uint64_t peer : {4, 2}) after.say(peer, ViewPresented{old});
  for (const std::uint64_t peer : {1, 3}) after.come_back(before, peer);
  after.pass(seconds(1));
  for (const std::uint64_t peer : {1, 2, 3}) after.say(peer, OutcomesPresented{});
  CHECK(after.members(1) == Peers{1, 2, 3});
  CHECK(after.view(2).id == after.view(1).id);
  CHECK(after.last<StartView>(2).members.whole);
  CHECK(after.count<Expelled>(4) == 1);
}

TEST_CASE("a member that lacks what others know as committed does not resume with them") {
  MasterBench before;
  before.found(3);
  const OpKey told = before.key(1, 1);
  MasterBench after(kPatient, 99);
  // Member 3 was lost to the former master, which committed with 1 and 2, and died with 2.
  for (const std::uint64_t peer : {1, 3}) after.come_back(before, peer);
  after.pass(seconds(5));
  after.say(1, OutcomesPresented{.undecided = {}, .committed = {told}});
  after.say(3, OutcomesPresented{.undecided = {MasterBench::undecided(told, false)}, .committed = {}});
  CHECK(after.closed(3));
  CHECK(after.members(1) == Peers{1});
}

TEST_CASE("what not all of the view had reported is not committed if somebody is missed who may not have called") {
  MasterBench before;
  before.found(3);
  const auto recovered = [&](Collective collective) {
    const OpKey key = before.key(1, 1);
    const OutcomesPresented known{
        .undecided = {{.key = key, .signature = {.collective = collective, .count = 10}, .reported = true}},
        .committed = {}};
    MasterBench after(kPatient, 99);
    for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
    after.pass(seconds(5));
    after.present_outcomes({1, 2}, known);
    CHECK(after.members(1) == Peers{1, 2});
    return after.count<Committed>(1);
  };
  CHECK(recovered(Collective::all_reduce) == 1);
  CHECK(recovered(Collective::barrier) == 0);
  CHECK(recovered(Collective::broadcast) == 0);
}

TEST_CASE("what was committed before the restart is known after it") {
  MasterBench before;
  before.found(2);
  const OpKey key = before.key(1, 1);
  MasterBench after(kPatient, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  after.pass(seconds(1));
  after.say(1, OutcomesPresented{.undecided = {}, .committed = {key}});
  after.say(2, OutcomesPresented{.undecided = {MasterBench::undecided(key, true)}, .committed = {}});
  CHECK(after.count<Committed>(2) == 1);
  // That word may be lost, and its receiver asks again.
  after.resume(2, {.undecided = {MasterBench::undecided(key, true)}, .committed = {}});
  CHECK(after.count<Committed>(2) == 2);
}

TEST_CASE("connections break while a run is taken up, before the choice and after it") {
  MasterBench before;
  before.found(3);
  MasterBench after(kPatient, 99);
  for (const std::uint64_t peer : {1, 2, 3}) after.come_back(before, peer);
  SECTION("before the choice") {
    after.close(2);
    after.pass(seconds(2));
    CHECK(after.count<StartView>(1) == 0);
    after.come_back(before, 2);
    after.present_outcomes({1, 2, 3});
  }
  SECTION("before it, of the one whose view was asked for, before it told that") {
    MasterBench other(kPatient, 98);
    other.open(1);
    Resume claim = before.memory(1);
    claim.who.connection = 1;
    other.say(1, claim);
    other.close(1);
    for (const std::uint64_t peer : {2, 3, 1}) other.come_back(before, peer);
    other.pass(seconds(1));
    other.present_outcomes({1, 2, 3});
    CHECK(other.members(1) == Peers{1, 2, 3});
    return;
  }
  SECTION("after it, before its word") {
    after.pass(seconds(1));
    after.present_outcomes({1, 3});
    after.close(2);
    after.pass(seconds(1));
    CHECK(after.count<StartView>(1) == 0);
    after.come_back(before, 2);
    after.present_outcomes({2});
  }
  SECTION("after its word") {
    after.pass(seconds(1));
    after.present_outcomes({1, 2});
    after.close(2);
    after.come_back(before, 2);
    after.present_outcomes({3});
    CHECK(after.count<StartView>(1) == 0);
    after.present_outcomes({2});
  }
  SECTION("twice") {
    const ConnectionId older = after.newest(2);
    after.come_back(before, 2);
    CHECK(after.closed(older));
    after.pass(seconds(1));
    after.present_outcomes({1, 2, 3});
  }
  CHECK(after.members(1) == Peers{1, 2, 3});
  CHECK(after.members(2) == Peers{1, 2, 3});
}

TEST_CASE("one that leaves or falls silent while a run is taken up is not waited for") {
  MasterBench before;
  before.found(3);
  MasterBench after({.silence = seconds(3), .recovery = seconds(60)}, 99);
  for (const std::uint64_t peer : {1, 2, 3}) after.come_back(before, peer);
  after.pass(seconds(1));
  after.present_outcomes({1, 2});
  SECTION("it leaves") { after.say(3, Leave{}); }
  SECTION("it falls silent") { after.pass_alive(seconds(3), {1, 2}); }
  CHECK(after.members(1) == Peers{1, 2});
}

TEST_CASE("who was back and left counts as back, so that the few who stay go on") {
  MasterBench before;
  before.found(5);
  MasterBench after(kPatient, 99);
  for (const std::uint64_t peer : {1, 2, 3, 4}) after.come_back(before, peer);
  after.say(1, Leave{});
  after.say(2, Leave{});
  // The fifth is missed.
  after.pass(seconds(5));
  after.present_outcomes({3, 4});
  for (const std::uint64_t peer : {3, 4}) CHECK(after.view(peer).size() == 2);
}

TEST_CASE("where all who were back have left the run is given up") {
  MasterBench before;
  before.found(3);
  MasterBench after(kPatient, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  for (const std::uint64_t peer : {1, 2}) after.say(peer, Leave{});
  after.pass(seconds(6));
  CHECK_FALSE(after.machine().snapshot().recovering);
  CHECK(after.machine().snapshot().views.empty());
}

TEST_CASE("a connection that is outdated is dropped by a restarted master, too") {
  MasterBench before;
  before.found(2);
  MasterBench after(kPatient, 99);
  after.open(1);
  const ConnectionId older = after.newest(1);
  after.come_back(before, 1);
  Resume claim = before.memory(1);
  claim.who.connection = 1;
  after.say_on(older, claim);
  CHECK(after.closed(older));
  after.come_back(before, 2);
  after.pass(seconds(1));
  after.present_outcomes({1, 2});
  CHECK(after.members(1) == Peers{1, 2});
}

TEST_CASE("other groups of a run that was taken up may come back for a while, and newcomers wait for them") {
  MasterBench before;
  before.arrive({1, 2}, 0);
  before.arrive({3, 4}, 7);
  before.pass(seconds(1));
  MasterBench after(kPatient, 99);
  recover(before, after, {1, 2});
  CHECK(after.members(1) == Peers{1, 2});
  after.hello(9, 7);
  after.pass(seconds(1));
  after.call_update({1, 2});
  CHECK(after.last<UpdateDone>(1).error.status == Status::success);
  CHECK_FALSE(after.is_member(9));
  CHECK(after.last<WorldNews>(1).pending == 0);
  SECTION("they come") {
    after.come_back(before, 3);
    // An update-topology waits for them.
    after.call_update({1, 2});
    CHECK(after.count<UpdateDone>(1) == 1);
    after.come_back(before, 4);
    after.pass(seconds(1));
    after.present_outcomes({3, 4});
    CHECK(after.members(3) == Peers{3, 4});
    CHECK(after.view(3).link_secret == before.view(1).link_secret);
    CHECK(after.count<UpdateDone>(1) == 1);
    after.call_update({3, 4});
    CHECK(after.count<UpdateDone>(1) == 2);
    CHECK_FALSE(after.is_member(9));
  }
  SECTION("they don't, and the newcomer is counted as soon as it may come in") {
    after.pass(seconds(4));
    CHECK(after.last<WorldNews>(1).pending == 1);
    after.come_back(before, 3);
    CHECK(after.count<Expelled>(3) == 1);
    after.call_update({1, 2});
    CHECK(after.members(9) == Peers{9});
  }
}

TEST_CASE("another group that comes back while the first tells its outcomes is not expelled") {
  MasterBench before;
  before.arrive({1, 2}, 0);
  before.arrive({3, 4}, 7);
  before.pass(seconds(1));
  MasterBench after(kPatient, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  after.pass(seconds(1));
  REQUIRE(after.last<Present>(1).outcomes);
  after.come_back(before, 3);
  CHECK(after.count<Expelled>(3) == 0);
  after.present_outcomes({1, 2});
  CHECK(after.members(1) == Peers{1, 2});
  // It tries again twice a second.
  for (const std::uint64_t peer : {3, 4}) after.come_back(before, peer);
  after.pass(seconds(1));
  after.present_outcomes({3, 4});
  CHECK(after.members(3) == Peers{3, 4});
}

TEST_CASE("where the bound is shorter than a second, so is the least time for claims") {
  MasterBench before;
  before.found(2);
  MasterBench after({.silence = seconds(60), .recovery = milliseconds(200)}, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  after.pass(milliseconds(200));
  after.present_outcomes({1, 2});
  CHECK(after.members(1) == Peers{1, 2});
}

TEST_CASE("a run of which too few come back is given up, and the next one begins") {
  MasterBench before;
  before.found(3);
  MasterBench after(kPatient, 99);
  after.hello(9);
  after.come_back(before, 1);
  after.pass(seconds(5));
  CHECK(after.count<Expelled>(1) == 1);
  CHECK(after.closed(1));
  after.pass(seconds(1));
  CHECK(after.members(9) == Peers{9});
  CHECK(after.last<Welcome>(9).run != before.last<Welcome>(1).run);
}

}  // namespace hawser
