#include "base/limits.hpp"
#include "membership/master_bench.hpp"

/// What whoever asks is told of a run.
namespace hawser {
namespace {

/// Whoever asks is a stranger, numbered from here on, each at an address of its own.
constexpr std::uint64_t kStranger = 900000;

/// Later than what was told before is kept.
RunStatus ask(MasterBench& bench) {
  static std::uint64_t next = kStranger;
  const std::uint64_t stranger = next++;
  bench.pass(milliseconds(100));
  bench.open(stranger);
  bench.say(stranger, StatusRequest{});
  CHECK(bench.closed(stranger));
  return bench.last<RunStatus>(stranger);
}

const PendingStatus& pending_in(const RunStatus& status, std::uint64_t peer) {
  for (const PendingStatus& one : status.pending)
    if (one.peer.member.id == MasterBench::id(peer)) return one;
  FAIL("peer " << peer << " is not pending");
  return status.pending.front();
}
Awaits reason_of(const RunStatus& status, std::uint64_t peer) { return pending_in(status, peer).awaits; }

using Ranks = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("the status of a run without peers") {
  MasterBench bench;
  bench.pass(milliseconds(2900));
  const RunStatus status = ask(bench);
  CHECK(status.up_ms == 3000);
  CHECK(status.protocol_version == kProtocolVersion);
  CHECK_FALSE(status.version.empty());
  CHECK(status.world == World{});
  CHECK(status.groups.empty());
  CHECK(status.pending.empty());
  CHECK(status.collectives.empty());
  CHECK(bench.machine().snapshot().connections == 0);
}

TEST_CASE("members are listed by rank, with the time since they were heard") {
  MasterBench bench;
  bench.found(3);
  for (const std::uint64_t peer : {1, 2, 3}) bench.say(peer, Ping{});
  bench.pass(seconds(2));
  bench.say(2, Ping{});
  bench.pass(milliseconds(400));
  const RunStatus status = ask(bench);
  CHECK(status.run == bench.last<Welcome>(1).run);
  CHECK(status.world == World{.size = 3, .group_count = 1, .largest_group_size = 3});
  REQUIRE(status.groups.size() == 1);
  const GroupStatus& group = status.groups.front();
  CHECK(group.epoch == bench.view(1).epoch);
  CHECK(group.size == 3);
  CHECK(group.mismatches == 0);
  CHECK(group.last_mismatch_age_ms == 0);
  REQUIRE(group.members.size() == 3);
  for (std::size_t rank = 0; rank < 3; ++rank)
    CHECK(group.members[rank].member == bench.view(1).members[rank]);
  CHECK(group.members[0].heard_ms == 2500);
  CHECK(group.members[1].heard_ms == 500);
  CHECK_FALSE(group.members[1].is_away);
}

TEST_CASE("a member that is away is listed as such") {
  MasterBench bench(kPatient);
  bench.found(2);
  bench.close(2);
  bench.pass(milliseconds(900));
  const auto members = ask(bench).groups.front().members;
  CHECK_FALSE(members[0].is_away);
  CHECK(members[1].is_away);
  CHECK(members[1].heard_ms == 1000);
  bench.resume(2);
  CHECK_FALSE(ask(bench).groups.front().members[1].is_away);
}

TEST_CASE("asking changes nothing for the members") {
  MasterBench bench;
  bench.found(2);
  bench.pass(milliseconds(500));
  const auto before = bench.machine().snapshot();
  const auto deadline = bench.machine().next_deadline();
  const std::size_t told = bench.told(1).size();
  bench.open(kStranger - 1);
  bench.say(kStranger - 1, StatusRequest{});
  CHECK(bench.machine().snapshot().connections == before.connections);
  CHECK(bench.machine().next_deadline() == deadline);
  CHECK(bench.told(1).size() == told);
}

TEST_CASE("the status says who is in update-topology and who is missing") {
  MasterBench bench;
  bench.found(3);
  CHECK(ask(bench).in_update == 0);
  bench.call_update({1, 3});
  bench.pass(milliseconds(900));
  const RunStatus status = ask(bench);
  CHECK(status.in_update == 2);
  CHECK(status.update_ms == 1000);
  const auto& members = status.groups.front().members;
  CHECK(members[0].in_update);
  CHECK_FALSE(members[1].in_update);
  CHECK(members[2].in_update);
}

TEST_CASE("the status says what each pending peer waits for") {
  MasterBench bench(kPatient);
  bench.hello(1);
  CHECK(reason_of(ask(bench), 1) == Awaits::first_view);
  bench.pass(seconds(1));
  bench.hello(2);
  bench.hello_guest(3);
  bench.open(4);
  Introduction half = bench.introduction(4, 7);
  half.party = {.id = PartyId{5}, .size = 2};
  bench.say(4, Hello{half});
  RunStatus status = ask(bench);
  CHECK(reason_of(status, 2) == Awaits::links);
  CHECK(pending_in(status, 2).peer.opens_links);
  bench.link(2, 1);
  bench.pass(milliseconds(1300));
  status = ask(bench);
  CHECK(reason_of(status, 2) == Awaits::update);
  CHECK_FALSE(pending_in(status, 2).peer.opens_links);
  CHECK(reason_of(status, 3) == Awaits::prefetch);
  CHECK(reason_of(status, 4) == Awaits::party);
  REQUIRE(status.pending.size() == 3);
  CHECK(status.pending[2].group == 7);
  CHECK(status.pending[2].peer.party == half.party);
  CHECK(status.pending[0].waits_ms == 1500);
}

TEST_CASE("who may not open links yet waits for its turn") {
  MasterBench bench(kPatient);
  bench.found(1);
  SECTION("since too many do already") {
    for (std::uint64_t peer = 100; peer <= 100 + limits::kUnprovenPerSourceMax; ++peer) {
      bench.come_from(peer, "10.9.9.9");
      bench.hello(peer);
    }
    const RunStatus status = ask(bench);
    CHECK(reason_of(status, 100) == Awaits::links);
    CHECK(reason_of(status, 100 + limits::kUnprovenPerSourceMax) == Awaits::turn);
  }
  SECTION("since its links have failed before") {
    bench.hello(10);
    bench.pass(seconds(10));
    REQUIRE(bench.closed(10));
    bench.come_from(11, MasterBench::host(10));
    bench.open(11);
    Introduction who = bench.introduction(11);
    who.address = bench.introduction(10).address;
    bench.say(11, Hello{who});
    CHECK(reason_of(ask(bench), 11) == Awaits::turn);
  }
}

TEST_CASE("after a restart the status tells who is back, who is missed and who waits for them") {
  MasterBench before;
  before.found(3);
  MasterBench bench(kPatient, 2);
  const auto back = [&](std::uint64_t peer, bool in_update) {
    Resume claim = before.memory(peer);
    claim.in_update = in_update;
    bench.come_back(before, peer, claim);
  };
  back(1, false);
  back(3, true);
  bench.hello(9);
  const RunStatus status = ask(bench);
  CHECK(status.world.size == 0);
  REQUIRE(status.pending.size() == 4);
  CHECK(reason_of(status, 1) == Awaits::others_back);
  CHECK(reason_of(status, 3) == Awaits::others_back);
  CHECK(reason_of(status, 9) == Awaits::recovery);
  CHECK(reason_of(status, 2) == Awaits::nothing);
  CHECK(status.pending.back().peer.member.name == "p2");
  for (const PendingStatus& one : status.pending)
    CHECK(one.peer.in_update == (one.peer.member.id == MasterBench::id(3)));
  back(2, false);
  bench.pass(seconds(1));
  bench.present_outcomes({1, 2, 3});
  const RunStatus after = ask(bench);
  CHECK(after.world.size == 3);
  CHECK(after.in_update == 1);
  CHECK(reason_of(after, 9) == Awaits::links);
}

// ----------------------------------------------------------------------------------------- collectives

TEST_CASE("a collective waits for those who have not called it, then for those without a result") {
  MasterBench bench;
  bench.found(3);
  const OpKey key = bench.key(1, 4);
  bench.begun(1, key, 77);
  bench.pass(milliseconds(1100));
  bench.begun(3, key, 77);
  RunStatus status = ask(bench);
  REQUIRE(status.collectives.size() == 1);
  CollectiveStatus op = status.collectives.front();
  CHECK(op.tag == 4);
  CHECK(op.sequence == 0);
  CHECK(op.signature.count == 77);
  CHECK(op.alike);
  CHECK(op.since_ms == 1200);
  CHECK(op.group_size == 3);
  CHECK(op.called == Ranks{0, 2});
  CHECK(op.reported.empty());
  CHECK(op.waits_for == Ranks{1});

  bench.begun(2, key, 77);
  bench.report(1, key, 77);
  op = ask(bench).collectives.front();
  CHECK(op.called == Ranks{0, 1, 2});
  CHECK(op.reported == Ranks{0});
  CHECK(op.waits_for == Ranks{1, 2});
  bench.report(2, key, 77);
  bench.report(3, key, 77);
  CHECK(ask(bench).collectives.empty());
}

TEST_CASE("of a collective that stalls the one to blame is named") {
  MasterBench bench(kPatient);
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  for (const std::uint64_t peer : {1, 3})
    bench.say(
        peer,
        Complaint{.key = key, .stalled_ms = 1, .waiting_for = {MasterBench::id(2)}, .unresponsive = {}});
  CHECK(ask(bench).collectives.front().waits_for == Ranks{1});
}

TEST_CASE("a collective that was called differently says so, and what comes of that is counted") {
  MasterBench bench(kPatient);
  bench.found(3);
  const OpKey key = bench.key(1);
  bench.begun(1, key, 5);
  bench.begun(2, key, 6);
  RunStatus status = ask(bench);
  REQUIRE(status.collectives.size() == 1);
  CHECK_FALSE(status.collectives.front().alike);
  bench.begun(3, key, 6);
  bench.pass(milliseconds(400));
  status = ask(bench);
  CHECK(status.collectives.empty());
  CHECK(status.groups.front().mismatches == 1);
  CHECK(status.groups.front().last_mismatch_age_ms == 500);
  CHECK(status.groups.front().last_mismatch.find("p1 called all-reduce of 5") != std::string::npos);
  for (int times = 0; times < 2; ++times) {
    const OpKey again = bench.key(1, 9);
    for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, again, peer);
    bench.pass(seconds(1));
  }
  CHECK(ask(bench).groups.front().mismatches == 3);
}

// ---------------------------------------------------------------------------------------------- limits

TEST_CASE("the status counts what was committed, what failed and why, and who came and went") {
  MasterBench bench({.silence = seconds(600)});
  bench.found(4);
  const auto of = [](Collective kind) { return static_cast<std::size_t>(kind); };
  for (std::uint64_t sequence = 0; sequence < 3; ++sequence)
    for (const std::uint64_t peer : {1, 2, 3, 4}) bench.report(peer, bench.key(1, 0, sequence));
  // One that two wait in is given up, another one is called differently.
  bench.begun(1, bench.key(1, 1));
  bench.begun(2, bench.key(1, 1));
  bench.say(1, GiveUp{.key = bench.key(1, 1), .after_ms = 1});
  bench.begun(1, bench.key(1, 2), 10);
  for (const std::uint64_t peer : {2, 3, 4}) bench.begun(peer, bench.key(1, 2), 20);
  bench.begun(1, bench.key(1, 3));
  bench.say(2, Leave{});
  bench.close(3);
  bench.pass(seconds(20));
  const RunTotals totals = ask(bench).totals;
  CHECK(totals.committed[of(Collective::all_reduce)] == 3);
  CHECK(totals.bytes[of(Collective::all_reduce)] == 3 * 40);
  CHECK(totals.committed[of(Collective::barrier)] == 0);
  CHECK(totals.failed_by_timeout == 1);
  CHECK(totals.failed_by_mismatch == 1);
  CHECK(totals.failed_by_loss == 1);
  CHECK(totals.failed_otherwise == 0);
  CHECK(totals.joined == 4);
  CHECK(totals.left == 1);
  CHECK(totals.lost == 1);
}

TEST_CASE("a status has its limits, and tells what it leaves out") {
  MasterBench bench({.silence = seconds(3600), .call_wait = seconds(3600), .link_open = seconds(3600)});
  constexpr std::size_t members = 1200;
  // In several goes, since only so many come in at one time.
  Peers in;
  std::map<std::uint32_t, Peers> of_group;
  for (std::uint64_t next = 1; next <= members;) {
    const std::uint32_t group = next <= members / 2 ? 0 : 1;
    Peers newcomers;
    for (std::size_t i = 0; i < limits::kUnprovenMax && next <= members && (next <= members / 2) == (group == 0); ++i)
      newcomers.push_back(next++);
    for (const auto peer : newcomers) bench.hello(peer, group);
    bench.pass(milliseconds(100));
    of_group[group].insert(of_group[group].end(), newcomers.begin(), newcomers.end());
    bench.link_all(of_group[group]);
    bench.pass(seconds(1));
    bench.call_update(in);
    in.insert(in.end(), newcomers.begin(), newcomers.end());
  }
  const std::size_t pending = limits::kPendingPeersMax;
  for (std::uint64_t peer = 0; peer < pending; ++peer) bench.hello(10000 + peer, 2);
  for (std::uint64_t tag = 0; tag < limits::kStatusCollectivesMax + 44; ++tag) {
    bench.begun(2, bench.key(2, 1000 - tag));
    bench.pass(milliseconds(1));
  }
  const RunStatus status = ask(bench);
  CHECK(status.world.size == members);
  std::size_t listed = status.pending.size();
  for (const GroupStatus& group : status.groups) listed += group.members.size();
  CHECK(listed == limits::kStatusPeersMax);
  CHECK(status.peers_left_out == members + pending - limits::kStatusPeersMax);
  REQUIRE(status.collectives.size() == limits::kStatusCollectivesMax);
  CHECK(status.collectives_left_out == 44);
  // The oldest are those that hold up a run.
  CHECK(status.collectives.front().tag == 1000);
  CHECK(status.collectives.back().tag == 1000 - (limits::kStatusCollectivesMax - 1));
}

TEST_CASE("the status says who has no straight way to whom, as long as both are there") {
  MasterBench bench;
  bench.found(3);
  CHECK(ask(bench).unreached.empty());
  bench.say(1, Unreached{{{.to = MasterBench::id(2), .by = MasterBench::id(3), .why = "10.0.0.2:1: refused"},
                          {.to = PeerId{987654}, .by = {}, .why = "nobody of this run"}}});
  const RunStatus status = ask(bench);
  REQUIRE(status.unreached.size() == 1);
  CHECK(status.unreached.front() == UnreachedStatus{.from = MasterBench::id(1),
                                                    .to = MasterBench::id(2),
                                                    .by = MasterBench::id(3),
                                                    .why = "10.0.0.2:1: refused"});
  bench.say(1, Unreached{});
  CHECK(ask(bench).unreached.empty());
}

TEST_CASE("another protocol version is refused with both numbers") {
  MasterBench bench;
  bench.open(kStranger);
  bench.say(kStranger, StatusRequest{.protocol_version = kProtocolVersion + 1});
  CHECK(bench.closed(kStranger));
  const Error& error = bench.last<Refused>(kStranger).error;
  CHECK(error.status == Status::refused);
  CHECK(error.sentence.find(std::to_string(kProtocolVersion + 1)) != std::string::npos);
  CHECK(bench.count<RunStatus>(kStranger) == 0);
}

TEST_CASE("a member that asks over its own connection is lost") {
  MasterBench bench;
  bench.found(2);
  bench.say(2, StatusRequest{});
  CHECK(bench.closed(2));
  CHECK(bench.count<RunStatus>(2) == 0);
  CHECK(bench.view(1).size() == 1);
}

namespace {

/// Whether this address gets an answer.
bool is_answered(MasterBench& bench, std::uint64_t stranger, const std::string& host) {
  bench.come_from(stranger, host);
  bench.open(stranger);
  bench.say(stranger, StatusRequest{});
  REQUIRE(bench.closed(stranger));
  return bench.count<RunStatus>(stranger) == 1;
}

}  // namespace

TEST_CASE("one address is answered so often, and a flood from there leaves others their answers") {
  MasterBench bench;
  bench.found(1);
  std::uint64_t stranger = 500000;
  const auto answers = [&](int asked, const std::string& host) {
    int given = 0;
    for (int i = 0; i < asked; ++i) given += is_answered(bench, stranger++, host) ? 1 : 0;
    return given;
  };
  CHECK(answers(100, "10.9.9.9") == static_cast<int>(limits::kStatusAnswersPerSourceBurst));
  CHECK(bench.last<Refused>(stranger - 1).error.status == Status::refused);
  CHECK(answers(1, "10.8.8.8") == 1);
  bench.pass(seconds(1));
  CHECK(answers(50, "10.9.9.9") == static_cast<int>(limits::kStatusAnswersPerSourcePerSecond));
  CHECK(answers(1, "10.8.8.8") == 1);
}

TEST_CASE("so many answers are given in a second to all, and more in the next") {
  MasterBench bench;
  bench.found(1);
  std::uint64_t stranger = 500000;
  int given = 0;
  for (int i = 0; i < 200; ++i, ++stranger) given += is_answered(bench, stranger, MasterBench::host(stranger)) ? 1 : 0;
  CHECK(given == static_cast<int>(limits::kStatusAnswersPerSecond));
  bench.pass(seconds(1));
  CHECK(is_answered(bench, stranger, MasterBench::host(stranger)));
}

TEST_CASE("addresses that ask again and again leave half of the answers to those that have not asked lately") {
  MasterBench bench;
  bench.found(1);
  std::uint64_t stranger = 500000;
  const auto flood = [&] {
    int given = 0;
    for (int i = 0; i < 640; ++i, ++stranger)
      given += is_answered(bench, stranger, "10.9.9." + std::to_string(i % 32)) ? 1 : 0;
    return given;
  };
  // Each has its first answer as one that has not asked lately.
  const int half = static_cast<int>(limits::kStatusAnswersPerSecond / 2);
  CHECK(flood() == half);
  for (int i = 0; i < 5; ++i) {
    CHECK(is_answered(bench, stranger++, "10.8.8.8"));
    bench.pass(seconds(1));
    CHECK(flood() >= half);
  }
}

TEST_CASE("an answer is made anew only now and then") {
  MasterBench bench;
  bench.found(1);
  bench.pass(milliseconds(500));
  CHECK(is_answered(bench, 500000, "10.9.9.9"));
  bench.pass(milliseconds(99));
  CHECK(is_answered(bench, 500001, "10.9.9.9"));
  CHECK(bench.last<RunStatus>(500001) == bench.last<RunStatus>(500000));
  bench.pass(milliseconds(1));
  CHECK(is_answered(bench, 500002, "10.9.9.9"));
  CHECK(bench.last<RunStatus>(500002).up_ms == bench.last<RunStatus>(500000).up_ms + 100);
}

TEST_CASE("who asks for the matrix is told the newest measures of each group, before the status") {
  MasterBench bench;
  bench.found(2);
  const LinkRow row{.bytes_per_second = {0, 5},
                    .delay_ns = {0, 7},
                    .uplink_bytes_per_second = 5,
                    .downlink_bytes_per_second = 6};
  bench.say(1, Measured{.view = bench.view(1).id, .row = row});
  const OpKey key = bench.key(1, 0, 0);
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  bench.pass(milliseconds(1500));
  bench.open(77);
  bench.say(77, StatusRequest{.matrix = true});
  REQUIRE(bench.count<Measures>(77) == 1);
  CHECK(bench.last<Measures>(77).rows[0] == row);
  const RunStatus& status = bench.last<RunStatus>(77);
  REQUIRE(status.groups.size() == 1);
  CHECK(status.groups[0].view == bench.last<Measures>(77).view);
  CHECK(status.groups[0].measures == 1);
  CHECK(status.groups[0].measures_age_ms == 1500);
  // Only who asks for it.
  bench.open(78);
  bench.say(78, StatusRequest{});
  CHECK(bench.count<Measures>(78) == 0);
}

}  // namespace hawser
