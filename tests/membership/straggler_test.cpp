#include <algorithm>
#include <set>

#include "base/random.hpp"
#include "catch.hpp"
#include "membership/master_bench.hpp"
#include "membership/straggler.hpp"

using namespace hawser;

namespace {

using SlowByRank = std::map<std::uint32_t, std::vector<SlowLink>>;

SlowLinks links_of(const SlowByRank& told) {
  SlowLinks links;
  for (const auto& [sender, slow] : told) links.tell({}, sender, slow);
  return links;
}

std::optional<std::uint32_t> found(const SlowByRank& told) {
  const auto straggler = links_of(told).straggler();
  return straggler ? std::optional(straggler->rank) : std::nullopt;
}

void slow(SlowByRank& told, std::uint32_t from, std::uint32_t to, std::uint32_t percent = 10) {
  told[from].push_back({.to = to, .percent = percent});
}

/// The rule as it is told, by a look at all links.
std::optional<std::uint32_t> by_the_rule(const SlowByRank& told) {
  std::map<std::uint32_t, std::multiset<std::uint32_t>> ends;
  std::size_t all = 0;
  for (const auto& [from, links] : told)
    for (const SlowLink& link : links) {
      ends[from].insert(link.to);
      ends[link.to].insert(from);
      ++all;
    }
  std::optional<std::uint32_t> worst;
  for (const auto& [rank, others] : ends) {
    const bool most = std::all_of(ends.begin(), ends.end(), [&](const auto& end) {
      return end.first == rank || end.second.size() < others.size();
    });
    const bool several = *others.begin() != *others.rbegin();
    if (most && several && 4 * others.size() >= 3 * all) worst = rank;
  }
  return worst;
}

}  // namespace

TEST_CASE("one end of all slow links is the straggler, whichever way they go") {
  SlowByRank sends;
  for (const std::uint32_t to : {0, 1, 3, 4}) slow(sends, 2, to, 8);
  CHECK(found(sends) == 2);
  CHECK(links_of(sends).straggler()->percent == 8);
  CHECK(links_of(sends).slow_ends(2) == std::vector<std::uint32_t>{0, 1, 3, 4});

  SlowByRank receives;
  for (const std::uint32_t from : {0, 1, 3}) slow(receives, from, 2);
  CHECK(found(receives) == 2);
  CHECK(links_of(receives).slow_ends(2) == std::vector<std::uint32_t>{0, 1, 3});
}

TEST_CASE("a slow way between two is nobody's fault") {
  SlowByRank one;
  slow(one, 0, 1);
  CHECK_FALSE(found(one));
  slow(one, 1, 0);
  CHECK_FALSE(found(one));
}

TEST_CASE("a cable that many share is nobody's fault") {
  SlowByRank told;
  for (const std::uint32_t west : {0, 1, 2, 3})
    for (const std::uint32_t east : {4, 5, 6, 7}) {
      slow(told, west, east);
      slow(told, east, west);
    }
  CHECK_FALSE(found(told));
  SlowByRank all;
  for (std::uint32_t from = 0; from < 4; ++from)
    for (std::uint32_t to = 0; to < 4; ++to)
      if (from != to) slow(all, from, to);
  CHECK_FALSE(found(all));
}

TEST_CASE("whatever is told and forgotten, the straggler is the one that a look at all links finds") {
  constexpr std::uint32_t kMembers = 5;
  Random random(11);
  std::size_t stragglers = 0;
  for (int run = 0; run < 200; ++run) {
    SlowLinks links;
    SlowByRank told;
    std::map<std::uint32_t, Instant> heard;
    Instant now{};
    for (int step = 0; step < 60; ++step) {
      now += milliseconds(random.below(3));
      const auto rank = static_cast<std::uint32_t>(random.below(kMembers));
      if (random.chance(1, 10)) {
        links.forget(rank);
        told.erase(rank);
        for (auto& [sender, slow] : told) std::erase_if(slow, [&](const SlowLink& link) { return link.to == rank; });
      } else if (random.chance(1, 10)) {
        const Instant than = now - milliseconds(random.below(20));
        links.forget_older(than);
        std::erase_if(told, [&](const auto& entry) { return heard.at(entry.first) < than; });
      } else {
        std::vector<SlowLink> slow;
        // Most links are with member 0, and some are told twice.
        for (std::uint64_t i = random.below(4); i > 0; --i) {
          const auto other = static_cast<std::uint32_t>(random.below(kMembers));
          const std::uint32_t to = rank != 0 && random.chance(2, 3) ? 0 : other;
          if (to != rank) slow.push_back({.to = to, .percent = static_cast<std::uint32_t>(random.below(25))});
        }
        links.tell(now, rank, slow);
        told[rank] = slow;
        heard[rank] = now;
      }
      const auto straggler = links.straggler();
      REQUIRE(straggler.has_value() == by_the_rule(told).has_value());
      if (!straggler) continue;
      ++stragglers;
      REQUIRE(straggler->rank == *by_the_rule(told));
      std::set<std::uint32_t> ends;
      std::uint64_t percents = 0;
      std::uint64_t count = 0;
      for (const auto& [from, slow] : told)
        for (const SlowLink& link : slow) {
          if (from != straggler->rank && link.to != straggler->rank) continue;
          ends.insert(from == straggler->rank ? link.to : from);
          percents += link.percent;
          ++count;
        }
      REQUIRE(links.slow_ends(straggler->rank) == std::vector<std::uint32_t>(ends.begin(), ends.end()));
      REQUIRE(straggler->percent == percents / count);
    }
  }
  CHECK(stragglers > 1000);
}

namespace {

MasterConfig config_of(StragglerPolicy policy) {
  MasterConfig config;
  config.straggler_policy = policy;
  config.straggler = seconds(10);
  return config;
}

/// Time in which the members are heard of.
void live(MasterBench& bench, std::uint64_t members, int seconds_long) {
  for (int i = 0; i < seconds_long; ++i) {
    bench.pass(seconds(1));
    for (std::uint64_t peer = 1; peer <= members; ++peer)
      if (bench.count<Expelled>(peer) == 0) bench.say(peer, Ping{});
  }
}

/// A word on a collective that goes on, about the 3 s before.
Complaint flows_of(const OpKey& key, const std::vector<std::uint64_t>& slow_to, std::uint32_t percent = 5) {
  Complaint word{.key = key, .stalled_ms = 0, .waiting_for = {}, .unresponsive = {}, .period_ms = 3000};
  for (const std::uint64_t to : slow_to) word.flows.push_back({.to = {to}, .percent = percent});
  return word;
}

/// Members 1 to 4 are in an all-reduce, and the links of 3 are slow for so many reports, one every 3 s.
OpKey slow_third(MasterBench& bench, int reports, std::uint32_t percent = 5) {
  const OpKey key = bench.key(1, 0, 0);
  for (std::uint64_t peer = 1; peer <= 4; ++peer) bench.say(peer, Begun{.key = key, .signature = {.count = 1000}});
  for (int i = 0; i < reports; ++i) {
    bench.pass(seconds(3));
    for (std::uint64_t peer = 1; peer <= 4; ++peer)
      if (bench.view(1).find({peer}) != nullptr)
        bench.say(peer, peer == 3 ? flows_of(key, {1, 2, 4}, percent) : flows_of(key, {}));
  }
  return key;
}

}  // namespace

TEST_CASE("links that are slow but not slow enough, to strangers, or to itself are not counted") {
  MasterBench bench(config_of(StragglerPolicy::report));
  bench.found(4);
  const OpKey key = bench.key(1, 0, 0);
  for (std::uint64_t peer = 1; peer <= 4; ++peer) bench.say(peer, Begun{.key = key, .signature = {.count = 1000}});
  for (int i = 0; i < 8; ++i) {
    bench.pass(seconds(3));
    bench.say(1, flows_of(key, {2, 3, 4}, 25));
    bench.say(2, flows_of(key, {70, 71, 72}));
    bench.say(3, flows_of(key, {3, 3, 77}));
    bench.say(4, flows_of(key, {}));
  }
  CHECK(bench.count<Straggling>(1) == 0);
  bench.say(1, flows_of(key, {2, 3, 4}, 24));
  bench.pass(seconds(3));
  for (std::uint64_t peer = 1; peer <= 4; ++peer)
    bench.say(peer, peer == 1 ? flows_of(key, {2, 3}, 24) : flows_of(key, {}));
  for (int i = 0; i < 3; ++i) {
    bench.pass(seconds(3));
    for (std::uint64_t peer = 1; peer <= 4; ++peer)
      bench.say(peer, peer == 1 ? flows_of(key, {2, 3}, 24) : flows_of(key, {}));
  }
  REQUIRE(bench.count<Straggling>(2) == 1);
  CHECK(bench.last<Straggling>(2).peer == PeerId{1});
}

TEST_CASE("a straggler is reported to all once, and stays") {
  MasterBench bench(config_of(StragglerPolicy::report));
  bench.found(4);
  slow_third(bench, 3);
  CHECK(bench.count<Straggling>(1) == 0);
  bench.pass(seconds(2));
  for (std::uint64_t peer = 1; peer <= 4; ++peer) {
    REQUIRE(bench.count<Straggling>(peer) == 1);
    CHECK(bench.last<Straggling>(peer).peer == PeerId{3});
    CHECK(bench.last<Straggling>(peer).percent == 5);
  }
  live(bench, 4, 30);
  CHECK(bench.count<Straggling>(1) == 1);
  CHECK(bench.view(1).size() == 4);
}

TEST_CASE("links that recover are no straggler's") {
  MasterBench bench(config_of(StragglerPolicy::expel));
  bench.found(4);
  const OpKey key = slow_third(bench, 3);
  bench.say(3, flows_of(key, {}));
  live(bench, 4, 4);
  CHECK(bench.count<Straggling>(1) == 0);
  CHECK(bench.view(1).size() == 4);
}

TEST_CASE("where the policy says so a straggler is expelled, and the others are told why") {
  MasterBench bench(config_of(StragglerPolicy::expel));
  bench.found(4);
  slow_third(bench, 3);
  bench.pass(seconds(2));
  REQUIRE(bench.count<Expelled>(3) == 1);
  CHECK(bench.last<Expelled>(3).error.status == Status::expelled);
  CHECK(bench.last<Expelled>(3).error.sentence.find("5 %") != std::string::npos);
  REQUIRE(bench.view(1).size() == 3);
  CHECK(bench.view(1).find({3}) == nullptr);
  CHECK(bench.last<StartView>(1).cause.status == Status::peer_lost);
  CHECK(bench.last<StartView>(1).cause.sentence.find("5 %") != std::string::npos);
}

TEST_CASE("the last without a result is reported, and never expelled for that") {
  MasterBench bench(config_of(StragglerPolicy::expel));
  bench.found(3);
  const OpKey key = bench.key(1, 0, 0);
  bench.say(2, Begun{.key = key, .signature = {.count = 10}});
  bench.report(1, key);
  bench.report(3, key);
  live(bench, 3, 9);
  CHECK(bench.count<Straggling>(1) == 0);
  live(bench, 3, 1);
  REQUIRE(bench.count<Straggling>(1) == 1);
  CHECK(bench.last<Straggling>(1).peer == PeerId{2});
  CHECK(bench.last<Straggling>(1).percent == 0);
  live(bench, 3, 10);
  CHECK(bench.view(1).size() == 3);
  CHECK(bench.count<Straggling>(1) == 1);
}

TEST_CASE("the last without a result is reported too if another was a straggler before") {
  MasterBench bench(config_of(StragglerPolicy::report));
  bench.found(4);
  const OpKey key = slow_third(bench, 4);
  REQUIRE(bench.count<Straggling>(1) == 1);
  CHECK(bench.last<Straggling>(1).peer == PeerId{3});
  for (const std::uint64_t peer : {1, 2, 3}) bench.report(peer, key, 1000);
  live(bench, 4, 9);
  CHECK(bench.count<Straggling>(1) == 1);
  live(bench, 4, 1);
  REQUIRE(bench.count<Straggling>(1) == 2);
  CHECK(bench.last<Straggling>(1).peer == PeerId{4});
  live(bench, 4, 20);
  CHECK(bench.count<Straggling>(1) == 2);
  CHECK(bench.view(1).size() == 4);
}

TEST_CASE("who has its result is no straggler any more, whoever told of its links") {
  for (const bool told_by_itself : {true, false}) {
    MasterBench bench(config_of(StragglerPolicy::expel));
    bench.found(4);
    const OpKey key = slow_third(bench, told_by_itself ? 2 : 0);
    for (int i = 0; !told_by_itself && i < 2; ++i) {
      bench.pass(seconds(3));
      for (std::uint64_t peer = 1; peer <= 4; ++peer)
        bench.say(peer, flows_of(key, peer == 3 ? std::vector<std::uint64_t>{} : std::vector<std::uint64_t>{3}));
    }
    live(bench, 4, 1);
    bench.report(3, key, 1000);
    // What was under way when it had its result.
    if (!told_by_itself) bench.say(2, flows_of(key, {3}));
    live(bench, 4, 20);
    CHECK(bench.count<Straggling>(1) == 0);
    CHECK(bench.view(1).size() == 4);
  }
}

TEST_CASE("nobody is expelled for what was told long ago") {
  MasterBench bench(config_of(StragglerPolicy::expel));
  bench.found(4);
  slow_third(bench, 1);
  live(bench, 4, 20);
  CHECK(bench.count<Straggling>(1) == 0);
  CHECK(bench.view(1).size() == 4);
}

TEST_CASE("a late caller is no straggler in the moment that it calls") {
  MasterBench bench(config_of(StragglerPolicy::report));
  bench.found(2);
  const OpKey key = bench.key(1);
  const Signature broadcast{.collective = Collective::broadcast, .count = 10};
  bench.say(1, Report{.key = key, .signature = broadcast});
  live(bench, 2, 15);
  bench.say(2, Begun{.key = key, .signature = broadcast});
  CHECK(bench.count<Straggling>(1) == 0);
  live(bench, 2, 9);
  CHECK(bench.count<Straggling>(1) == 0);
  live(bench, 2, 1);
  REQUIRE(bench.count<Straggling>(1) == 1);
  CHECK(bench.last<Straggling>(1).peer == PeerId{2});
  CHECK(bench.last<Straggling>(1).sentence.find("since 10 s") != std::string::npos);
}

TEST_CASE("slow links are held against a member only since all have called") {
  MasterBench bench(config_of(StragglerPolicy::expel));
  bench.found(4);
  const OpKey key = bench.key(1);
  const auto go_on = [&](int reports) {
    for (int i = 0; i < reports; ++i) {
      live(bench, 4, 3);
      if (bench.count<Expelled>(3) == 0) bench.say(3, flows_of(key, {1, 2}));
    }
  };
  for (const std::uint64_t peer : {1, 2, 3}) bench.begun(peer, key);
  go_on(5);
  bench.begun(4, key);
  CHECK(bench.count<Straggling>(1) == 0);
  go_on(3);
  CHECK(bench.count<Straggling>(1) == 0);
  live(bench, 4, 1);
  CHECK(bench.count<Straggling>(1) == 1);
  CHECK(bench.count<Expelled>(3) == 1);
}

TEST_CASE("whatever members tell of their links, nothing that was due stays due") {
  constexpr std::uint64_t kMembers = 5;
  std::size_t straggling = 0;
  std::size_t expelled = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    // The bench checks the deadlines after each tick.
    MasterBench bench(config_of(seed % 2 == 0 ? StragglerPolicy::expel : StragglerPolicy::report), seed);
    bench.found(kMembers);
    const std::uint64_t slow = random.between(1, kMembers);
    for (int moves = 0; moves < 150; ++moves) {
      const std::uint64_t peer = random.between(1, kMembers);
      const OpKey key = bench.key(peer, 0, bench.count<Committed>(peer));
      if (bench.count<Expelled>(peer) > 0) continue;
      if (random.chance(1, 30)) {
        bench.report(peer, key);
      } else {
        bench.begun(peer, key);
        std::vector<std::uint64_t> to;
        for (std::uint64_t other = 1; other <= kMembers; ++other)
          if (other != peer && (peer == slow || other == slow || random.chance(1, 10))) to.push_back(other);
        if (random.chance(1, 10)) to.clear();
        bench.say(peer, flows_of(key, to));
      }
      bench.pass(milliseconds(random.below(1500)));
      for (std::uint64_t one = 1; one <= kMembers; ++one)
        if (bench.count<Expelled>(one) == 0) bench.say(one, Ping{});
    }
    for (std::uint64_t peer = 1; peer <= kMembers; ++peer) {
      straggling += bench.count<Straggling>(peer);
      expelled += bench.count<Expelled>(peer);
    }
  }
  CHECK(straggling > 100);
  CHECK(expelled > 10);
}
