#include "base/random.hpp"
#include "catch.hpp"
#include "membership/master_bench.hpp"
#include "membership/straggler.hpp"

using namespace hawser;

namespace {

View view_of(std::uint64_t members) {
  View view;
  for (std::uint64_t id = 1; id <= members; ++id)
    view.members.push_back({.id = {id}, .name = "p" + std::to_string(id)});
  return view;
}

using Reports = std::map<PeerId, FlowReport>;

void slow(Reports& reports, std::uint64_t from, std::uint64_t to, std::uint32_t percent = 10) {
  reports[{from}].flows.push_back({.to = {to}, .percent = percent});
}

std::uint64_t found(const View& view, const Reports& reports) {
  const auto straggler = find_straggler(view, reports, 25);
  return straggler ? straggler->member.id.value : 0;
}

}  // namespace

TEST_CASE("one end of all slow links is the straggler, whichever way they go") {
  const View view = view_of(5);
  Reports sends;
  for (const std::uint64_t to : {1, 2, 4, 5}) slow(sends, 3, to, 8);
  CHECK(found(view, sends) == 3);
  const auto straggler = find_straggler(view, sends, 25);
  REQUIRE(straggler);
  CHECK(straggler->percent == 8);
  CHECK(straggler->slow_with == std::vector<PeerId>{{1}, {2}, {4}, {5}});

  Reports receives;
  for (const std::uint64_t from : {1, 2, 4}) slow(receives, from, 3);
  CHECK(found(view, receives) == 3);
}

TEST_CASE("links that are slow but not slow enough are not counted") {
  const View view = view_of(4);
  Reports reports;
  for (const std::uint64_t to : {2, 3, 4}) slow(reports, 1, to, 25);
  CHECK(found(view, reports) == 0);
  slow(reports, 2, 1, 24);
  CHECK(found(view, reports) == 0);
  slow(reports, 3, 1, 24);
  CHECK(found(view, reports) == 1);
}

TEST_CASE("a slow way between two is nobody's fault") {
  Reports one;
  slow(one, 1, 2);
  CHECK(found(view_of(2), one) == 0);
  CHECK(found(view_of(3), one) == 0);
  CHECK(found(view_of(8), one) == 0);
  slow(one, 2, 1);
  CHECK(found(view_of(8), one) == 0);
}

TEST_CASE("a cable that many share is nobody's fault") {
  Reports reports;
  for (const std::uint64_t west : {1, 2, 3, 4})
    for (const std::uint64_t east : {5, 6, 7, 8}) {
      slow(reports, west, east);
      slow(reports, east, west);
    }
  CHECK(found(view_of(8), reports) == 0);
  Reports all;
  for (std::uint64_t from = 1; from <= 4; ++from)
    for (std::uint64_t to = 1; to <= 4; ++to)
      if (from != to) slow(all, from, to);
  CHECK(found(view_of(4), all) == 0);
}

TEST_CASE("reports of strangers and about strangers are nothing") {
  Reports reports;
  for (const std::uint64_t to : {2, 3, 77}) slow(reports, 99, to);
  for (const std::uint64_t to : {70, 71, 72}) slow(reports, 1, to);
  slow(reports, 1, 1);
  CHECK(found(view_of(4), reports) == 0);
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
