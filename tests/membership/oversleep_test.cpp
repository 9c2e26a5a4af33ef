#include <deque>

#include "base/random.hpp"
#include "membership/master_bench.hpp"

/// A master that itself stood still: swapped, stopped, suspended. What came meanwhile waits to be read, in any order.
namespace hawser {

TEST_CASE("a silent member is lost and told why when it comes back") {
  MasterBench bench;
  bench.found(2);
  bench.pass_alive(seconds(4), {1});
  bench.pass(seconds(1));
  CHECK(bench.members(1) == Peers{1});
  CHECK(bench.last<Expelled>(2).error.status == Status::expelled);
  const Resume late = bench.memory(2);
  bench.open(2);
  bench.say(2, late);
  CHECK(bench.count<Expelled>(2) == 2);
  CHECK(bench.closed(2));
}

TEST_CASE("however many fall silent at one moment, the rest gets one new view") {
  MasterBench bench;
  bench.found(6);
  const OpKey key = bench.key(1);
  bench.pass(seconds(3));
  for (const std::uint64_t peer : {1, 2}) bench.report(peer, key);
  for (const std::uint64_t peer : {3, 4, 5, 6}) bench.begun(peer, key);
  bench.pass(seconds(1));
  for (const std::uint64_t peer : {1, 2}) bench.say(peer, Ping{});
  bench.pass(seconds(4));
  CHECK(bench.count<StartView>(1) == 2);
  CHECK(bench.members(1) == Peers{1, 2});
  // Both survivors had reported.
  CHECK(bench.last<Committed>(2).key == key);
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
  CHECK(bench.members(1) == Peers{1, 2});
  CHECK(bench.count<StartView>(1) == 1);
}

TEST_CASE("a master that stood still when a member's time was over first reads whether that is back") {
  MasterBench bench;
  bench.found(3);
  bench.close(3);
  for (const std::uint64_t peer : {1, 2}) bench.link_down(peer, {3});
  // Longer than links take to be repaired, and shorter than what is seen as sleep.
  bench.sleep(milliseconds(1000));
  bench.pass(milliseconds(50));
  CHECK(bench.members(1) == Peers{1, 2, 3});
  SECTION("it is") {
    bench.resume(3);
    bench.pass(milliseconds(100));
    CHECK(bench.members(1) == Peers{1, 2, 3});
  }
  SECTION("it is not") {
    bench.pass(milliseconds(50));
    CHECK(bench.members(1) == Peers{1, 2});
  }
}

TEST_CASE("a master that stands still for a moment again and again blames nobody either") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3});
  for (int i = 0; i < 20; ++i) {
    // Longer than it may take from one step to the next, and shorter than what counts as sleep.
    bench.sleep(milliseconds(2400));
    bench.pass(Duration::zero());
    if (i % 3 == 0)
      for (const std::uint64_t peer : {1, 2, 3}) bench.say(peer, Ping{});
  }
  CHECK(bench.members(1) == Peers{1, 2});
  CHECK_FALSE(bench.closed(3));
}

TEST_CASE("all bounds of who is away, of newcomers and of calls begin anew after a sleep") {
  MasterBench bench({.silence = seconds(60), .call_wait = seconds(30)});
  bench.found(3);
  bench.hello(9);
  bench.link(9, 1);
  SECTION("a member is away") {
    bench.close(3);
    bench.sleep(seconds(100));
    bench.pass(seconds(4));
    CHECK(bench.members(1).size() == 3);
    bench.resume(3);
    CHECK(bench.members(1).size() == 3);
  }
  SECTION("one that is back has not told what it knows") {
    const Resume memory = bench.memory(3);
    bench.open(3);
    bench.say(3, memory);
    bench.sleep(seconds(100));
    bench.pass(seconds(4));
    CHECK(bench.members(1).size() == 3);
  }
  SECTION("a newcomer lacks links") {
    bench.sleep(seconds(100));
    bench.pass(seconds(9));
    CHECK_FALSE(bench.closed(9));
    bench.pass(seconds(1));
    CHECK(bench.closed(9));
  }
  SECTION("a call lasts") {
    bench.begun(1, bench.key(1));
    bench.sleep(seconds(100));
    bench.pass(seconds(29));
    CHECK(bench.count<StartView>(1) == 1);
    bench.pass(seconds(1));
    CHECK(bench.last<StartView>(1).cause.status == Status::timeout);
  }
  SECTION("an update-topology lasts") {
    bench.say(1, UpdateCall{});
    bench.sleep(seconds(100));
    bench.pass(seconds(29));
    CHECK(bench.count<UpdateDone>(1) == 0);
    bench.pass(seconds(1));
    CHECK(bench.last<UpdateDone>(1).error.status == Status::timeout);
  }
}

TEST_CASE("a run is taken up by a restarted master that stands still") {
  MasterBench before;
  before.found(3);
  MasterBench after({}, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  after.sleep(seconds(100));
  after.pass(seconds(1));
  CHECK(after.count<Expelled>(1) == 0);
  CHECK(after.count<StartView>(1) == 0);
  after.come_back(before, 3);
  after.pass(seconds(1));
  after.present_outcomes({1, 2, 3});
  CHECK(after.members(1) == Peers{1, 2, 3});
}

namespace {

/// What one member has said over one connection while nobody read it, from its opening to its end.
struct Unread {
  std::uint64_t peer = 0;
  std::deque<std::optional<PeerMessage>> words;  ///< None: the connection ends.
  std::optional<ConnectionId> connection;        ///< Once it is open.
};

}  // namespace

TEST_CASE("a master wakes to stale connections and several new ones of each member, in any order, and loses nobody") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    MasterBench bench({}, seed);
    const std::uint64_t members = 1 + random.below(4);
    bench.found(members);
    const OpKey key = bench.key(1);
    Peers all;
    std::map<std::uint64_t, ConnectionId> stale;
    for (std::uint64_t peer = 1; peer <= members; ++peer) {
      all.push_back(peer);
      stale[peer] = bench.newest(peer);
      if (random.chance(1, 2)) bench.begun(peer, key);
    }
    bench.sleep(milliseconds(2000 + random.below(13000)));
    // Each has given up some connections over which nothing was answered, and waits on the last.
    std::vector<Unread> unread;
    std::map<std::uint64_t, std::uint64_t> connections;
    for (const auto peer : all) {
      const std::uint64_t tries = random.below(5);
      Unread old{.peer = peer, .words = {}, .connection = stale.at(peer)};
      if (random.chance(1, 2)) old.words.emplace_back(Ping{});
      if (random.chance(1, 2)) old.words.emplace_back(Report{.key = key, .signature = {.count = 10}});
      if (tries > 0) old.words.emplace_back(std::nullopt);
      unread.push_back(std::move(old));
      connections[peer] = tries;
      for (std::uint64_t i = 1; i <= tries; ++i) {
        Resume resume = bench.memory(peer);
        resume.who.connection = 1 + i;
        Unread one{.peer = peer, .words = {}, .connection = {}};
        one.words.emplace_back(resume);
        if (random.chance(1, 3)) one.words.emplace_back(Ping{});
        if (i < tries) one.words.emplace_back(std::nullopt);
        unread.push_back(std::move(one));
      }
    }
    // The bench takes the connection that was opened last for the one that its peer listens on, so these come in order
    // of their opening; what was said over them is read in any order.
    bench.pass(Duration::zero());
    for (Unread& one : unread)
      if (!one.connection) {
        bench.open(one.peer);
        one.connection = bench.newest(one.peer);
      }
    while (!unread.empty()) {
      const auto at = unread.begin() + static_cast<std::ptrdiff_t>(random.below(unread.size()));
      if (at->words.empty()) {
        unread.erase(at);
        continue;
      }
      const auto word = std::move(at->words.front());
      at->words.pop_front();
      if (!word)
        bench.close_connection(*at->connection);
      else
        bench.say_on(*at->connection, *word);
      if (random.chance(1, 4)) bench.pass(milliseconds(random.below(50)));
    }
    for (const auto peer : all) {
      REQUIRE_FALSE(bench.closed(peer));
      if (connections[peer] == 0) continue;
      REQUIRE(bench.count<Present>(peer) >= 1);
      bench.say(peer, OutcomesPresented{.undecided = {bench.undecided(key, true)}, .committed = {}});
    }
    for (const auto peer : all) bench.report(peer, key);
    bench.pass_alive(seconds(10), all);
    for (const auto peer : all) {
      REQUIRE(bench.members(peer) == all);
      REQUIRE(bench.count<StartView>(peer) == 1);
      REQUIRE(bench.count<Committed>(peer) == 1);
    }
  }
}

}  // namespace hawser
