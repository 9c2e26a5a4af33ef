#include "catch.hpp"
#include "membership/master_bench.hpp"
#include "membership/peer_bench.hpp"
#include "membership/run_bench.hpp"

using namespace hawser;

namespace {

LinkRow row_of(std::uint64_t rate, std::size_t members) {
  return {.bytes_per_second = std::vector<std::uint64_t>(members, rate),
          .delay_ns = std::vector<std::uint64_t>(members, 5),
          .uplink_bytes_per_second = 2 * rate,
          .downlink_bytes_per_second = 3 * rate};
}

void measure(MasterBench& bench, std::uint64_t peer, std::uint64_t rate) {
  bench.say(peer, Measured{.view = bench.view(peer).id, .row = row_of(rate, bench.view(peer).size())});
}

void commit(MasterBench& bench, const std::vector<std::uint64_t>& peers, std::uint64_t tag, std::uint64_t sequence) {
  const OpKey key = bench.key(peers.front(), tag, sequence);
  for (const auto peer : peers) bench.report(peer, key);
}

}  // namespace

TEST_CASE("what members measure is told to all before the commit that names it") {
  MasterBench bench;
  bench.found(2);
  commit(bench, {1, 2}, 7, 0);
  CHECK(bench.last<Committed>(1).measures == 0);
  measure(bench, 1, 100);
  CHECK(bench.count<Measures>(1) == 0);
  commit(bench, {1, 2}, 7, 1);
  for (const std::uint64_t peer : {1, 2}) {
    REQUIRE(bench.count<Measures>(peer) == 1);
    const Measures& told = bench.last<Measures>(peer);
    CHECK(told.version == 1);
    CHECK(told.view == bench.view(peer).id);
    REQUIRE(told.rows.size() == 2);
    CHECK(told.rows[0] == row_of(100, 2));
    CHECK(told.rows[1] == LinkRow{});
    CHECK(bench.last<Committed>(peer).measures == 1);
  }
}

TEST_CASE("measures are published now and then, and only if there are new ones") {
  MasterBench bench;
  bench.found(2);
  measure(bench, 1, 100);
  commit(bench, {1, 2}, 0, 0);
  measure(bench, 2, 50);
  commit(bench, {1, 2}, 0, 1);
  CHECK(bench.last<Committed>(1).measures == 1);
  bench.pass(milliseconds(200));
  commit(bench, {1, 2}, 0, 2);
  CHECK(bench.last<Committed>(1).measures == 2);
  CHECK(bench.last<Measures>(1).rows[1] == row_of(50, 2));
  bench.pass(seconds(3));
  commit(bench, {1, 2}, 0, 3);
  CHECK(bench.last<Committed>(1).measures == 2);
}

TEST_CASE("a new view knows nothing until its first commit, and then what its members had measured before") {
  MasterBench bench;
  bench.found(3);
  measure(bench, 1, 100);
  measure(bench, 3, 300);
  commit(bench, {1, 2, 3}, 0, 0);
  bench.say(2, Leave{});
  commit(bench, {1, 3}, 0, 0);
  const Measures& told = bench.last<Measures>(1);
  CHECK(told.view == bench.view(1).id);
  CHECK(told.version == 1);
  REQUIRE(told.rows.size() == 2);
  CHECK(told.rows[0] == row_of(100, 2));
  CHECK(told.rows[1] == row_of(300, 2));
}

TEST_CASE("measures of another view, or of another size, are none") {
  MasterBench bench;
  bench.found(2);
  bench.say(1, Measured{.view = {1234}, .row = row_of(9, 2)});
  bench.say(1, Measured{.view = bench.view(1).id, .row = row_of(9, 3)});
  commit(bench, {1, 2}, 0, 0);
  CHECK(bench.count<Measures>(1) == 0);
}

TEST_CASE("a member that comes back is told what was published, and what its commits named") {
  MasterBench bench;
  bench.found(2);
  measure(bench, 1, 100);
  commit(bench, {1, 2}, 0, 0);
  const OpKey key = bench.key(2, 0, 1);
  bench.report(1, key);
  bench.report(2, key);
  const std::size_t told = bench.count<Measures>(2);
  bench.resume(2, {.undecided = {bench.undecided(key, true)}, .committed = {}});
  CHECK(bench.count<Measures>(2) == told + 1);
  CHECK(bench.last<Committed>(2).key == key);
  CHECK(bench.last<Committed>(2).measures == 1);
}

TEST_CASE("an update-topology brings all tags to one version") {
  MasterBench bench;
  bench.found(2);
  measure(bench, 1, 100);
  commit(bench, {1, 2}, 5, 0);
  bench.call_update({1, 2});
  CHECK(bench.last<UpdateDone>(1).measures == 1);
  CHECK(bench.last<UpdateDone>(2).measures == 1);
}

TEST_CASE("members plan the next collective of a tag from what the commit of the last one named") {
  RunBench bench;
  bench.start_master(1);
  bench.connect(1);
  bench.connect(2);
  bench.pass(MasterConfig{}.bootstrap);
  const auto version = [&](std::uint64_t peer, std::uint64_t tag) {
    return bench.peer(peer).machine.plan_basis(tag).version;
  };
  bench.collective({1, 2}, 7);
  CHECK(version(1, 7) == 0);
  bench.measured(1, row_of(100, 2));
  CHECK(version(1, 7) == 0);
  bench.collective({1, 2}, 7);
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(version(peer, 7) == 1);
    REQUIRE(bench.peer(peer).machine.plan_basis(7).measures != nullptr);
    CHECK(bench.peer(peer).machine.plan_basis(7).measures->rows[0] == row_of(100, 2));
    // Others have not been told at a moment that is the same for all.
    CHECK(version(peer, 8) == 0);
  }
  // The first one is over before, and admits nobody.
  bench.update({1, 2});
  for (const std::uint64_t peer : {1, 2}) CHECK(version(peer, 8) == 0);
  bench.update({1, 2});
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(version(peer, 7) == 1);
    CHECK(version(peer, 8) == 1);
  }
  // A new view begins with what its members have measured of each other before.
  bench.connect(3);
  bench.pass(seconds(1));
  bench.update({1, 2});
  for (const std::uint64_t peer : {1, 2, 3}) {
    CHECK(version(peer, 7) == 1);
    const auto measures = bench.peer(peer).machine.plan_basis(8).measures;
    REQUIRE(measures != nullptr);
    CHECK(measures->rows[0].bytes_per_second == std::vector<std::uint64_t>{100, 100, 0});
  }
}

TEST_CASE("what an optimize-topology has measured is told with its commit, however short ago the last was") {
  MasterBench bench;
  bench.found(2);
  measure(bench, 1, 100);
  commit(bench, {1, 2}, 0, 0);
  REQUIRE(bench.last<Measures>(1).version == 1);
  LinkRow row = row_of(200, 2);
  row.probed = {1};
  row.lower_bounds = {1};
  bench.say(1, Measured{.view = bench.view(1).id, .row = row});
  const Signature optimize{.collective = Collective::optimize, .type = DataType::uint8, .count = 1 << 20};
  const OpKey key = bench.key(1, 99, 0);
  for (const std::uint64_t peer : {1, 2}) bench.say(peer, Report{.key = key, .signature = optimize});
  CHECK(bench.last<Measures>(2).version == 2);
  CHECK(bench.last<Measures>(2).rows[0] == row);
  CHECK(bench.last<Committed>(2).measures == 2);
}

TEST_CASE("an optimize-topology beside another collective is a mismatch, as soon as all were heard") {
  MasterBench bench;
  bench.found(2);
  const Signature optimize{.collective = Collective::optimize, .type = DataType::uint8, .count = 1 << 20};
  bench.say(1, Begun{.key = bench.key(1, 99, 0), .signature = optimize});
  bench.say(2, Begun{.key = bench.key(2, 3, 0), .signature = {.count = 10}});
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(bench.last<StartView>(peer).cause.status == Status::mismatch);
    CHECK(bench.last<StartView>(peer).cause.sentence.find("optimize-topology") != std::string::npos);
  }
}

TEST_CASE("after an optimize-topology the next collectives of all tags are planned from what its commit named") {
  RunBench bench;
  bench.start_master(1);
  bench.connect(1);
  bench.connect(2);
  bench.pass(MasterConfig{}.bootstrap);
  bench.measured(1, row_of(100, 2));
  bench.collective({1, 2}, 7);
  bench.measured(2, row_of(200, 2));
  const Signature optimize{.collective = Collective::optimize, .type = DataType::uint8, .count = 1 << 20};
  bench.collective({1, 2}, 99, optimize);
  for (const std::uint64_t peer : {1, 2})
    for (const std::uint64_t tag : {7, 8, 99}) {
      const PlanBasis& basis = bench.peer(peer).machine.plan_basis(tag);
      CHECK(basis.version == 2);
      REQUIRE(basis.measures != nullptr);
      CHECK(basis.measures->rows[1] == row_of(200, 2));
    }
}

TEST_CASE("ways that members do not have are told with what they measured, by peers who are in the view") {
  MasterBench bench;
  bench.found(3);
  LinkRow row = row_of(100, 3);
  row.detours = {{.to = 1, .by = 2}};
  bench.say(1, Measured{.view = bench.view(1).id, .row = row});
  commit(bench, {1, 2, 3}, 0, 0);
  CHECK(bench.last<Measures>(2).rows[0].detours == row.detours);
  // The next view begins with it; its go-between is gone.
  bench.say(3, Leave{});
  const StartView& start = bench.last<StartView>(1);
  CHECK(start.measures == 1);
  const Measures& told = bench.last<Measures>(1);
  CHECK(told.view == start.id);
  CHECK(told.version == 1);
  CHECK(told.rows[0].detours == std::vector<LinkDetour>{{.to = 1, .by = LinkDetour::kByAnyone}});
  commit(bench, {1, 2}, 0, 0);
  CHECK(bench.last<Committed>(1).measures == 1);
  // The way is back.
  row = row_of(100, 2);
  bench.say(1, Measured{.view = bench.view(1).id, .row = row});
  commit(bench, {1, 2}, 0, 1);
  CHECK(bench.last<Committed>(1).measures == 2);
  CHECK(bench.last<Measures>(1).rows[0].detours.empty());
}

TEST_CASE("a view begins with what its members have measured before, a large one with nothing") {
  MasterBench bench;
  const std::uint64_t size = GENERATE(3, 18);
  bench.found(size);
  measure(bench, 1, 100);
  Peers all;
  for (std::uint64_t peer = 1; peer <= size; ++peer) all.push_back(peer);
  commit(bench, all, 0, 0);
  bench.say(size, Leave{});
  CHECK(bench.last<StartView>(1).measures == (size == 3 ? 1 : 0));
  CHECK(bench.count<Measures>(2) == (size == 3 ? 2u : 1u));
}

TEST_CASE("the first view of a run begins with the delays that handshakes have shown, if they matter") {
  const std::uint32_t delay_us = GENERATE(0, 400, 40'000);
  MasterBench bench;
  for (const std::uint64_t peer : {1, 2}) bench.hello(peer);
  for (const std::uint64_t peer : {1, 2}) {
    Linked linked{.all = true, .up = {MasterBench::id(3 - peer)}};
    if (delay_us != 0) linked.delays_us = {delay_us};
    bench.say(peer, linked);
  }
  bench.pass(MasterConfig{}.bootstrap);
  const bool matters = delay_us >= 1000;
  REQUIRE(bench.members(1) == Peers{1, 2});
  CHECK(bench.last<StartView>(1).measures == (matters ? 1 : 0));
  REQUIRE(bench.count<Measures>(2) == (matters ? 1u : 0u));
  if (!matters) return;
  CHECK(bench.last<Measures>(2).rows[0].delay_ns == std::vector<std::uint64_t>{0, 40'000'000});
  CHECK(bench.last<Measures>(2).rows[1].bytes_per_second == std::vector<std::uint64_t>{0, 0});
}

TEST_CASE("members plan from what came with their view, and from nothing that came for another one") {
  PeerBench bench;
  const auto begin = [&](std::uint64_t epoch) {
    const View view = PeerBench::view(epoch, {2, 5});
    bench.say(StartView{.epoch = view.epoch,
                        .id = view.id,
                        .link_secret = view.link_secret,
                        .members = whole_list(view.members),
                        .fingerprint = fingerprint(view),
                        .measures = 1});
    return view.id;
  };
  bench.connect();
  bench.say(Measures{.view = PeerBench::view(1, {2, 5}).id, .version = 1, .rows = {LinkRow{}, LinkRow{}}});
  const ViewId first = begin(1);
  CHECK(bench.machine.plan_basis(0).version == 1);
  REQUIRE(bench.machine.plan_basis(0).measures != nullptr);
  CHECK(bench.machine.plan_basis(0).measures->view == first);
  bench.say(Measures{.view = {7}, .version = 1, .rows = {LinkRow{}, LinkRow{}}});
  begin(2);
  // Nobody else plans from that.
  CHECK(bench.machine.plan_basis(0).measures == nullptr);
  CHECK(bench.machine.plan_basis(0).version != 1);
}
