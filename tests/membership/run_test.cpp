#include "membership/run_bench.hpp"

/// Whole runs: the master's machine and the peers', with their links.
namespace hawser {
namespace {

using Peers = std::vector<std::uint64_t>;

/// Members 1 to n.
void found(RunBench& bench, std::uint64_t n) {
  Peers all;
  for (std::uint64_t peer = 1; peer <= n; ++peer) {
    bench.connect(peer);
    all.push_back(peer);
  }
  bench.pass(seconds(1));
  for (const auto peer : all) REQUIRE(bench.view(peer) == all);
}

/// Members 1 and 2, and guest 3 with links to both.
void with_guest(RunBench& bench) {
  found(bench, 2);
  bench.connect(3, true);
  bench.pass(milliseconds(200));
  REQUIRE(bench.group_members(3) == Peers{1, 2});
  REQUIRE(bench.visitors(1) == Peers{3});
  REQUIRE(bench.links(3) == Peers{1, 2});
  REQUIRE(bench.links(1) == Peers{2, 3});
}

}  // namespace

TEST_CASE("the first peers start together a second after the master, with links to each other") {
  RunBench bench;
  for (const std::uint64_t peer : {1, 2, 3}) bench.connect(peer);
  bench.pass(milliseconds(999));
  CHECK(bench.view(1).empty());
  CHECK(bench.links(1) == Peers{2, 3});
  const std::size_t opened = bench.links_opened();
  bench.pass(milliseconds(1));
  CHECK(bench.view(1) == Peers{1, 2, 3});
  CHECK(bench.view(3) == Peers{1, 2, 3});
  // The links that were opened beforehand are those of the view.
  CHECK(bench.links_opened() == opened);
  CHECK(opened == 3);
  CHECK(bench.peer(2).connect_ended->status == Status::success);
}

TEST_CASE("a newcomer joins over the links that it has, and the call that admits it waits for nothing") {
  RunBench bench;
  found(bench, 2);
  bench.connect(3);
  bench.connect(4);
  bench.pass(milliseconds(200));
  CHECK(bench.machine(1).pending() == 2);
  CHECK(bench.links(3) == Peers{1, 2, 4});
  const std::size_t opened = bench.links_opened();
  bench.update({1, 2});
  CHECK(bench.view(3) == Peers{1, 2, 3, 4});
  CHECK(bench.updates(1) == 1);
  CHECK(bench.links_opened() == opened);
  CHECK(bench.machine(1).pending() == 0);
  bench.collective({1, 2, 3, 4}, 7);
  CHECK(bench.peer(3).committed.size() == 1);
}

TEST_CASE("where only one direction can be dialled the link stands all the same") {
  RunBench bench;
  found(bench, 2);
  SECTION("the newcomer cannot be dialled") { bench.forbid(1, 3); }
  SECTION("it can dial nobody") { bench.forbid(3, 1); }
  bench.connect(3);
  bench.pass(milliseconds(200));
  bench.update({1, 2});
  CHECK(bench.view(3) == Peers{1, 2, 3});
}

TEST_CASE("a newcomer that has no way to one member is refused, and nobody waits for it") {
  RunBench bench;
  found(bench, 3);
  bench.forbid(2, 4);
  bench.forbid(4, 2);
  bench.connect(4);
  bench.pass(seconds(5));
  CHECK(bench.machine(1).pending() == 0);
  bench.update({1, 2, 3});
  CHECK(bench.updates(1) == 1);
  CHECK(bench.view(1) == Peers{1, 2, 3});
  bench.pass(seconds(6));
  REQUIRE(bench.peer(4).connect_ended);
  CHECK(bench.peer(4).connect_ended->status == Status::refused);
  CHECK(bench.peer(4).connect_ended->sentence.find("p2") != std::string::npos);
  CHECK(bench.links(1) == Peers{2, 3});
  // The way is open now: it has a pause behind it, and comes in.
  bench.allow(4, 2);
  bench.connect(4);
  bench.pass(seconds(8));
  CHECK(bench.links(4).empty());
  bench.pass(seconds(2));
  CHECK(bench.machine(1).pending() == 1);
  bench.update({1, 2, 3});
  CHECK(bench.view(4) == Peers{1, 2, 3, 4});
}

TEST_CASE("two newcomers without a way to each other come in one after the other, and not both") {
  RunBench bench;
  found(bench, 2);
  bench.forbid(3, 4);
  bench.forbid(4, 3);
  bench.connect(4);
  bench.pass(milliseconds(10));
  bench.connect(3);
  bench.pass(milliseconds(200));
  CHECK(bench.machine(1).pending() == 1);
  bench.update({1, 2});
  CHECK(bench.view(1) == Peers{1, 2, 4});
  bench.pass(seconds(11));
  CHECK(bench.peer(3).connect_ended->status == Status::refused);
}

TEST_CASE("a newcomer's first update-topology ends wherever the others are") {
  RunBench bench;
  found(bench, 2);
  bench.connect(3);
  bench.pass(milliseconds(200));
  bench.update({1, 2});
  REQUIRE(bench.view(3) == Peers{1, 2, 3});
  SECTION("in their next collective") {
    const OpKey key = bench.begin(1, 7);
    bench.update({3});
    CHECK(bench.updates(3) == 0);
    // Told when it lasts.
    bench.pass(milliseconds(10));
    CHECK(bench.updates(3) == 1);
    for (const std::uint64_t peer : {2, 3}) CHECK(bench.begin(peer, 7) == key);
    for (const std::uint64_t peer : {1, 2, 3}) bench.result_whole(peer, key);
    CHECK(bench.peer(3).committed.contains(key));
  }
  SECTION("in their next update-topology") {
    bench.update({3});
    bench.update({1, 2});
    CHECK(bench.updates(3) == 1);
    CHECK(bench.updates(1) == 2);
  }
}

// ------------------------------------------------------------------------------------------ what goes wrong

TEST_CASE("a member whose connection to the master breaks is back before anybody notices") {
  RunBench bench;
  found(bench, 3);
  const OpKey key = bench.begin(2, 7);
  bench.cut(2);
  bench.result_whole(2, key);
  bench.pass(seconds(1));
  for (const std::uint64_t peer : {1, 3}) {
    bench.begin(peer, 7);
    bench.result_whole(peer, key);
  }
  for (const std::uint64_t peer : {1, 2, 3}) {
    CHECK(bench.peer(peer).committed.contains(key));
    CHECK(bench.peer(peer).views == 1);
  }
}

TEST_CASE("a member whose process dies is gone at once, since its links are refused") {
  RunBench bench;
  found(bench, 3);
  const OpKey key = bench.begin(1, 7);
  bench.kill(2);
  bench.pass(milliseconds(10));
  CHECK(bench.view(1) == Peers{1, 3});
  CHECK(bench.peer(1).aborted.at(key).status == Status::peer_lost);
}

TEST_CASE("links that break are no loss while the member's connection to the master stands") {
  RunBench bench;
  found(bench, 3);
  bench.forbid(1, 3);
  bench.forbid(3, 1);
  bench.forbid(2, 3);
  bench.forbid(3, 2);
  bench.pass(seconds(10));
  CHECK(bench.links(3).empty());
  CHECK(bench.view(1) == Peers{1, 2, 3});
  bench.cut(3);
  // It is back within 50 ms, and has said so before its links would count.
  bench.pass(seconds(1));
  CHECK(bench.view(1) == Peers{1, 2, 3});
}

TEST_CASE("members take up their run with a restarted master") {
  RunBench bench;
  found(bench, 3);
  const OpKey whole = bench.begin(1, 1);
  const OpKey partial = bench.begin(1, 2);
  for (const std::uint64_t peer : {2, 3}) {
    bench.begin(peer, 1);
    bench.begin(peer, 2);
  }
  bench.kill_master();
  for (const std::uint64_t peer : {1, 2, 3}) bench.result_whole(peer, whole);
  bench.result_whole(1, partial);
  bench.pass(seconds(3));
  bench.start_master(99);
  bench.pass(seconds(3));
  for (const std::uint64_t peer : {1, 2, 3}) {
    CHECK(bench.view(peer) == Peers{1, 2, 3});
    CHECK(bench.peer(peer).views == 2);
    CHECK(bench.peer(peer).committed == std::set<OpKey>{whole});
    CHECK(bench.peer(peer).aborted.at(partial).status == Status::master_restarted);
  }
  // Their links have stood all the while.
  CHECK(bench.links_opened() == 3);
  bench.connect(4);
  bench.pass(milliseconds(200));
  bench.update({1, 2, 3});
  CHECK(bench.view(4) == Peers{1, 2, 3, 4});
}

TEST_CASE("a call of update-topology survives the master") {
  RunBench bench;
  found(bench, 2);
  bench.update({1});
  bench.kill_master();
  bench.start_master(99);
  bench.pass(seconds(3));
  CHECK(bench.updates(1) == 0);
  bench.update({2});
  CHECK(bench.updates(1) == 1);
  CHECK(bench.updates(2) == 1);
}

// --------------------------------------------------------------------------------------------------- guests

TEST_CASE("a guest fetches while the members go on, then joins over the links that it has") {
  RunBench bench;
  with_guest(bench);
  bench.update({1, 2});
  CHECK(bench.updates(1) == 1);
  CHECK(bench.view(1) == Peers{1, 2});
  bench.pass(seconds(60));
  CHECK(bench.links(3) == Peers{1, 2});
  bench.prefetch_over(3);
  bench.pass(milliseconds(200));
  CHECK(bench.machine(1).pending() == 1);
  const std::size_t opened = bench.links_opened();
  bench.update({1, 2});
  CHECK(bench.view(3) == Peers{1, 2, 3});
  bench.pass(milliseconds(200));
  CHECK(bench.links_opened() == opened);
  CHECK(bench.group_members(3).empty());
  CHECK(bench.visitors(1).empty());
  CHECK(bench.links(1) == Peers{2, 3});
  CHECK(bench.peer(3).connect_ended->status == Status::success);
}

TEST_CASE("another newcomer joins while a guest fetches, and becomes its host") {
  RunBench bench;
  with_guest(bench);
  bench.connect(4);
  bench.pass(milliseconds(200));
  bench.update({1, 2});
  bench.pass(milliseconds(200));
  CHECK(bench.view(4) == Peers{1, 2, 4});
  CHECK(bench.group_members(3) == Peers{1, 2, 4});
  CHECK(bench.visitors(4) == Peers{3});
  CHECK(bench.links(3) == Peers{1, 2, 4});
  CHECK(bench.links(4) == Peers{1, 2, 3});
}

TEST_CASE("a guest outlives the members, and they their guest") {
  RunBench bench;
  with_guest(bench);
  SECTION("a member leaves") {
    bench.leave(1);
    bench.pass(milliseconds(200));
    CHECK(bench.group_members(3) == Peers{2});
    CHECK(bench.links(3) == Peers{2});
    CHECK(bench.links(2) == Peers{3});
    CHECK(bench.view(2) == Peers{2});
  }
  SECTION("the guest leaves") {
    bench.leave(3);
    bench.pass(milliseconds(200));
    CHECK(bench.links(1) == Peers{2});
    CHECK(bench.visitors(1).empty());
    CHECK(bench.group_members(3).empty());
    CHECK(bench.links(3).empty());
  }
  SECTION("the guest's connection to the master breaks: it stays a guest") {
    const std::size_t opened = bench.links_opened();
    bench.cut(3);
    CHECK(bench.visitors(1) == Peers{3});
    CHECK(bench.group_members(3) == Peers{1, 2});
    bench.pass(seconds(1));
    CHECK(bench.visitors(1) == Peers{3});
    CHECK(bench.links(3) == Peers{1, 2});
    CHECK(bench.links_opened() == opened);
  }
}

TEST_CASE("a guest fetches on while the master is away, and is a guest of the next one") {
  RunBench bench;
  with_guest(bench);
  const bool over = GENERATE(false, true);
  if (over) bench.prefetch_over(3);
  bench.kill_master();
  bench.pass(seconds(3));
  CHECK(bench.group_members(3) == Peers{1, 2});
  CHECK(bench.visitors(2) == Peers{3});
  CHECK(bench.links(3) == Peers{1, 2});
  bench.start_master(99);
  bench.pass(seconds(4));
  CHECK(bench.group_members(3) == Peers{1, 2});
  CHECK(bench.visitors(1) == Peers{3});
  CHECK(bench.links(3) == Peers{1, 2});
  if (!over) bench.prefetch_over(3);
  bench.pass(milliseconds(200));
  CHECK(bench.machine(1).pending() == 1);
  bench.update({1, 2});
  CHECK(bench.view(3) == Peers{1, 2, 3});
  CHECK(bench.links(3) == Peers{1, 2});
}

TEST_CASE("the peers of a new run all prefetch, find nobody, and start together") {
  RunBench bench;
  for (const std::uint64_t number : {1, 2, 3}) {
    bench.connect(number, true);
    CHECK(bench.group_members(number).empty());
    bench.prefetch_over(number);
  }
  bench.pass(seconds(1));
  CHECK(bench.view(3) == Peers{1, 2, 3});
  CHECK(bench.links(2) == Peers{1, 3});
}

}  // namespace hawser
