#include "membership/run_bench.hpp"

/// Whole runs whose words and links come one by one, in an order drawn at random, while connections to the master break
/// and the master stands still.
namespace hawser {
namespace {

using Peers = std::vector<std::uint64_t>;

class Chaos {
 public:
  Chaos(std::uint64_t seed, std::uint64_t members, bool master_sleeps)
      : random(seed), bench(config(), seed), master_sleeps_(master_sleeps) {
    for (std::uint64_t peer = 1; peer <= members; ++peer) {
      bench.connect(peer);
      all.push_back(peer);
    }
    bench.pass(seconds(1));
    for (const auto peer : all) REQUIRE(bench.view(peer) == all);
    bench.hold(true);
  }

  /// One thing happens: mostly a word or a link, now and then time or a break.
  void step() {
    if (random.chance(1, 40)) bench.cut(all[random.below(all.size())]);
    if (random.chance(1, 80) && all.size() > 1) {
      const std::uint64_t a = all[random.below(all.size())];
      const std::uint64_t b = all[random.below(all.size())];
      if (a != b) bench.cut_link(a, b);
    }
    if (master_sleeps_ && bench.now > awake_since_ + seconds(5) && random.chance(1, 50)) sleep();
    if (random.chance(1, 5) || !bench.deliver(random)) bench.pass(milliseconds(random.below(20)));
  }
  /// Until it is true; all breaks end some time.
  template <class Condition>
  void run_until(const Condition& condition) {
    for (int steps = 0; steps < 20000; ++steps) {
      if (condition()) return;
      step();
    }
    FAIL("it did not come to an end");
  }

  Random random;
  RunBench bench;
  Peers all;

 private:
  static MasterConfig config() { return {.silence = seconds(5), .call_wait = seconds(3600), .link_open = seconds(20)}; }
  /// Others find it silent meanwhile, and dial anew.
  void sleep() {
    bench.sleep_master();
    const Instant until = bench.now + milliseconds(2000 + random.below(13000));
    while (bench.now < until)
      if (random.chance(1, 3) || !bench.deliver(random)) bench.pass(milliseconds(random.below(500)));
    bench.wake_master();
    awake_since_ = bench.now;
  }

  bool master_sleeps_;
  Instant awake_since_{};
};

void check_nobody_lost(Chaos& chaos, std::size_t views) {
  for (const auto peer : chaos.all) {
    REQUIRE(chaos.bench.machine(peer).phase() == PeerMachine::Phase::member);
    REQUIRE(chaos.bench.view(peer) == chaos.all);
    REQUIRE(chaos.bench.peer(peer).views == views);
    REQUIRE(chaos.bench.peer(peer).aborted.empty());
  }
}

/// Members call collectives and update-topology, all the same, each in its time.
void play(std::uint64_t seed, bool master_sleeps) {
  INFO("seed " << seed);
  Chaos chaos(seed, 2 + seed % 3, master_sleeps);
  Random& random = chaos.random;
  RunBench& bench = chaos.bench;
  std::size_t updates = 0;
  std::size_t committed = 0;
  for (int round = 0; round < 4; ++round) {
    if (random.chance(1, 3)) {
      Peers to_call = chaos.all;
      ++updates;
      chaos.run_until([&] {
        if (!to_call.empty() && random.chance(1, 10)) {
          bench.update({to_call.back()});
          to_call.pop_back();
        }
        return std::all_of(chaos.all.begin(), chaos.all.end(),
                           [&](std::uint64_t peer) { return bench.updates(peer) == updates; });
      });
      for (const auto peer : chaos.all) REQUIRE(bench.peer(peer).updates.size() == updates);
      continue;
    }
    // Several at one time, begun and ended in any order.
    const std::uint64_t tags = 1 + random.below(3);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> to_begin;
    std::vector<std::pair<std::uint64_t, OpKey>> to_end;
    for (const auto peer : chaos.all)
      for (std::uint64_t tag = 0; tag < tags; ++tag) to_begin.emplace_back(peer, tag);
    committed += tags;
    chaos.run_until([&] {
      if (!to_begin.empty() && random.chance(1, 8)) {
        std::swap(to_begin.back(), to_begin[random.below(to_begin.size())]);
        const auto [peer, tag] = to_begin.back();
        to_begin.pop_back();
        to_end.emplace_back(peer, bench.begin(peer, tag));
      } else if (!to_end.empty() && random.chance(1, 8)) {
        std::swap(to_end.back(), to_end[random.below(to_end.size())]);
        const auto [peer, key] = to_end.back();
        to_end.pop_back();
        bench.result_whole(peer, key);
      }
      return std::all_of(chaos.all.begin(), chaos.all.end(),
                         [&](std::uint64_t peer) { return bench.peer(peer).committed.size() == committed; });
    });
  }
  check_nobody_lost(chaos, 1);
}

}  // namespace

TEST_CASE("wherever connections to the master and links break, calls end as if they had not") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) play(seed, false);
}

TEST_CASE("wherever a master stands still for 2 to 15 s, nobody is lost and calls end as if it had not") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) play(seed, true);
}

TEST_CASE("newcomers come in wherever connections break") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    Chaos chaos(seed, 2, seed % 2 == 0);
    RunBench& bench = chaos.bench;
    const Peers before = chaos.all;
    for (std::uint64_t peer = 3; peer <= 5; ++peer) {
      bench.connect(peer, chaos.random.chance(1, 3));
      chaos.all.push_back(peer);
    }
    std::size_t calls = 0;
    std::map<std::uint64_t, std::size_t> called;
    const auto is_member = [&](std::uint64_t peer) {
      return bench.machine(peer).phase() == PeerMachine::Phase::member;
    };
    chaos.run_until([&] {
      for (std::uint64_t peer = 3; peer <= 5; ++peer)
        if (chaos.random.chance(1, 50)) bench.prefetch_over(peer);
      // Whoever is a member calls update-topology again and again, as training does; a newcomer begins with it.
      for (const auto peer : chaos.all)
        if (is_member(peer) && !bench.machine(peer).in_update() && chaos.random.chance(1, 20)) {
          bench.update({peer});
          ++calls;
        }
      return std::all_of(chaos.all.begin(), chaos.all.end(),
                         [&](std::uint64_t peer) { return is_member(peer) && bench.view(peer).size() == 5; });
    });
    for (const auto peer : chaos.all) {
      REQUIRE(bench.machine(peer).view() == bench.machine(1).view());
      for (const Error& error : bench.peer(peer).updates) REQUIRE(error.status == Status::success);
    }
    CHECK(calls >= 2);
  }
}

TEST_CASE("whenever a master dies and another one comes, members agree on what was committed") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Chaos chaos(seed, 2 + seed % 3, false);
    RunBench& bench = chaos.bench;
    Random& random = chaos.random;
    for (std::uint64_t incarnation = 1; incarnation <= 3; ++incarnation) {
      std::set<OpKey> keys;
      std::vector<std::pair<std::uint64_t, OpKey>> begun;
      for (const auto peer : chaos.all)
        for (std::uint64_t tag = 0; tag < 3; ++tag) {
          begun.emplace_back(peer, bench.begin(peer, tag));
          keys.insert(begun.back().second);
        }
      for (std::uint64_t steps = random.below(200); steps > 0; --steps) {
        if (!begun.empty() && random.chance(1, 4)) {
          std::swap(begun.back(), begun[random.below(begun.size())]);
          bench.result_whole(begun.back().first, begun.back().second);
          begun.pop_back();
        }
        chaos.step();
      }
      bench.kill_master();
      for (std::uint64_t steps = random.below(20); steps > 0; --steps) chaos.step();
      bench.start_master(seed * 1000 + incarnation);
      const std::uint64_t epoch = incarnation + 1;
      chaos.run_until([&] {
        return std::all_of(chaos.all.begin(), chaos.all.end(), [&](std::uint64_t peer) {
          return bench.machine(peer).view().epoch.value == epoch && !bench.machine(peer).has_ops();
        });
      });
      for (const OpKey& key : keys) {
        const bool first = bench.peer(1).committed.contains(key);
        for (const auto peer : chaos.all) {
          REQUIRE(bench.peer(peer).committed.contains(key) == first);
          REQUIRE(bench.peer(peer).aborted.contains(key) != first);
        }
      }
      for (const auto peer : chaos.all) REQUIRE(bench.view(peer) == chaos.all);
    }
  }
}

TEST_CASE("whoever dies, and however often the master does, those who go on together agree on what was committed") {
  std::size_t together = 0;
  std::size_t committed = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Chaos chaos(seed, 3 + seed % 3, false);
    RunBench& bench = chaos.bench;
    Random& random = chaos.random;
    Peers& living = chaos.all;
    const auto is_member = [&](std::uint64_t peer) {
      return bench.machine(peer).phase() == PeerMachine::Phase::member;
    };
    std::map<std::uint64_t, std::vector<OpKey>> begun;
    bool has_master = true;
    for (std::uint64_t steps = 0; steps < 3000; ++steps) {
      const std::uint64_t peer = living[random.below(living.size())];
      if (random.chance(1, 15) && is_member(peer) && bench.view(peer).size() > 1 && begun[peer].size() < 200)
        begun[peer].push_back(bench.begin(peer, random.below(3)));
      if (random.chance(1, 8))
        for (const OpKey& key : begun[peer])
          if (bench.is_open(peer, key) && random.chance(1, 2) && bench.all_begun(key)) bench.result_whole(peer, key);
      if (random.chance(1, 500) && living.size() > 2) {
        std::erase(living, peer);
        bench.kill(peer);
      }
      if (random.chance(1, 300)) {
        if (has_master) bench.kill_master();
        has_master = !has_master;
        if (has_master) bench.start_master(seed * 1000 + steps);
      }
      chaos.step();
    }
    if (!has_master) bench.start_master(seed);
    bench.hold(false);
    bench.pass(seconds(30));
    for (const auto a : living)
      for (const auto b : living) {
        if (a >= b || !is_member(a) || !is_member(b) || bench.view(a) != bench.view(b)) continue;
        ++together;
        for (const OpKey& key : begun[a]) {
          const bool b_began = std::find(begun[b].begin(), begun[b].end(), key) != begun[b].end();
          REQUIRE(bench.peer(a).committed.contains(key) == (b_began && bench.peer(b).committed.contains(key)));
          committed += bench.peer(a).committed.contains(key) ? 1 : 0;
        }
      }
  }
  CHECK(together > 200);
  CHECK(committed > 1000);
}

}  // namespace hawser
