#include "base/limits.hpp"
#include "catch.hpp"
#include "membership/master_bench.hpp"

using namespace hawser;

namespace {

/// Whoever asks is a stranger, numbered from here on.
constexpr std::uint64_t kStranger = 900000;

RunStatus ask(MasterBench& bench, std::uint64_t stranger = kStranger) {
  bench.open(stranger);
  bench.say(stranger, StatusRequest{});
  CHECK(bench.closed(stranger));
  return bench.last<RunStatus>(stranger);
}

Awaits reason_of(const RunStatus& status, std::uint64_t peer) {
  for (const PendingStatus& one : status.pending)
    if (one.peer.member.id == MasterBench::id(peer)) return one.awaits;
  FAIL("peer " << peer << " is not pending");
  return Awaits::nothing;
}

using Ranks = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("the status of a run without peers") {
  MasterBench bench;
  bench.pass(seconds(3));
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
  bench.pass(seconds(2));
  bench.say(2, Ping{});
  bench.pass(milliseconds(500));
  const RunStatus status = ask(bench);
  CHECK(status.run == bench.last<Welcome>(1).run);
  CHECK(status.world == World{.size = 3, .group_count = 1, .largest_group_size = 3});
  REQUIRE(status.groups.size() == 1);
  const GroupStatus& group = status.groups.front();
  CHECK(group.epoch == bench.view(1).epoch);
  CHECK(group.size == 3);
  REQUIRE(group.members.size() == 3);
  for (std::size_t rank = 0; rank < 3; ++rank)
    CHECK(group.members[rank].member == bench.view(1).members[rank]);
  CHECK(group.members[0].heard_ms == 2500);
  CHECK(group.members[1].heard_ms == 500);
}

TEST_CASE("asking changes nothing for the members") {
  MasterBench bench;
  bench.found(2);
  const auto before = bench.machine().snapshot();
  const auto deadline = bench.machine().next_deadline();
  const std::size_t news = bench.count<WorldNews>(1);
  (void)ask(bench);
  CHECK(bench.machine().snapshot().connections == before.connections);
  CHECK(bench.machine().next_deadline() == deadline);
  CHECK(bench.count<WorldNews>(1) == news);
}

TEST_CASE("the status says who is in update-topology and who is missing") {
  MasterBench bench;
  bench.found(3);
  CHECK(ask(bench).in_update == 0);
  bench.call_update({1, 3});
  bench.pass(seconds(1));
  const RunStatus status = ask(bench, kStranger + 1);
  CHECK(status.in_update == 2);
  CHECK(status.update_ms == 1000);
  const auto& members = status.groups.front().members;
  CHECK(members[0].in_update);
  CHECK_FALSE(members[1].in_update);
  CHECK(members[2].in_update);
}

TEST_CASE("the status says what each pending peer waits for") {
  MasterBench bench;
  bench.hello(1);
  CHECK(reason_of(ask(bench), 1) == Awaits::first_view);
  bench.pass(seconds(1));
  CHECK(reason_of(ask(bench, kStranger + 1), 1) == Awaits::links);
  CHECK(ask(bench, kStranger + 2).pending.front().peer.opens_links);
  bench.prepare({1});
  bench.hello(2);
  bench.hello_guest(3);
  bench.open(4);
  Introduction half = bench.introduction(4, 7);
  half.party = {.id = PartyId{5}, .size = 2};
  bench.say(4, Hello{half});
  bench.pass(milliseconds(1500));
  RunStatus status = ask(bench, kStranger + 3);
  CHECK(reason_of(status, 2) == Awaits::update);
  CHECK(reason_of(status, 3) == Awaits::prefetch);
  CHECK(reason_of(status, 4) == Awaits::party);
  REQUIRE(status.pending.size() == 3);
  CHECK(status.pending[2].group == 7);
  CHECK(status.pending[2].peer.party == half.party);
  CHECK(status.pending[0].waits_ms == 1500);

  bench.call_update({1});
  status = ask(bench, kStranger + 4);
  CHECK(reason_of(status, 2) == Awaits::links);
  CHECK(status.groups.front().members.front().opens_links);
  bench.prepare({1});
  CHECK_FALSE(ask(bench, kStranger + 5).groups.front().members.front().opens_links);
}

TEST_CASE("after a restart the status tells who is back, who is missed and who waits for them") {
  MasterBench before;
  before.found(3);
  MasterBench bench({}, 2);
  const auto back = [&](std::uint64_t peer, bool in_update) {
    bench.open(peer);
    bench.say(peer, Resume{.who = bench.introduction(peer),
                           .run = before.last<Welcome>(peer).run,
                           .view = before.view(peer),
                           .undecided = {},
                           .committed = {},
                           .in_update = in_update});
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
  const RunStatus after = ask(bench, kStranger + 1);
  CHECK(after.world.size == 3);
  CHECK(reason_of(after, 9) == Awaits::update);
  CHECK(after.in_update == 1);
}

TEST_CASE("a collective waits for those who have not called it, then for those without a result") {
  MasterBench bench;
  bench.found(3);
  const OpKey key = bench.key(1, 4);
  bench.begun(1, key, 77);
  bench.pass(milliseconds(1200));
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
  op = ask(bench, kStranger + 1).collectives.front();
  CHECK(op.called == Ranks{0, 1, 2});
  CHECK(op.reported == Ranks{0});
  CHECK(op.waits_for == Ranks{1, 2});
  bench.report(2, key, 77);
  bench.report(3, key, 77);
  CHECK(ask(bench, kStranger + 2).collectives.empty());
}

TEST_CASE("of a collective that stalls the one to blame is named") {
  MasterBench bench({.silence = seconds(60)});
  bench.found(3);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  for (const std::uint64_t peer : {1, 3})
    bench.say(
        peer,
        Complaint{.key = key, .stalled_ms = 1, .waiting_for = {MasterBench::id(2)}, .unresponsive = {}});
  CHECK(ask(bench).collectives.front().waits_for == Ranks{1});
}

TEST_CASE("a collective that was called differently says so") {
  MasterBench bench;
  bench.found(3);
  const OpKey key = bench.key(1);
  bench.begun(1, key, 5);
  bench.begun(2, key, 6);
  const RunStatus status = ask(bench);
  REQUIRE(status.collectives.size() == 1);
  CHECK_FALSE(status.collectives.front().alike);
}

TEST_CASE("a status has its limits, and tells what it leaves out") {
  // Nobody is heard of again while so many come.
  MasterBench bench({.silence = seconds(600), .call_wait = seconds(600), .link_open = seconds(600)});
  constexpr std::size_t members = 1200;
  // In two goes, since only so many may be pending at once.
  std::vector<std::uint64_t> in;
  for (std::uint32_t group = 0; group < 2; ++group) {
    std::vector<std::uint64_t> newcomers;
    for (std::uint64_t peer = 1; peer <= members / 2; ++peer) newcomers.push_back(group * members / 2 + peer);
    for (const std::uint64_t peer : newcomers) bench.hello(peer, group);
    bench.pass(seconds(1));
    bench.call_update(in);
    bench.prepare(newcomers);
    in = newcomers;
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

TEST_CASE("so many answers are given within a second, and more in the next") {
  MasterBench bench;
  bench.found(1);
  std::uint64_t stranger = kStranger;
  for (std::uint32_t i = 0; i < limits::kStatusAnswersPerSecondMax; ++i) (void)ask(bench, stranger++);
  bench.open(stranger);
  bench.say(stranger, StatusRequest{});
  CHECK(bench.closed(stranger));
  CHECK(bench.last<Refused>(stranger).error.status == Status::refused);
  bench.pass(seconds(1));
  CHECK(ask(bench, stranger + 1).world.size == 1);
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
