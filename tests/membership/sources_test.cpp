#include "base/limits.hpp"
#include "membership/master_bench.hpp"

/// What one address may do, and that it shuts out nobody elsewhere.
namespace hawser {
namespace {

const std::string kFlooder = "10.9.9.9";
constexpr std::uint64_t kFirst = 100000;

/// A run of two, and a newcomer from elsewhere that comes in.
void check_others_get_in(MasterBench& bench, std::uint64_t newcomer = 50) {
  bench.hello(newcomer);
  REQUIRE_FALSE(bench.closed(newcomer));
  bench.pass(milliseconds(100));
  REQUIRE(bench.group_members(newcomer) == Peers{1, 2});
  bench.link(newcomer, 1);
  bench.link(newcomer, 2);
  bench.call_update({1, 2});
  CHECK(bench.members(newcomer) == Peers{1, 2, newcomer});
}

}  // namespace

TEST_CASE("of one address so many connections may not have said who they are") {
  MasterBench bench(kPatient);
  bench.found(2);
  for (std::uint64_t i = 0; i < limits::kStrangersPerSourceMax + 10; ++i) {
    bench.come_from(kFirst + i, kFlooder);
    bench.open(kFirst + i);
    CHECK(bench.closed(kFirst + i) == (i >= limits::kStrangersPerSourceMax));
  }
  check_others_get_in(bench);
  // One that says who it is makes room.
  bench.say(kFirst, Hello{bench.introduction(kFirst)});
  bench.come_from(kFirst + 1000, kFlooder);
  bench.open(kFirst + 1000);
  CHECK_FALSE(bench.closed(kFirst + 1000));
}

TEST_CASE("of all addresses together so many are not known yet, and the oldest goes") {
  MasterBench bench(kPatient);
  bench.found(2);
  for (std::uint64_t i = 0; i < limits::kStrangersMax + 3; ++i) bench.open(kFirst + i);
  for (std::uint64_t i = 0; i < limits::kStrangersMax + 3; ++i) CHECK(bench.closed(kFirst + i) == (i < 3));
  check_others_get_in(bench);
}

TEST_CASE("one address may open so many connections in a time, whatever comes of them") {
  MasterBench bench(kPatient);
  bench.found(2);
  std::uint64_t next = kFirst;
  const auto flood = [&](std::uint64_t times) {
    std::uint64_t taken = 0;
    for (std::uint64_t i = 0; i < times; ++i) {
      bench.come_from(next, kFlooder);
      bench.open(next);
      if (!bench.closed(next)) {
        ++taken;
        bench.close(next);
      }
      ++next;
    }
    return taken;
  };
  CHECK(flood(1000) == static_cast<std::uint64_t>(limits::kOpensBurst));
  bench.pass(milliseconds(500));
  CHECK(flood(1000) == static_cast<std::uint64_t>(limits::kOpensPerSecond / 2));
  check_others_get_in(bench);
  bench.pass(seconds(60));
  CHECK(flood(1000) == static_cast<std::uint64_t>(limits::kOpensBurst));
}

TEST_CASE("a flood of hellos from one address shuts out nobody elsewhere") {
  MasterBench bench(kPatient);
  bench.found(2);
  const bool prefetch = GENERATE(false, true);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t peer = kFirst + i;
    bench.come_from(peer, kFlooder);
    bench.open(peer);
    bench.say(peer, Hello{.who = bench.introduction(peer), .prefetches = prefetch});
    bench.pass(milliseconds(20));
  }
  CHECK(bench.pending() <= limits::kPendingPerSourceMax);
  check_others_get_in(bench);
  // What they are told is no more than who it takes to find out whether somebody can be reached.
  CHECK(bench.visitors(1).size() <= limits::kVisitorsPerSourceMax + 1);
}

TEST_CASE("so many wait for admission, of one address and of all") {
  MasterBench bench(kPatient);
  bench.found(2);
  std::uint64_t next = kFirst;
  const auto hello_from = [&](const std::string& host) {
    bench.come_from(next, host);
    bench.hello(next);
    return !bench.closed(next++);
  };
  for (std::size_t i = 0; i < limits::kPendingPerSourceMax; ++i) {
    REQUIRE(hello_from(kFlooder));
    bench.pass(milliseconds(5));
  }
  bench.pass(seconds(5));
  CHECK_FALSE(hello_from(kFlooder));
  check_others_get_in(bench);
  std::size_t from_all = bench.pending();
  for (std::uint64_t host = 0; from_all < limits::kPendingPeersMax; ++host, ++from_all)
    REQUIRE(hello_from("10.8." + std::to_string(host / 200) + "." + std::to_string(host % 200)));
  CHECK_FALSE(hello_from("10.7.7.7"));
}

TEST_CASE("many addresses that want all that they can get leave room for one that wants little") {
  MasterBench bench(kPatient);
  bench.found(2);
  constexpr std::uint64_t hosts = 50;
  for (std::uint64_t i = 0; i < hosts * limits::kPendingPerSourceMax; ++i) {
    const std::uint64_t peer = kFirst + i;
    bench.come_from(peer, "10.8.0." + std::to_string(i % hosts));
    bench.open(peer);
    if (!bench.closed(peer)) bench.say(peer, Hello{.who = bench.introduction(peer)});
    if (i % hosts == 0) bench.pass(milliseconds(20));
  }
  CHECK(bench.pending() > limits::kPendingPeersMax / 2);
  check_others_get_in(bench);
}

TEST_CASE("a newcomer without a link that loses its connection keeps no place") {
  MasterBench bench(kPatient);
  bench.found(2);
  bench.hello(50);
  bench.pass(milliseconds(100));
  REQUIRE(bench.visitors(1) == Peers{50});
  bench.close(50);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).empty());
  CHECK(bench.pending() == 0);
}

TEST_CASE("members count for nothing of what their address may do") {
  MasterBench bench(kPatient);
  // All from one address, as behind one router; as many as are tried at once.
  Peers all;
  for (std::uint64_t peer = 1; peer <= 20; ++peer) {
    bench.come_from(peer, kFlooder);
    all.push_back(peer);
  }
  bench.arrive(all);
  bench.pass(seconds(1));
  REQUIRE(bench.view(1).size() == 20);
  for (std::uint64_t i = 0; i < limits::kStrangersPerSourceMax; ++i) {
    bench.come_from(kFirst + i, kFlooder);
    bench.open(kFirst + i);
    CHECK_FALSE(bench.closed(kFirst + i));
  }
  // Whatever members do, they come back one after the other.
  for (std::uint64_t i = 0; i < limits::kStrangersPerSourceMax; ++i) bench.close(kFirst + i);
  for (int round = 0; round < 5; ++round)
    for (const auto peer : all) {
      bench.close(peer);
      bench.resume(peer);
      REQUIRE_FALSE(bench.closed(peer));
    }
  CHECK(bench.count<StartView>(1) == 1);
}

TEST_CASE("a member of a flooded address comes back") {
  MasterBench bench(kPatient);
  for (const std::uint64_t peer : {1, 2}) bench.come_from(peer, kFlooder);
  bench.found(2);
  for (std::uint64_t i = 0; i < 40; ++i) {
    bench.come_from(kFirst + i, kFlooder);
    bench.open(kFirst + i);
  }
  bench.close(1);
  bench.resume(1);
  CHECK(bench.members(2) == Peers{1, 2});
}

TEST_CASE("an IPv6 network counts as one address") {
  MasterBench bench(kPatient);
  std::size_t taken = 0;
  // The driver says which network an address is of; the bench's connections do not.
  MasterMachine master(kPatient, 1, Instant{});
  for (std::uint64_t i = 1; i <= 200; ++i) {
    MasterActions actions;
    master.step(Instant{}, ConnectionOpened{.connection = {i}, .remote_host = "2001:db8::" + std::to_string(i),
                                            .source = "2001:db8::/64"},
                actions);
    taken += std::none_of(actions.begin(), actions.end(),
                          [](const auto& one) { return std::holds_alternative<CloseConnection>(one); });
  }
  CHECK(taken == limits::kStrangersPerSourceMax);
}

TEST_CASE("addresses of which nothing is open are forgotten in the end") {
  MasterBench bench(kPatient);
  bench.found(2);
  // Whether they are shows in nothing but memory; that their limits begin anew is what must hold.
  for (std::uint64_t i = 0; i < 10000; ++i) {
    bench.come_from(kFirst + i, "10." + std::to_string(i >> 8 & 255) + ".7." + std::to_string(i & 255));
    bench.open(kFirst + i);
    bench.close(kFirst + i);
    if (i % 100 == 0) bench.pass(milliseconds(100));
  }
  check_others_get_in(bench);
  CHECK(bench.machine().snapshot().connections == 3);
}

}  // namespace hawser
