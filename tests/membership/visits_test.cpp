#include "base/limits.hpp"
#include "membership/master_bench.hpp"

/// Newcomers and their links: who is told of whom, what proves a newcomer, and what becomes of one that has no links.
namespace hawser {
namespace {

constexpr MasterConfig kPatientLinks{.silence = seconds(3600), .link_open = seconds(10)};

/// A newcomer of the same machine and address as another one, and with another id: it has connected again.
void hello_as(MasterBench& bench, std::uint64_t peer, std::uint64_t former) {
  bench.come_from(peer, MasterBench::host(former));
  bench.open(peer);
  Introduction who = bench.introduction(peer);
  who.address = bench.introduction(former).address;
  bench.say(peer, Hello{who});
}

}  // namespace

TEST_CASE("a newcomer is told the members and these the newcomer, with the secret of their links") {
  MasterBench bench;
  bench.found(2);
  const std::size_t visitors_sent = bench.count<Visitors>(1);
  bench.hello(3);
  CHECK(bench.group_members(3) == Peers{1, 2});
  CHECK(bench.visitors(3) == Peers{3});
  CHECK(bench.last<GroupMembers>(3).link_secret == bench.view(1).link_secret);
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(bench.visitors(peer) == Peers{3});
    CHECK(bench.last<Visitors>(peer).visitors.came.front().address.port == 1003);
  }
  // Nothing has changed: nothing is said.
  for (const std::uint64_t peer : {1, 2, 3}) bench.say(peer, Ping{});
  bench.pass(seconds(1));
  CHECK(bench.count<GroupMembers>(3) == 1);
  CHECK(bench.count<Visitors>(3) == 1);
  CHECK(bench.count<Visitors>(1) == visitors_sent + 1);
}

TEST_CASE("one that goes and comes again before others hear of it is another one to them") {
  MasterBench bench;
  bench.found(2);
  // Told at once, since nothing was for a while; what follows waits for its turn.
  bench.pass(seconds(1));
  bench.hello(3);
  REQUIRE(bench.visitors(1) == Peers{3});
  const std::size_t told[] = {bench.count<Visitors>(1), bench.count<Visitors>(2)};
  bench.close(3);
  // What is said of it meanwhile is of nobody.
  for (const std::uint64_t peer : {1, 2}) bench.say(peer, Linked{.all = false, .up = {{3}}, .down = {}, .refused = {}});
  bench.hello(3);
  bench.pass(milliseconds(100));
  for (const std::uint64_t peer : {1, 2}) {
    REQUIRE(bench.count<Visitors>(peer) == told[peer - 1] + 1);
    // So both say again which links to it stand.
    CHECK(bench.last<Visitors>(peer).visitors.gone == std::vector<PeerId>{{3}});
    CHECK(numbers(bench.last<Visitors>(peer).visitors.came) == Peers{3});
  }
  bench.link(3);
  bench.call_update({1, 2});
  CHECK(bench.members(3) == Peers{1, 2, 3});
}

TEST_CASE("newcomers are told of each other, and of a change what has changed") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3, 4});
  CHECK(bench.visitors(3) == Peers{3, 4});
  CHECK(bench.visitors(4) == Peers{3, 4});
  bench.hello(5);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1) == Peers{3, 4, 5});
  const MemberChange& told = bench.last<Visitors>(1).visitors;
  CHECK_FALSE(told.whole);
  CHECK(numbers(told.came) == Peers{5});
  CHECK(told.gone.empty());
  bench.say(3, Leave{});
  bench.pass(milliseconds(100));
  CHECK(bench.last<Visitors>(1).visitors.gone == std::vector<PeerId>{{3}});
  bench.call_update({1, 2});
  CHECK(bench.members(4) == Peers{1, 2, 4});
  bench.pass(milliseconds(100));
  CHECK(numbers(bench.last<GroupMembers>(5).members.came) == Peers{4});
  CHECK(bench.group_members(5) == Peers{1, 2, 4});
  CHECK(bench.visitors(4) == Peers{5});
}

TEST_CASE("what newcomers do is told at once, then not more often than every 100 ms") {
  MasterBench bench;
  bench.found(1);
  bench.pass(seconds(1));
  const auto told = [&] { return bench.count<Visitors>(1) + bench.count<WorldNews>(1); };
  const std::size_t before = told();
  bench.hello(2);
  CHECK(bench.visitors(1) == Peers{2});
  for (std::uint64_t peer = 3; peer <= 40; ++peer) {
    bench.pass(milliseconds(25));
    bench.hello(peer);
    bench.link(peer, 1);
  }
  // Nearly a second has passed: ten times at most, of each.
  CHECK(told() - before <= 21);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).size() == 39);
}

TEST_CASE("a link is one that both ends say stands") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  const auto pending = [&] {
    bench.pass(milliseconds(100));
    return bench.last<WorldNews>(1).pending;
  };
  bench.say(3, Linked{.all = false, .up = {{1}, {2}}, .down = {}, .refused = {}});
  CHECK(pending() == 0);
  bench.say(1, Linked{.all = false, .up = {{3}}, .down = {}, .refused = {}});
  CHECK(pending() == 0);
  bench.say(2, Linked{.all = false, .up = {{3}}, .down = {}, .refused = {}});
  CHECK(pending() == 1);
  SECTION("one end says that it is down") { bench.link_down(2, {3}); }
  SECTION("the other end does") { bench.link_down(3, {2}); }
  SECTION("one end tells all its links without it") {
    bench.say(3, Linked{.all = true, .up = {{1}}, .down = {}, .refused = {}});
  }
  CHECK(pending() == 0);
  bench.call_update({1, 2});
  CHECK(bench.members(1) == Peers{1, 2});
  bench.link(2, 3);
  CHECK(pending() == 1);
}

TEST_CASE("words on links to oneself, to strangers and to other groups are nothing") {
  MasterBench bench;
  bench.arrive({1}, 0);
  bench.arrive({2}, 7);
  bench.pass(seconds(1));
  bench.hello(3);
  for (const std::uint64_t peer : {1, 2, 3})
    bench.say(peer, Linked{.all = false, .up = {{1}, {2}, {3}, {99}}, .down = {{98}}, .refused = {{98}, {97}}});
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 1);
  bench.link_down(2, {1, 3});
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 1);
  CHECK(bench.view(1).size() == 1);
}

// ---------------------------------------------------------------------------------- links that do not stand

TEST_CASE("a newcomer whose links do not come to stand is refused, with both addresses, and nobody waits for it") {
  MasterBench bench(kPatientLinks);
  bench.found(2);
  bench.hello(3);
  bench.link(3, 1);
  bench.pass(seconds(10) - milliseconds(1));
  CHECK_FALSE(bench.closed(3));
  CHECK(bench.visitors(1) == Peers{3});
  bench.pass(milliseconds(1));
  CHECK(bench.closed(3));
  const Error& error = bench.last<Refused>(3).error;
  CHECK(error.status == Status::refused);
  CHECK(error.sentence.find("10.0.0.3:1003") != std::string::npos);
  CHECK(error.sentence.find("p2 (10.0.0.2:1002)") != std::string::npos);
  CHECK(error.sentence.find("p1") == std::string::npos);
  CHECK(bench.visitors(1).empty());
  CHECK(bench.count<StartView>(1) == 1);
}

TEST_CASE("who failed waits 10, 20, then 40 s before its links are tried again") {
  MasterBench bench(kPatientLinks);
  bench.found(1);
  bench.hello(10);
  bench.pass(seconds(10));
  REQUIRE(bench.closed(10));
  std::uint64_t next = 11;
  for (const int pause : {10, 20, 40, 40}) {
    const std::uint64_t again = next++;
    hello_as(bench, again, 10);
    CHECK(bench.count<Welcome>(again) == 1);
    REQUIRE(bench.count<Notice>(again) == 1);
    CHECK(bench.last<Notice>(again).sentence.find("no link to p1") != std::string::npos);
    bench.pass(seconds(pause) - milliseconds(1));
    CHECK(bench.visitors(1).empty());
    CHECK(bench.count<GroupMembers>(again) == 0);
    CHECK_FALSE(bench.closed(again));
    bench.pass(milliseconds(101));
    CHECK(bench.visitors(1) == Peers{again});
    CHECK(bench.group_members(again) == Peers{1});
    bench.pass(seconds(10) - milliseconds(100));
    CHECK(bench.closed(again));
  }
  // Its links stand at last: all is forgotten.
  bench.pass(seconds(40));
  hello_as(bench, 50, 10);
  CHECK(bench.count<Notice>(50) == 0);
  bench.link(50, 1);
  bench.say(50, Leave{});
  hello_as(bench, 51, 10);
  bench.pass(seconds(11));
  REQUIRE(bench.closed(51));
  hello_as(bench, 52, 10);
  bench.pass(seconds(10));
  CHECK(bench.visitors(1) == Peers{52});
}

TEST_CASE("a failure holds for the host and the address, and for no others") {
  MasterBench bench(kPatientLinks);
  bench.found(1);
  bench.hello(10);
  bench.pass(seconds(10));
  REQUIRE(bench.closed(10));
  // Of the same host at another port, and of another host that gives the same address.
  bench.come_from(11, MasterBench::host(10));
  bench.hello(11);
  bench.open(12);
  Introduction who = bench.introduction(12);
  who.address = bench.introduction(10).address;
  bench.say(12, Hello{who});
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1) == Peers{11, 12});
}

TEST_CASE("a newcomer in its pause starts a run whose members have all gone when the pause is over") {
  MasterBench bench(kPatientLinks);
  bench.found(1);
  bench.hello(10);
  bench.pass(seconds(10));
  hello_as(bench, 11, 10);
  bench.say(1, Leave{});
  bench.pass(seconds(9));
  CHECK_FALSE(bench.is_member(11));
  bench.pass(seconds(1));
  CHECK(bench.members(11) == Peers{11});
}

TEST_CASE("a proven newcomer that loses a link has as long again to get it back") {
  MasterBench bench(kPatientLinks);
  bench.found(2);
  bench.arrive({3});
  bench.pass(seconds(60));
  REQUIRE_FALSE(bench.closed(3));
  bench.link_down(2, {3});
  bench.pass(seconds(9));
  SECTION("it does") {
    bench.link(2, 3);
    bench.pass(seconds(60));
    CHECK_FALSE(bench.closed(3));
  }
  SECTION("it does not") {
    bench.pass(seconds(1));
    CHECK(bench.closed(3));
  }
}

TEST_CASE("a newcomer has links to a member that came after it to open, and the time for that") {
  MasterBench bench(kPatientLinks);
  bench.found(1);
  bench.arrive({2});
  bench.hello(3);
  bench.link(3, 1);
  bench.call_update({1});
  CHECK(bench.members(2) == Peers{1, 2});
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.pass(seconds(9));
  CHECK_FALSE(bench.closed(3));
  bench.link(3, 2);
  bench.call_update({1, 2});
  CHECK(bench.members(3) == Peers{1, 2, 3});
}

TEST_CASE("a newcomer is not refused for members that are away, or while it is away itself") {
  MasterBench bench({.silence = seconds(3600), .recovery = seconds(30), .link_open = seconds(10)});
  bench.found(3);
  bench.hello(4);
  bench.link(4, 1);
  bench.link(4, 2);
  SECTION("a member is away") {
    bench.pass(seconds(5));
    bench.close(3);
    bench.pass(seconds(20));
    CHECK_FALSE(bench.closed(4));
    bench.resume(3);
    bench.link(4, 3);
  }
  SECTION("it is away") {
    bench.pass(seconds(5));
    bench.close(4);
    bench.pass(seconds(20));
    CHECK(bench.pending() == 1);
    bench.hello(4);
    bench.link(4, 3);
  }
  bench.call_update({1, 2, 3});
  CHECK(bench.members(4) == Peers{1, 2, 3, 4});
}

// ---------------------------------------------------------------------------------------- connections break

TEST_CASE("a visitor whose connection breaks keeps its place and its links for a while") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3, 4});
  const std::size_t told = bench.count<Visitors>(1);
  bench.close(3);
  bench.pass_alive(seconds(4), {1, 2, 4});
  CHECK(bench.visitors(1) == Peers{3, 4});
  SECTION("it comes back with its id and token") {
    bench.hello(3);
    CHECK(bench.count<Welcome>(3) == 2);
    bench.pass(milliseconds(100));
    CHECK(bench.group_members(3) == Peers{1, 2});
    CHECK(bench.visitors(3) == Peers{3, 4});
    CHECK(bench.count<Visitors>(1) == told);
    bench.call_update({1, 2});
    CHECK(bench.members(1) == Peers{1, 2, 3, 4});
  }
  SECTION("it does not") {
    bench.pass_alive(seconds(1), {1, 2, 4});
    CHECK(bench.visitors(1) == Peers{4});
    CHECK(bench.pending() == 1);
  }
}

TEST_CASE("a newcomer that was admitted while its connection was broken gets its view") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3});
  bench.call_update({1, 2});
  REQUIRE(bench.is_member(3));
  // As if that word had been lost.
  bench.hello(3);
  CHECK(bench.count<StartView>(3) == 2);
  CHECK(bench.last<StartView>(3).members.whole);
  CHECK(bench.last<StartView>(3).update_round == bench.last<UpdateDone>(1).update_round);
  CHECK(bench.role_of(3) == ConnectionRole::member);
  const OpKey key = bench.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) bench.report(peer, key);
  CHECK(bench.last<Committed>(3).key == key);
}

TEST_CASE("a newcomer that nobody was told of yet is forgotten with its connection") {
  MasterBench bench(kPatientLinks);
  bench.found(1);
  bench.hello(10);
  bench.pass(seconds(10));
  hello_as(bench, 11, 10);
  CHECK(bench.pending() == 1);
  bench.close(11);
  CHECK(bench.pending() == 0);
}

// ----------------------------------------------------------------------------------------------- how many

TEST_CASE("of one address so many are tried at once, and others have their place") {
  MasterBench bench(kPatientLinks);
  bench.found(1);
  const std::string host = "10.9.9.9";
  for (std::uint64_t peer = 100; peer < 100 + limits::kUnprovenPerSourceMax + 5; ++peer) {
    bench.come_from(peer, host);
    bench.hello(peer);
  }
  bench.hello(50);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).size() == limits::kUnprovenPerSourceMax + 1);
  CHECK(bench.visitors(1).back() == 50);
  bench.link(50, 1);
  bench.call_update({1});
  CHECK(bench.members(50) == Peers{1, 50});
  // One that is proven makes room for the next, and so does one that is refused.
  bench.link(100, 1);
  bench.link(100, 50);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).size() == limits::kUnprovenPerSourceMax + 1);
  bench.pass(seconds(10));
  CHECK(bench.visitors(1) == Peers{100, 133, 134, 135, 136});
}

TEST_CASE("of one group so many are tried at once, in order of arrival") {
  MasterBench bench(kPatientLinks);
  bench.found(1);
  for (std::uint64_t peer = 1000; peer < 1000 + limits::kUnprovenMax + 10; ++peer) bench.hello(peer);
  bench.hello(5000, 7);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).size() == limits::kUnprovenMax);
  CHECK(bench.group_members(1000 + limits::kUnprovenMax).empty());
  CHECK(bench.visitors(5000) == Peers{5000});
  for (std::uint64_t peer = 1000; peer < 1003; ++peer) bench.link(peer, 1);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).size() == limits::kUnprovenMax + 3);
  CHECK(bench.visitors(1).back() == 1000 + limits::kUnprovenMax + 2);
}

}  // namespace hawser
