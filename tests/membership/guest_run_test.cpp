#include "run_bench.hpp"

namespace hawser {
namespace {

using Peers = std::vector<std::uint64_t>;

/// Members 1 and 2, and guest 3 with links to both.
void with_guest(RunBench& bench) {
  bench.connect(1);
  bench.connect(2);
  bench.pass(seconds(1));
  REQUIRE(bench.view(1) == Peers{1, 2});
  bench.connect(3, true);
  REQUIRE(bench.hosts(3) == Peers{1, 2});
  REQUIRE(bench.guests(1) == Peers{3});
  REQUIRE(bench.links(3) == Peers{1, 2});
  REQUIRE(bench.links(1) == Peers{2, 3});
}

}  // namespace

TEST_CASE("a guest fetches while the members go on, then joins over the links that it has") {
  RunBench bench;
  with_guest(bench);
  bench.update({1, 2});
  CHECK(bench.peer(1).updates == 1);
  CHECK(bench.view(1) == Peers{1, 2});
  bench.pass(seconds(60));
  CHECK(bench.links(3) == Peers{1, 2});
  bench.prefetch_over(3);
  CHECK(bench.peer(1).machine.pending() == 1);
  CHECK(bench.links(3) == Peers{1, 2});
  const std::size_t opened = bench.links_opened();
  bench.update({1, 2});
  CHECK(bench.view(3) == Peers{1, 2, 3});
  CHECK(bench.view(1) == Peers{1, 2, 3});
  CHECK(bench.links_opened() == opened);
  CHECK(bench.hosts(3).empty());
  CHECK(bench.guests(1).empty());
  CHECK(bench.links(1) == Peers{2, 3});
  CHECK(bench.peer(3).connect_ended->status == Status::success);
}

TEST_CASE("another newcomer joins while a guest fetches, and becomes its host") {
  RunBench bench;
  with_guest(bench);
  bench.connect(4);
  bench.update({1, 2});
  CHECK(bench.view(4) == Peers{1, 2, 4});
  CHECK(bench.hosts(3) == Peers{1, 2, 4});
  CHECK(bench.guests(4) == Peers{3});
  CHECK(bench.links(3) == Peers{1, 2, 4});
  CHECK(bench.links(4) == Peers{1, 2, 3});
}

TEST_CASE("two guests have no link to each other before they are admitted") {
  RunBench bench;
  with_guest(bench);
  bench.connect(4, true);
  CHECK(bench.links(4) == Peers{1, 2});
  bench.prefetch_over(4);
  bench.prefetch_over(3);
  bench.update({1, 2});
  CHECK(bench.view(3) == Peers{1, 2, 4, 3});
  CHECK(bench.links(3) == Peers{1, 2, 4});
}

TEST_CASE("a guest outlives its hosts, and the members their guest") {
  RunBench bench;
  with_guest(bench);
  SECTION("a member leaves") {
    bench.leave(1);
    CHECK(bench.hosts(3) == Peers{2});
    CHECK(bench.links(3) == Peers{2});
    CHECK(bench.links(2) == Peers{3});
    CHECK(bench.view(2) == Peers{2});
  }
  SECTION("the guest leaves") {
    bench.leave(3);
    CHECK(bench.links(1) == Peers{2});
    CHECK(bench.guests(1).empty());
    CHECK(bench.hosts(3).empty());
    CHECK(bench.links(3).empty());
  }
  SECTION("the guest's connection to the master breaks: it is back as a guest") {
    bench.cut(3);
    CHECK(bench.guests(1).empty());
    CHECK(bench.hosts(3) == Peers{1, 2});
    bench.pass(seconds(1));
    CHECK(bench.guests(1) == Peers{3});
    CHECK(bench.links(3) == Peers{1, 2});
  }
}

TEST_CASE("a guest fetches on while the master is away, and is a guest of the next one") {
  RunBench bench;
  with_guest(bench);
  const bool over = GENERATE(false, true);
  if (over) bench.prefetch_over(3);
  bench.kill_master();
  bench.pass(seconds(3));
  CHECK(bench.hosts(3) == Peers{1, 2});
  CHECK(bench.guests(2) == Peers{3});
  CHECK(bench.links(3) == Peers{1, 2});
  bench.start_master(99);
  bench.pass(seconds(2));
  CHECK(bench.hosts(3) == Peers{1, 2});
  CHECK(bench.guests(1) == Peers{3});
  CHECK(bench.links(3) == Peers{1, 2});
  if (!over) bench.prefetch_over(3);
  CHECK(bench.peer(1).machine.pending() == 1);
  bench.update({1, 2});
  CHECK(bench.view(3) == Peers{1, 2, 3});
  CHECK(bench.links(3) == Peers{1, 2});
}

TEST_CASE("the peers of a new run all prefetch, find nobody, and start together") {
  RunBench bench;
  for (const std::uint64_t number : {1, 2, 3}) {
    bench.connect(number, true);
    CHECK(bench.hosts(number).empty());
    bench.prefetch_over(number);
  }
  bench.pass(seconds(1));
  CHECK(bench.view(3) == Peers{1, 2, 3});
  CHECK(bench.links(2) == Peers{1, 3});
}

}  // namespace hawser
