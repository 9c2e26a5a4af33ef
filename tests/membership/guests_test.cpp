#include "base/limits.hpp"
#include "master_bench.hpp"

namespace hawser {
namespace {

std::vector<std::uint64_t> numbers(const std::vector<Member>& members) {
  std::vector<std::uint64_t> all;
  for (const Member& member : members) all.push_back(member.id.value);
  return all;
}

std::vector<std::uint64_t> hosts(MasterBench& bench, std::uint64_t peer) {
  return numbers(bench.last<Hosts>(peer).members);
}
std::vector<std::uint64_t> guests(MasterBench& bench, std::uint64_t peer) {
  return numbers(bench.last<Guests>(peer).guests);
}
std::vector<std::uint64_t> members(MasterBench& bench, std::uint64_t peer) {
  return numbers(bench.view(peer).members);
}

Resume memory(MasterBench& before, std::uint64_t peer) {
  return {.who = before.introduction(peer),
          .run = before.last<Welcome>(peer).run,
          .view = before.view(peer),
          .undecided = {},
          .committed = {}};
}

using Peers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a guest is told its hosts and the members their guest, with the secret of the view") {
  MasterBench bench;
  bench.found(2);
  CHECK(bench.count<Guests>(1) == 0);
  bench.hello_guest(3);
  CHECK(bench.count<Welcome>(3) == 1);
  CHECK(bench.last<Hosts>(3).members == bench.view(1).members);
  CHECK(bench.last<Hosts>(3).link_secret == bench.view(1).link_secret);
  for (const std::uint64_t peer : {1, 2}) {
    CHECK(guests(bench, peer) == Peers{3});
    CHECK(bench.last<Guests>(peer).guests.front().address.port == 1003);
  }
  // Nothing has changed: nothing is said.
  for (const std::uint64_t peer : {1, 2, 3}) bench.say(peer, Ping{});
  bench.pass(seconds(1));
  CHECK(bench.count<Hosts>(3) == 1);
  CHECK(bench.count<Guests>(1) == 1);
  CHECK(bench.machine().snapshot().guests == 1);
  CHECK(bench.machine().snapshot().pending == 1);
}

TEST_CASE("peers that do not prefetch hear nothing of hosts, nor the members of them") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  CHECK(bench.count<Hosts>(3) == 0);
  CHECK(bench.count<Guests>(1) == 0);
}

TEST_CASE("a guest that prefetches is nobody whom an update-topology waits for or admits") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.call_update({1, 2});
  CHECK(bench.count<Prepare>(3) == 0);
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  bench.say(3, PrefetchOver{});
  CHECK(bench.last<WorldNews>(1).pending == 1);
  CHECK(guests(bench, 1) == Peers{3});
  bench.call_update({1, 2});
  bench.prepare({1, 2, 3});
  CHECK(members(bench, 3) == Peers{1, 2, 3});
  CHECK(bench.count<UpdateDone>(1) == 2);
  // A member needs no hosts and is no guest.
  CHECK(bench.count<Hosts>(3) == 1);
  CHECK(bench.count<Guests>(3) == 0);
  CHECK(guests(bench, 1).empty());
  CHECK(bench.machine().snapshot().guests == 0);
}

TEST_CASE("others are admitted while a guest prefetches, and it is told its new hosts") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.hello(4);
  CHECK(bench.last<WorldNews>(1).pending == 1);
  bench.call_update({1, 2});
  CHECK(numbers(bench.last<Prepare>(4).view.members) == Peers{1, 2, 4});
  CHECK(bench.count<Prepare>(3) == 0);
  bench.prepare({1, 2, 4});
  CHECK(hosts(bench, 3) == Peers{1, 2, 4});
  CHECK(guests(bench, 4) == Peers{3});
  CHECK(bench.count<Guests>(1) == 1);
}

TEST_CASE("the place in the order of admission is that of the end of the prefetch") {
  MasterBench bench;
  bench.found(1);
  bench.hello_guest(5);
  bench.hello_guest(4);
  bench.hello(3);
  bench.say(4, PrefetchOver{});
  bench.hello(2);
  bench.say(5, PrefetchOver{});
  // Said twice: the first counts.
  bench.say(4, PrefetchOver{});
  bench.call_update({1});
  bench.prepare({1, 2, 3, 4, 5});
  CHECK(members(bench, 1) == Peers{1, 3, 4, 2, 5});
}

TEST_CASE("a prefetch that ends after an update's admission has begun waits for the next") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.hello(4);
  bench.hello(5);
  bench.call_update({1, 2});
  bench.say(3, PrefetchOver{});
  bench.close(5);
  bench.prepare({1, 2, 4});
  CHECK(members(bench, 1) == Peers{1, 2, 4});
  CHECK(bench.last<WorldNews>(1).pending == 1);
}

TEST_CASE("the end of a prefetch from who does not prefetch changes nothing") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  bench.hello(4);
  for (const std::uint64_t peer : {1, 3}) bench.say(peer, PrefetchOver{});
  CHECK_FALSE(bench.closed(1));
  CHECK(bench.count<Hosts>(3) == 0);
  bench.call_update({1, 2});
  bench.prepare({1, 2, 3, 4});
  CHECK(members(bench, 1) == Peers{1, 2, 3, 4});
  bench.open(5);
  bench.say(5, PrefetchOver{});
  CHECK(bench.closed(5));
}

TEST_CASE("a guest that goes is no guest any more, whichever way it goes") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.hello_guest(4);
  CHECK(guests(bench, 1) == Peers{3, 4});
  SECTION("its connection ends") { bench.close(3); }
  SECTION("it leaves") { bench.say(3, Leave{}); }
  SECTION("it falls silent") {
    bench.pass(seconds(3));
    for (const std::uint64_t peer : {1, 2, 4}) bench.say(peer, Ping{});
    bench.pass(seconds(3));
    CHECK(bench.closed(3));
  }
  SECTION("after its prefetch is over") {
    bench.say(3, PrefetchOver{});
    CHECK(guests(bench, 1) == Peers{3, 4});
    bench.close(3);
  }
  CHECK(guests(bench, 1) == Peers{4});
  CHECK(guests(bench, 2) == Peers{4});
  CHECK(bench.view(1).size() == 2);
  CHECK(bench.count<StartView>(1) == 1);
  CHECK(hosts(bench, 4) == Peers{1, 2});
  CHECK(bench.last<WorldNews>(1).pending == 0);
}

TEST_CASE("a guest is told of lost members, and of the last one") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.close(1);
  CHECK(hosts(bench, 3) == Peers{2});
  bench.close(2);
  CHECK(hosts(bench, 3).empty());
  // It can fetch from nobody now.
  bench.say(3, PrefetchOver{});
  bench.prepare({3});
  CHECK(members(bench, 3) == Peers{3});
}

TEST_CASE("guests and hosts are those of one group") {
  MasterBench bench;
  for (const std::uint64_t peer : {1, 2}) bench.hello(peer, 0);
  bench.hello(3, 7);
  bench.pass(seconds(1));
  bench.prepare({1, 2, 3});
  bench.hello_guest(4, 7);
  bench.hello_guest(5, 9);
  CHECK(hosts(bench, 4) == Peers{3});
  CHECK(hosts(bench, 5).empty());
  CHECK(guests(bench, 3) == Peers{4});
  CHECK(bench.count<Guests>(1) == 0);
  bench.close(2);
  CHECK(bench.count<Hosts>(4) == 1);
  // A guest of a group without members is admitted with the next update of all.
  bench.say(5, PrefetchOver{});
  bench.call_update({1, 3});
  bench.prepare({5});
  CHECK(members(bench, 5) == Peers{5});
}

TEST_CASE("a guest's links may fail to open as any newcomer's") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.say(3, PrefetchOver{});
  bench.call_update({1, 2});
  const ViewId proposed = bench.last<Prepare>(3).view.id;
  for (const std::uint64_t peer : {2, 3}) bench.say(peer, Prepared{.view = proposed, .unreachable = {}});
  bench.say(1, Prepared{.view = proposed, .unreachable = {MasterBench::id(3)}});
  CHECK(bench.last<Refused>(3).error.status == Status::refused);
  CHECK(guests(bench, 1).empty());
  CHECK(bench.count<UpdateDone>(1) == 1);
}

TEST_CASE("the first peers of a run may all have wanted to prefetch") {
  MasterBench bench;
  bench.hello_guest(1);
  CHECK(bench.last<Hosts>(1).members.empty());
  bench.say(1, PrefetchOver{});
  bench.hello_guest(2);
  SECTION("and say that it is over within the window") {
    bench.say(2, PrefetchOver{});
    CHECK(bench.count<Prepare>(1) == 0);
    bench.pass(seconds(1));
  }
  SECTION("or shortly after it, for those that came in time") {
    bench.pass(seconds(1));
    CHECK(bench.count<Prepare>(1) == 0);
    bench.hello_guest(3);
    bench.say(2, PrefetchOver{});
    CHECK(bench.count<Prepare>(3) == 0);
  }
  CHECK(numbers(bench.last<Prepare>(1).view.members) == Peers{1, 2});
  bench.prepare({1, 2});
  CHECK(members(bench, 2) == Peers{1, 2});
}

TEST_CASE(
    "a guest that never says that its prefetch is over is not in the first view, and does not hinder it") {
  MasterBench bench({.silence = seconds(60)});
  bench.hello_guest(1);
  bench.hello(2);
  bench.pass(milliseconds(1999));
  CHECK(bench.count<Prepare>(2) == 0);
  SECTION("it stays") {
    bench.pass(milliseconds(1));
    bench.prepare({2});
    CHECK(hosts(bench, 1) == Peers{2});
    CHECK(guests(bench, 2) == Peers{1});
  }
  SECTION("it goes") {
    bench.close(1);
    bench.prepare({2});
  }
  CHECK(members(bench, 2) == Peers{2});
}

TEST_CASE("a run starts with nobody while all its peers prefetch") {
  MasterBench bench({.silence = seconds(60)});
  bench.hello_guest(1);
  bench.pass(seconds(30));
  CHECK(bench.count<Prepare>(1) == 0);
  bench.say(1, PrefetchOver{});
  CHECK(bench.count<Prepare>(1) == 1);
}

TEST_CASE("a member that reconnects is told the guests anew, even that there are none") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  const auto come_back = [&] {
    const Resume resume = memory(bench, 2);
    bench.open(2);
    bench.say(2, resume);
  };
  come_back();
  CHECK(bench.count<Guests>(2) == 2);
  CHECK(guests(bench, 2) == Peers{3});
  CHECK(bench.count<Guests>(1) == 1);
  // One went while nothing could be told.
  bench.close(3);
  come_back();
  CHECK(bench.count<Guests>(2) == 4);
  CHECK(guests(bench, 2).empty());
}

TEST_CASE("members that resume with a restarted master forget the guests of the former one") {
  MasterBench before;
  before.found(2);
  before.hello_guest(3);
  MasterBench after({}, 99);
  const auto come_back = [&](std::uint64_t peer) {
    after.open(peer);
    after.say(peer, memory(before, peer));
  };
  SECTION("the guest comes last") {
    for (const std::uint64_t peer : {1, 2}) come_back(peer);
    CHECK(guests(after, 1).empty());
    CHECK(guests(after, 2).empty());
    after.hello_guest(3);
  }
  SECTION("the guest comes first") {
    after.hello_guest(3);
    CHECK(hosts(after, 3).empty());
    for (const std::uint64_t peer : {1, 2}) come_back(peer);
  }
  SECTION("the guest comes while the members do") {
    come_back(1);
    after.hello_guest(3);
    CHECK(hosts(after, 3).empty());
    CHECK(after.count<Guests>(1) == 0);
    come_back(2);
  }
  CHECK(hosts(after, 3) == Peers{1, 2});
  // The secret of the run that came back, not the one that the new master drew for itself.
  CHECK(after.last<Hosts>(3).link_secret == before.view(1).link_secret);
  for (const std::uint64_t peer : {1, 2}) CHECK(guests(after, peer) == Peers{3});
  after.say(3, PrefetchOver{});
  after.call_update({1, 2});
  after.prepare({1, 2, 3});
  CHECK(members(after, 3) == Peers{1, 2, 3});
}

TEST_CASE("guests count as peers that wait") {
  MasterBench bench;
  bench.found(1);
  for (std::uint64_t peer = 0; peer < limits::kPendingPeersMax; ++peer) bench.hello_guest(100 + peer);
  bench.hello(5000);
  CHECK(bench.closed(5000));
  bench.hello_guest(5001);
  CHECK(bench.closed(5001));
  CHECK(bench.last<Guests>(1).guests.size() == limits::kPendingPeersMax);
}

}  // namespace hawser
