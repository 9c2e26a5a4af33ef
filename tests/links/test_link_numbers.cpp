/// How many connections a link has: resize, widen, what the other side asks for, and samples.
#include "catch.hpp"
#include "links/link_table.hpp"
#include "links/table_bench.hpp"

namespace hawser::links {
namespace {

/// A link that this side dials, to another machine, with as many connections as its round trip of 40 ms calls for.
struct DialledLink : TableBench {
  explicit DialledLink(std::uint32_t connections_per_link = 0)
      : TableBench({.connections_per_link = connections_per_link}) {
    open(at(0));
    let_all_through(at(10));
    clear();
  }
  std::size_t size() const { return table.connections(kSmall); }
};

/// Every connection is asked for a sample, and gives this one.
std::size_t sample(TableBench& bench, Instant now, const ConnectionSample& one) {
  bench.clear();
  bench.table.used(now - milliseconds(100));
  bench.table.tick(now, bench.out);
  std::vector<ConnectionSample> samples;
  for (const TakeSamples& wanted : bench.all<TakeSamples>())
    for (const SocketId socket : wanted.sockets) {
      samples.push_back(one);
      samples.back().socket = socket;
    }
  bench.table.sampled(now, samples, bench.out);
  return samples.size();
}

constexpr ConnectionSample kRoomy{.is_full = true,
                                  .state = {.round_trip = milliseconds(40),
                                            .round_trip_least = milliseconds(40),
                                            .window_bytes = 200'000}};

}  // namespace

TEST_CASE("a link over a long way begins with several connections, on one machine with one") {
  DialledLink link;
  CHECK(link.size() == 8);
  CHECK(link.established().size() == 8);
  TableBench near({.connections_per_link = 0});
  near.open(at(0));
  const SocketId socket = near.greet(at(10));
  near.receive(at(10), socket, encode_greeting_answer(GreetingAnswer::accepted, {2, 2}));
  CHECK(near.only<Up>().same_machine);
  CHECK(near.table.connections(kSmall) == 1);
}

TEST_CASE("a link gets fewer connections, which are not redialled, and more again") {
  DialledLink link;
  const SocketId first = *link.table.established({kSmall, 0});
  link.table.asked(at(20), first, 1, link.out);
  CHECK(link.established() == std::vector<std::uint32_t>{0});
  CHECK(link.count<Close>() == 7);
  std::vector<std::uint32_t> down;
  for (const Down& one : link.all<Down>()) down.push_back(one.name.index);
  CHECK(down == std::vector<std::uint32_t>{7, 6, 5, 4, 3, 2, 1});
  CHECK_FALSE(link.table.next_deadline());
  link.clear();
  link.table.asked(at(30), first, 3, link.out);
  CHECK(link.count<Dial>() == 2);
  link.let_all_through(at(40));
  CHECK(link.established() == std::vector<std::uint32_t>{0, 1, 2});
  link.clear();
  // Never none at all.
  link.table.resize(at(50), kSmall, 0, link.out);
  CHECK(link.established() == std::vector<std::uint32_t>{0});
}

TEST_CASE("a dial under way is given up when its connection is one too many") {
  DialledLink link(1);
  link.table.resize(at(20), kSmall, 2, link.out);
  const SocketId second = link.only<Dial>().socket;
  link.table.resize(at(30), kSmall, 1, link.out);
  CHECK(link.only<Close>().socket == second);
  CHECK(link.count<Down>() == 0);
  CHECK_FALSE(link.table.knows(second));
}

TEST_CASE("where the last established connection is taken away, the link counts as broken") {
  DialledLink link(1);
  link.table.resize(at(20), kSmall, 2, link.out);
  link.let_all_through(at(20));
  link.table.broke(at(30), *link.table.established({kSmall, 0}), "reset", link.out);
  link.table.resize(at(40), kSmall, 1, link.out);
  CHECK(link.established().empty());
  link.clear();
  // A greeting of the other side is no crossing one then.
  const SocketId theirs = link.greeted(at(50));
  CHECK(link.answer(theirs) == GreetingAnswer::accepted);
}

TEST_CASE("a probe widens a link, and nothing else changes its number meanwhile") {
  DialledLink link;
  link.table.widen(at(20), kSmall, 20, link.out);
  CHECK(link.count<Dial>() == 12);
  link.let_all_through(at(30));
  CHECK(link.established().size() == 20);
  link.clear();
  link.table.asked(at(40), *link.table.established({kSmall, 0}), 30, link.out);
  CHECK(link.out.empty());
  for (int i = 1; i < 40; ++i) sample(link, at(40 + 100 * i), kRoomy);
  CHECK(link.size() == 20);
  link.clear();
  link.table.widen(at(5000), kSmall, 0, link.out);
  CHECK(link.count<Down>() == 12);
  CHECK(link.established().size() == 8);
}

TEST_CASE("a number that is fixed, or the other side's to choose, is not widened") {
  DialledLink fixed(2);
  fixed.table.widen(at(20), kSmall, 20, fixed.out);
  CHECK(fixed.out.empty());
  TableBench accepting({.connections_per_link = 0});
  accepting.open(at(0), kSmall, std::nullopt);
  accepting.greeted(at(10));
  accepting.clear();
  accepting.table.widen(at(20), kSmall, 20, accepting.out);
  accepting.table.resize(at(20), kSmall, 20, accepting.out);
  CHECK(accepting.out.empty());
}

TEST_CASE("the dialling side gives what the other asks for, unless its number is fixed") {
  DialledLink link;
  const SocketId first = *link.table.established({kSmall, 0});
  link.table.asked(at(20), first, 12, link.out);
  CHECK(link.size() == 12);
  link.table.asked(at(30), first, 1, link.out);
  CHECK(link.size() == 1);
  // No more than there may be, however many are asked for.
  link.table.asked(at(40'000), first, ~0ULL, link.out);
  CHECK(link.size() == limits::kConnectionsPerLinkMax / 2);
  DialledLink fixed(2);
  fixed.table.asked(at(20), *fixed.table.established({kSmall, 0}), 12, fixed.out);
  CHECK(fixed.size() == 2);
}

TEST_CASE("connections that are full without a queue get sisters: dialled, or asked for") {
  SECTION("dialled") {
    DialledLink link;
    std::size_t most = 0;
    for (int i = 1; i < 30; ++i) {
      CHECK(sample(link, at(1000 + 100 * i), kRoomy) == link.established().size());
      CHECK(link.only<RoundTrips>().round_trip_least == milliseconds(40));
      link.let_all_through(at(1000 + 100 * i));
      most = std::max(most, link.size());
    }
    CHECK(most == 32);
  }
  SECTION("asked for") {
    TableBench link({.connections_per_link = 0});
    link.open(at(0), kSmall, std::nullopt);
    link.greeted(at(10), 0, 2);
    link.greeted(at(10), 1, 2);
    std::vector<std::uint32_t> asked;
    for (int i = 1; i < 10; ++i) {
      sample(link, at(3000 + 100 * i), kRoomy);
      for (const AskConnections& one : link.all<AskConnections>()) asked.push_back(one.connections);
    }
    REQUIRE_FALSE(asked.empty());
    CHECK(asked.front() == 4);
    CHECK(link.table.connections(kSmall) == 2);
  }
}

TEST_CASE("connections that fill a way by themselves are two from the first on") {
  TableBench link({.connections_per_link = 0});
  link.open(at(0));
  const SocketId socket = link.greet(at(10));
  link.clear();
  link.table.received(at(10), {.socket = socket, .bytes = encode_greeting_answer(GreetingAnswer::accepted, {}),
                               .state = {.round_trip = milliseconds(40), .fills_alone = true}}, link.out);
  CHECK(link.table.connections(kSmall) == 2);
}

namespace {

/// Where 2 % of the segments are lost for a second.
std::size_t times_bbr_is_chosen(TableBench& link, ConnectionSample& lossy) {
  std::size_t told = 0;
  for (int i = 1; i < 10; ++i) {
    lossy.state.segments_sent += 500;
    lossy.state.segments_repeated += 10;
    sample(link, at(3000 + 100 * i), lossy);
    told += link.count<UseBbr>();
  }
  return told;
}

}  // namespace

TEST_CASE("a link whose way loses segments gets BBR, on connections that come later, too, and then fewer of them") {
  const bool may = GENERATE(true, false);
  TableBench link({.connections_per_link = 0, .may_use_bbr = may});
  link.open(at(0));
  link.let_all_through(at(10));
  REQUIRE(link.table.connections(kSmall) == 8);
  ConnectionSample lossy = kRoomy;
  lossy.is_full = false;
  const std::size_t told = times_bbr_is_chosen(link, lossy);
  CHECK(told == (may ? 8u : 0u));
  if (!may) return;
  lossy.state.fills_alone = true;
  sample(link, at(5000), lossy);
  CHECK(link.table.connections(kSmall) == 2);
  CHECK(link.count<Close>() == 6);
  link.clear();
  link.table.broke(at(6000), *link.table.established({kSmall, 1}), "a test", link.out);
  link.table.tick(at(7000), link.out);
  link.let_all_through(at(7000));
  CHECK(link.count<UseBbr>() == 1);
}

TEST_CASE("the accepting side of a link that gets BBR leaves the number of connections to the other one") {
  TableBench link({.connections_per_link = 0, .may_use_bbr = true});
  link.open(at(0), kSmall, std::nullopt);
  for (std::uint32_t index = 0; index < 4; ++index) link.greeted(at(10), index, 4);
  ConnectionSample alone = kRoomy;
  alone.state.fills_alone = true;
  std::size_t asked = 0;
  for (int i = 1; i < 20; ++i) {
    sample(link, at(3000 + 100 * i), alone);
    asked += link.count<AskConnections>();
  }
  CHECK(asked == 0);
  CHECK(link.table.connections(kSmall) == 4);
}

TEST_CASE("a lossy way gets BBR though the number of its connections is fixed") {
  TableBench link({.connections_per_link = 1, .may_use_bbr = true});
  link.open(at(0));
  link.let_all_through(at(10));
  ConnectionSample lossy = kRoomy;
  const std::size_t told = times_bbr_is_chosen(link, lossy);
  CHECK(told == 1);
}

TEST_CASE("links are sampled ten times a second while one is full, and not on one machine") {
  DialledLink link;
  CHECK_FALSE(link.table.is_sampling());
  link.table.used(at(1000));
  CHECK(link.table.next_deadline() == at(1100));
  link.table.used(at(1050));
  CHECK(link.table.next_deadline() == at(1100));
  sample(link, at(1100), kRoomy);
  CHECK(link.table.next_deadline() == at(1200));
  // A quarter of the window may wait in each.
  CHECK(link.all<LimitQueue>().size() == 8);
  CHECK(link.all<LimitQueue>().front().bytes == 50'000);
  ConnectionSample idle = kRoomy;
  idle.is_full = false;
  sample(link, at(1200), idle);
  CHECK_FALSE(link.table.is_sampling());
  TableBench near;
  near.open(at(0));
  const SocketId socket = near.greet(at(10));
  near.receive(at(10), socket, encode_greeting_answer(GreetingAnswer::accepted, {2, 2}));
  CHECK(sample(near, at(1000), kRoomy) == 0);
  CHECK_FALSE(near.table.is_sampling());
}

}  // namespace hawser::links
