#include "membership/peer_bench.hpp"

/// A peer's side: its master comes and goes, views, calls and outcomes. Its links: peer_links_test.cpp.
namespace hawser {
namespace {

using Phase = PeerMachine::Phase;
using Bench = PeerBench;

constexpr Signature kTen{.count = 10};

}  // namespace

// ------------------------------------------------------------------------------------ the master comes and goes

TEST_CASE("a newcomer says hello over each connection, a member that it is back, and each has a number") {
  PeerBench bench;
  bench.connect();
  CHECK(bench.sent<Hello>().size() == 1);
  bench.down();
  bench.pass(seconds(1));
  bench.up();
  REQUIRE(bench.sent<Hello>().size() == 2);
  CHECK(bench.sent<Hello>()[0].who.connection < bench.sent<Hello>()[1].who.connection);
  CHECK(bench.sent<Hello>()[0].who.token == bench.sent<Hello>()[1].who.token);
  bench.start(Bench::view(1, {2, 5, 9}));
  bench.down();
  bench.pass(seconds(1));
  bench.up();
  REQUIRE(bench.sent<Resume>().size() == 1);
  const Resume resume = bench.sent<Resume>().back();
  CHECK(resume.who.connection > bench.sent<Hello>()[1].who.connection);
  CHECK(resume.run == RunId{1});
  CHECK(resume.view.epoch == Epoch{1});
  CHECK(resume.view.size == 3);
  CHECK(resume.view.fingerprint == fingerprint(bench.machine.view()));
  CHECK_FALSE(resume.in_update);
}

TEST_CASE("a member tells its view and what it knows of its collectives only if it is asked") {
  PeerBench bench;
  bench.join();
  const OpKey done = *bench.machine.begin(bench.now, 1, kTen);
  const OpKey whole = *bench.machine.begin(bench.now, 2, kTen);
  const OpKey open = *bench.machine.begin(bench.now, 3, kTen);
  bench.machine.result_whole(done, bench.actions);
  bench.say(Committed{.key = done});
  bench.machine.result_whole(whole, bench.actions);
  bench.down();
  bench.pass(seconds(1));
  bench.up();
  CHECK(bench.sent<ViewPresented>().empty());
  CHECK(bench.sent<OutcomesPresented>().empty());
  bench.say(Present{.view = true, .outcomes = false});
  REQUIRE(bench.sent<ViewPresented>().size() == 1);
  CHECK(bench.sent<ViewPresented>().back().view == bench.machine.view());
  CHECK(bench.sent<OutcomesPresented>().empty());
  bench.say(Present{.view = false, .outcomes = true});
  REQUIRE(bench.sent<OutcomesPresented>().size() == 1);
  const OutcomesPresented known = bench.sent<OutcomesPresented>().back();
  CHECK(known.committed == std::vector<OpKey>{done});
  CHECK(known.views == std::vector<ViewId>{bench.machine.view().id});
  CHECK(known.undecided == std::vector<UndecidedOp>{{.key = whole, .signature = kTen, .reported = true},
                                                    {.key = open, .signature = kTen, .reported = false}});
  // And all its links, which the master may have heard nothing of.
  REQUIRE_FALSE(bench.sent<Linked>().empty());
  CHECK(bench.sent<Linked>().back().all);
  CHECK(bench.sent<Linked>().back().up == std::vector<PeerId>{{2}, {9}});
}

TEST_CASE("a member that waits in update-topology says so when it is back, and whether it is its first call") {
  PeerBench bench;
  bench.join();
  const bool is_first = GENERATE(true, false);
  if (!is_first) {
    bench.machine.update_topology(bench.now, bench.actions);
    bench.say(UpdateDone{.error = {Status::success, {}}, .update_round = 1, .measures = 0});
  }
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK(bench.sent<UpdateCall>().back().first == is_first);
  bench.down();
  bench.pass(seconds(1));
  bench.up();
  CHECK(bench.sent<Resume>().back().in_update);
  CHECK(bench.sent<Resume>().back().first == is_first);
  CHECK(bench.sent<Resume>().back().update_round == (is_first ? 0U : 1U));
  // A collective is a first call, too.
  bench.say(UpdateDone{.error = {Status::success, {}}, .update_round = 2, .measures = 0});
  CHECK(bench.count<UpdateEnded>() == (is_first ? 1U : 2U));
}

TEST_CASE("after a collective no update-topology is the first call") {
  PeerBench bench;
  bench.join();
  const OpKey key = *bench.machine.begin(bench.now, 1, kTen);
  bench.machine.result_whole(key, bench.actions);
  bench.say(Committed{.key = key});
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK_FALSE(bench.sent<UpdateCall>().back().first);
}

namespace {

/// The commit says that the next update-topology is over.
void reduce_when_nobody_waits(PeerBench& bench) {
  const OpKey key = *bench.machine.begin(bench.now, 1, kTen);
  bench.machine.result_whole(key, bench.actions);
  bench.say(Committed{.key = key, .update_round = 1, .updates_made = 0});
}

}  // namespace

TEST_CASE("an update-topology that is over with the last commit ends at once unless somebody waits or after an error") {
  PeerBench bench;
  bench.join();
  reduce_when_nobody_waits(bench);
  bool waits = true;
  SECTION("at once") { waits = false; }
  SECTION("at once, also while the master is away") {
    bench.down();
    bench.machine.update_topology(bench.now, bench.actions);
    CHECK(bench.count<UpdateEnded>() == 1);
    bench.pass(seconds(1));
    bench.up();
    CHECK_FALSE(bench.sent<Resume>().back().in_update);
    CHECK(bench.sent<Resume>().back().updates_made == 1);
    return;
  }
  SECTION("a newcomer waits") { bench.say(WorldNews{.world = {}, .pending = 1}); }
  SECTION("after an error") {
    View next = bench.machine.view();
    ++next.epoch.value;
    next.id = {99};
    bench.start(next, {Status::mismatch, "the members called different things"});
    REQUIRE(bench.machine.view().id == ViewId{99});
  }
  SECTION("it has been called already") {
    bench.machine.update_topology(bench.now, bench.actions);
    CHECK(bench.count<UpdateEnded>() == 1);
    CHECK_FALSE(bench.sent<UpdateCall>().back().waits);
    bench.machine.update_topology(bench.now, bench.actions);
    CHECK_FALSE(bench.sent<UpdateCall>().back().was_over);
    CHECK(bench.machine.in_update());
    return;
  }
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK(bench.machine.in_update() == waits);
  CHECK(bench.count<UpdateEnded>() == (waits ? 0U : 1U));
  const UpdateCall call = bench.sent<UpdateCall>().back();
  CHECK(call.was_over);
  CHECK(call.waits == waits);
  CHECK(call.update_round == 1);
}

TEST_CASE("an update-topology that ended with an error is followed by one that waits for all") {
  PeerBench bench;
  bench.join();
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK_FALSE(bench.sent<UpdateCall>().back().after_error);
  bench.say(UpdateDone{.error = {Status::timeout, "not all members called update-topology"}, .update_round = 0});
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK(bench.sent<UpdateCall>().back().after_error);
  bench.say(UpdateDone{.error = {Status::success, {}}, .update_round = 1});
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK_FALSE(bench.sent<UpdateCall>().back().after_error);
}

TEST_CASE("after an error a member that was elsewhere learns how many update-topology calls are over") {
  PeerBench bench;
  bench.join();
  View next = bench.machine.view();
  ++next.epoch.value;
  next.id = {99};
  Error cause{Status::master_restarted, "the master was restarted"};
  bool learns = true;
  SECTION("so its next one is the same as that of the others, or ends when they go on") {}
  SECTION("not without an error: it may be in one that is over") {
    cause = {Status::success, {}};
    learns = false;
  }
  bench.start(next, cause, 40);
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK(bench.sent<UpdateCall>().back().update_round == (learns ? 40U : 0U));
  CHECK(bench.sent<UpdateCall>().back().was_over == learns);
  CHECK(bench.sent<UpdateCall>().back().waits);
}

TEST_CASE("after an error and a commit a member that was elsewhere makes its next update-topology like others") {
  PeerBench bench;
  bench.join();
  View next = bench.machine.view();
  ++next.epoch.value;
  next.id = {99};
  bench.start(next, {Status::master_restarted, "the master was restarted"}, 1);
  const OpKey key = *bench.machine.begin(bench.now, 1, kTen);
  bench.machine.result_whole(key, bench.actions);
  bench.say(Committed{.key = key, .update_round = 1, .updates_made = 0});
  bench.machine.update_topology(bench.now, bench.actions);
  CHECK(bench.sent<UpdateCall>().back().was_over);
  CHECK_FALSE(bench.sent<UpdateCall>().back().waits);
}

TEST_CASE("a member that resumes tells of an update-topology that is over and that it has not called") {
  PeerBench bench;
  bench.join();
  reduce_when_nobody_waits(bench);
  bench.down();
  bench.pass(seconds(1));
  bench.up();
  CHECK(bench.sent<Resume>().back().update_round == 1);
  CHECK(bench.sent<Resume>().back().updates_made == 0);
}

TEST_CASE("a master that is silent is dialled anew before it would call this peer silent") {
  PeerBench bench({.silence = seconds(8)});
  bench.join();
  const std::size_t dials = bench.count<DialMaster>();
  // It pings meanwhile, and an answer puts it off.
  bench.pass(seconds(3));
  CHECK(bench.sent<Ping>().size() == 1);
  bench.say(Pong{});
  bench.pass(seconds(4) - milliseconds(1));
  CHECK(bench.count<CloseMaster>() == 0);
  bench.pass(milliseconds(1));
  CHECK(bench.count<CloseMaster>() == 1);
  CHECK(bench.count<DialMaster>() == dials + 1);
}

TEST_CASE("a connection over which nothing is answered is given up soon, then later and later") {
  PeerBench bench({.master_redial = seconds(3600), .silence = seconds(8)});
  bench.join();
  bench.down();
  std::vector<std::int64_t> waited;
  for (int tries = 0; tries < 5; ++tries) {
    const std::size_t dials = bench.count<DialMaster>();
    while (bench.count<DialMaster>() == dials) bench.pass(milliseconds(10));
    bench.up(false);
    const Instant opened = bench.now;
    const std::size_t closed = bench.count<CloseMaster>();
    while (bench.count<CloseMaster>() == closed) bench.pass(milliseconds(10));
    waited.push_back(whole_milliseconds(bench.now - opened));
  }
  CHECK(waited == std::vector<std::int64_t>{2000, 4000, 4000, 4000, 4000});
}

TEST_CASE("a master that was there is looked for twice a second, one that never was less often") {
  PeerBench bench;
  const bool was_there = GENERATE(true, false);
  bench.machine.connect(bench.now, Bench::me(), false, bench.actions);
  if (was_there) bench.up();
  std::vector<std::int64_t> waited;
  for (int tries = 0; tries < 8; ++tries) {
    bench.down();
    const Instant broke = bench.now;
    const std::size_t dials = bench.count<DialMaster>();
    while (bench.count<DialMaster>() == dials) bench.pass(milliseconds(5));
    waited.push_back(whole_milliseconds(bench.now - broke));
  }
  CHECK(waited == (was_there ? std::vector<std::int64_t>{50, 100, 200, 400, 500, 500, 500, 500}
                             : std::vector<std::int64_t>{50, 100, 200, 400, 800, 1600, 2000, 2000}));
}

TEST_CASE("a peer gives up a master that stays away, and an address that is no master's at once") {
  PeerBench bench;
  SECTION("it stays away") {
    bench.join();
    bench.down();
    for (int i = 0; i < 1000 && bench.machine.phase() == Phase::member; ++i) {
      bench.pass(milliseconds(100));
      bench.down();
    }
    CHECK(bench.now > Instant(seconds(60)));
    CHECK(bench.now < Instant(seconds(61)));
    CHECK(bench.machine.phase() == Phase::lost);
    CHECK(bench.machine.lost_error().status == Status::master_unreachable);
  }
  SECTION("something else answers") {
    bench.machine.connect(bench.now, Bench::me(), false, bench.actions);
    bench.machine.master_down(bench.now, "it is no master", true, bench.actions);
    CHECK(bench.last<ConnectEnded>().error.status == Status::master_unreachable);
  }
  SECTION("but not as a member, where that may be for a moment") {
    bench.join();
    bench.machine.master_down(bench.now, "it is no master", true, bench.actions);
    CHECK(bench.machine.phase() == Phase::member);
  }
}

TEST_CASE("a peer that is not admitted in time is told so") {
  PeerBench bench({.connect = seconds(30), .silence = seconds(3600)});
  bench.connect();
  bench.pass(seconds(30));
  CHECK(bench.last<ConnectEnded>().error.status == Status::timeout);
  CHECK(bench.last<ConnectEnded>().error.sentence.find("update-topology") != std::string::npos);
  CHECK(bench.machine.phase() == Phase::idle);
}

TEST_CASE("a notice is logged where it is meant") {
  PeerBench bench;
  bench.connect();
  bench.say(Notice{"the advertise_address is odd"});
  CHECK(bench.logged("notice") == std::vector<std::string>{"the advertise_address is odd"});
}

// ------------------------------------------------------------------------------------------------------ views

TEST_CASE("a view comes as a whole or as what has changed since the one before") {
  PeerBench bench;
  bench.join();
  StartView next{.epoch = {2}, .id = {77}, .group = 0, .link_secret = Bench::kSecret, .base = bench.machine.view().id,
                 .members = {.whole = false, .came = Bench::members({7}), .gone = {{2}}}, .world = {},
                 .cause = {Status::success, {}},
                 .fingerprint = fingerprint({.epoch = {2}, .id = {77}, .group = 0, .link_secret = Bench::kSecret,
                                             .members = Bench::members({5, 9, 7})})};
  bench.say(next);
  CHECK(bench.machine.view().members == Bench::members({5, 9, 7}));
  CHECK(bench.machine.view().id == ViewId{77});
  CHECK(bench.last<ViewStarted>().view == bench.machine.view());
  CHECK(bench.links() == std::vector<std::uint64_t>{7, 9});
}

TEST_CASE("what the master says that does not fit to what it said makes a peer begin anew") {
  PeerBench bench;
  const auto fresh = [&] { return bench.logged("master-out-of-step").size(); };
  SECTION("as a member") {
    bench.join();
    const View before = bench.machine.view();
    SECTION("a change of a view that it is not in") {
      bench.say(StartView{.epoch = {2}, .id = {77}, .group = 0, .link_secret = Bench::kSecret, .base = {1234},
                          .members = {.whole = false, .came = {}, .gone = {{2}}}, .world = {},
                          .cause = {Status::success, {}}});
    }
    SECTION("a change that does not fit") {
      bench.say(StartView{.epoch = {2}, .id = {77}, .group = 0, .link_secret = Bench::kSecret, .base = before.id,
                          .members = {.whole = false, .came = {}, .gone = {{3}}}, .world = {},
                          .cause = {Status::success, {}}});
    }
    SECTION("a change that leads to another view than the master's") {
      bench.say(StartView{.epoch = {2}, .id = {77}, .group = 0, .link_secret = Bench::kSecret, .base = before.id,
                          .members = {.whole = false, .came = {}, .gone = {{2}}}, .world = {},
                          .cause = {Status::success, {}}, .fingerprint = fingerprint(before)});
    }
    SECTION("visitors that are gone and never were there") {
      bench.say(Visitors{{.whole = false, .came = {}, .gone = {{3}}}});
    }
    CHECK(bench.machine.view() == before);
    CHECK(bench.machine.phase() == Phase::member);
    CHECK(fresh() == 1);
    CHECK(bench.count<CloseMaster>() == 1);
    bench.pass(milliseconds(50));
    bench.up();
    CHECK(bench.sent<Resume>().size() == 1);
  }
  SECTION("as a newcomer") {
    bench.connect();
    bench.group_members({2, 9});
    bench.say(GroupMembers{.members = {.whole = false, .came = Bench::members({2}), .gone = {}}, .link_secret = 7});
    CHECK(fresh() == 1);
    CHECK(bench.machine.phase() == Phase::joining);
    bench.pass(milliseconds(50));
    bench.up();
    CHECK(bench.sent<Hello>().size() == 2);
    bench.group_members({2});
    CHECK(bench.links() == std::vector<std::uint64_t>{2});
  }
}

TEST_CASE("whom a change did not fit asks for the whole view, until it has one") {
  PeerBench bench;
  bench.join();
  bench.down();
  bench.pass(milliseconds(500));
  bench.up();
  CHECK_FALSE(bench.sent<Resume>().back().whole);
  bench.say(StartView{.epoch = {2}, .id = {77}, .group = 0, .link_secret = Bench::kSecret, .base = {1234},
                      .members = {.whole = false, .came = {}, .gone = {{2}}}, .world = {}, .cause = {}});
  for (int again = 0; again < 2; ++again) {
    bench.pass(milliseconds(500));
    bench.up();
    CHECK(bench.sent<Resume>().back().whole);
    CHECK(bench.sent<Resume>().back().view.id == bench.machine.view().id);
    bench.down();
  }
  bench.pass(milliseconds(500));
  bench.up();
  bench.start(Bench::view(2, {5, 9}));
  CHECK(bench.machine.view().members == Bench::members({5, 9}));
  bench.down();
  bench.pass(milliseconds(500));
  bench.up();
  CHECK_FALSE(bench.sent<Resume>().back().whole);
}

TEST_CASE("an older view, and one without this peer, change nothing") {
  PeerBench bench;
  bench.join();
  const View before = bench.machine.view();
  const std::size_t started = bench.count<ViewStarted>();
  bench.start(Bench::view(1, {5, 9}));
  bench.start(Bench::view(0, {5}));
  bench.start(Bench::view(9, {2, 9}));
  CHECK(bench.machine.view() == before);
  CHECK(bench.count<ViewStarted>() == started);
  CHECK(bench.count<CloseMaster>() == 0);
}

TEST_CASE("a new view aborts what was not committed, with the cause, and counts collectives anew") {
  PeerBench bench;
  bench.join();
  const OpKey open = *bench.machine.begin(bench.now, 3, kTen);
  CHECK(open.sequence == 0);
  const View next = Bench::view(2, {5, 9});
  bench.say(StartView{.epoch = next.epoch, .id = next.id, .group = 0, .link_secret = next.link_secret, .base = {},
                      .members = whole_list(next.members), .world = {}, .cause = {Status::peer_lost, "p2 was lost"},
                      .fingerprint = fingerprint(next)});
  CHECK(bench.last<OpAborted>().key == open);
  CHECK(bench.last<OpAborted>().error.sentence == "p2 was lost");
  CHECK_FALSE(bench.machine.has_ops());
  const OpKey again = *bench.machine.begin(bench.now, 3, kTen);
  CHECK(again.sequence == 0);
  CHECK(again.view == next.id);
  // Outcomes of the old view come too late.
  bench.say(Committed{.key = open});
  CHECK(bench.count<OpCommitted>() == 0);
}

// ------------------------------------------------------------------------------------------------------ calls

TEST_CASE("the master hears of a collective that lasts, and of a short one by its report only") {
  PeerBench bench;
  bench.join();
  const OpKey quick = *bench.machine.begin(bench.now, 1, kTen);
  const OpKey slow = *bench.machine.begin(bench.now, 2, kTen);
  bench.pass(milliseconds(1));
  bench.machine.result_whole(quick, bench.actions);
  bench.pass(milliseconds(1));
  REQUIRE(bench.sent<Begun>().size() == 1);
  CHECK(bench.sent<Begun>().back().key == slow);
  CHECK(bench.sent<Report>().back().key == quick);
}

TEST_CASE("nobody begins a collective alone, or out of a run") {
  PeerBench bench;
  CHECK(bench.machine.begin(bench.now, 1, kTen).error().status == Status::invalid_usage);
  bench.connect();
  CHECK(bench.machine.begin(bench.now, 1, kTen).error().status == Status::invalid_usage);
  bench.start(Bench::view(1, {5}));
  CHECK(bench.machine.begin(bench.now, 1, kTen).error().status == Status::too_few_peers);
  bench.say(Expelled{{Status::expelled, "stalled"}});
  CHECK(bench.machine.begin(bench.now, 1, kTen).error().status == Status::expelled);
}

TEST_CASE("who leaves tells the master, and ends what it waits in") {
  PeerBench bench;
  bench.join();
  const OpKey open = *bench.machine.begin(bench.now, 3, kTen);
  bench.machine.update_topology(bench.now, bench.actions);
  bench.machine.leave(bench.actions);
  CHECK(bench.sent<Leave>().size() == 1);
  CHECK(bench.last<OpAborted>().key == open);
  CHECK(bench.last<UpdateEnded>().error.status == Status::closed);
  CHECK(bench.links().empty());
  CHECK(bench.machine.phase() == Phase::lost);
  CHECK_FALSE(bench.machine.next_deadline());
}

TEST_CASE("a member hears no master of a lower term than that of one which has welcomed it") {
  PeerBench bench;
  bench.join();
  const auto come_back = [&](std::uint64_t term) {
    bench.down();
    bench.pass(milliseconds(50));
    bench.up(false);
    bench.say(Welcome{.run = {1}, .seen_host = "10.0.0.5", .term = term});
  };
  come_back(3);
  const Error expelled{Status::expelled, "by a master that another one has superseded"};
  const auto next = PeerBench::view(2, {2, 5});
  SECTION("its welcome ends the connection, and what it says then is not heard") {
    come_back(2);
    bench.start(next);
    CHECK(bench.machine.view().epoch == Epoch{1});
    bench.say(Expelled{.error = expelled, .term = 2});
  }
  SECTION("it expels or refuses nobody") {
    bench.down();
    bench.pass(milliseconds(50));
    bench.up(false);
    if (GENERATE(false, true))
      bench.say(Expelled{.error = expelled, .term = 2});
    else
      bench.say(Refused{.error = expelled, .term = 2});
  }
  CHECK(bench.machine.phase() == PeerMachine::Phase::member);
  CHECK(std::any_of(bench.actions.begin(), bench.actions.end(),
                    [](const PeerAction& one) { return std::holds_alternative<CloseMaster>(one); }));
  come_back(4);
  bench.say(Expelled{.error = expelled, .term = 4});
  CHECK(bench.machine.phase() == PeerMachine::Phase::lost);
}

}  // namespace hawser
