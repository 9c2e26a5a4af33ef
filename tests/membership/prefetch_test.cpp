#include "base/limits.hpp"
#include "membership/master_bench.hpp"

/// Guests: newcomers that fetch state from the members before they may be admitted. They visit all the while.
namespace hawser {
TEST_CASE("a guest is told the members of its group and they their guest, and stays as long as it fetches") {
  MasterBench bench(kPatient);
  bench.found(2);
  bench.hello_guest(3);
  CHECK(bench.count<Welcome>(3) == 1);
  CHECK(bench.group_members(3) == Peers{1, 2});
  CHECK(bench.last<GroupMembers>(3).link_secret == bench.view(1).link_secret);
  for (const std::uint64_t peer : {1, 2}) CHECK(bench.visitors(peer) == Peers{3});
  CHECK(bench.machine().snapshot().guests == 1);
  CHECK(bench.machine().snapshot().pending == 1);
  // Nothing is proven of its links before it wants to come in, so they may take as long as they like.
  bench.pass(seconds(600));
  CHECK_FALSE(bench.closed(3));
  bench.say(3, PrefetchOver{});
  bench.pass(MasterConfig{}.link_open);
  CHECK(bench.closed(3));
}

TEST_CASE("a guest that prefetches is nobody whom an update-topology admits") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.link(3);
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.call_update({1, 2});
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  CHECK_FALSE(bench.is_member(3));
  bench.say(3, PrefetchOver{});
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 1);
  CHECK(bench.visitors(1) == Peers{3});
  const std::size_t group_members_sent = bench.count<GroupMembers>(3);
  bench.call_update({1, 2});
  CHECK(bench.members(3) == Peers{1, 2, 3});
  CHECK(bench.count<UpdateDone>(1) == 2);
  bench.pass(milliseconds(100));
  // A member need not be told of the members so, and is no visitor.
  CHECK(bench.count<GroupMembers>(3) == group_members_sent);
  for (const std::uint64_t peer : {1, 2, 3}) CHECK(bench.visitors(peer).empty());
  CHECK(bench.machine().snapshot().guests == 0);
}

TEST_CASE("others are admitted while a guest prefetches, and it is told of the new members") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.arrive({4});
  // No link to the guest is needed.
  bench.link_down(4, {3});
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 1);
  bench.call_update({1, 2});
  CHECK(bench.members(4) == Peers{1, 2, 4});
  bench.pass(milliseconds(100));
  CHECK(bench.group_members(3) == Peers{1, 2, 4});
  CHECK(bench.visitors(4) == Peers{3});
  CHECK(bench.visitors(1) == Peers{3});
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
  bench.pass(milliseconds(100));
  bench.link_all({1, 2, 3, 4, 5});
  bench.call_update({1});
  CHECK(bench.members(1) == Peers{1, 3, 4, 2, 5});
}

TEST_CASE("the end of a prefetch from who does not prefetch changes nothing") {
  MasterBench bench;
  bench.found(2);
  bench.arrive({3, 4});
  for (const std::uint64_t peer : {1, 3}) bench.say(peer, PrefetchOver{});
  CHECK_FALSE(bench.closed(1));
  bench.call_update({1, 2});
  CHECK(bench.members(1) == Peers{1, 2, 3, 4});
  bench.open(5);
  bench.say(5, PrefetchOver{});
  CHECK(bench.closed(5));
}

TEST_CASE("a guest that goes is no guest any more, whichever way it goes") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.hello_guest(4);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1) == Peers{3, 4});
  SECTION("its connection ends") {
    bench.close(3);
    bench.pass_alive(seconds(4), {1, 2, 4});
    CHECK(bench.visitors(1) == Peers{3, 4});
    bench.pass_alive(seconds(1), {1, 2, 4});
  }
  SECTION("it leaves") { bench.say(3, Leave{}); }
  SECTION("it falls silent") {
    bench.pass_alive(seconds(5), {1, 2, 4});
    CHECK(bench.closed(3));
  }
  SECTION("after its prefetch is over") {
    bench.say(3, PrefetchOver{});
    CHECK(bench.visitors(1) == Peers{3, 4});
    bench.say(3, Leave{});
  }
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1) == Peers{4});
  CHECK(bench.visitors(2) == Peers{4});
  CHECK(bench.count<StartView>(1) == 1);
  CHECK(bench.group_members(4) == Peers{1, 2});
  CHECK(bench.last<WorldNews>(1).pending == 0);
}

TEST_CASE("a guest whose connection breaks is back as a guest, or as one that has fetched all") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.link(3);
  const bool over = GENERATE(false, true);
  if (over) bench.say(3, PrefetchOver{});
  bench.close(3);
  bench.pass(seconds(1));
  bench.hello_guest(3);
  bench.pass(milliseconds(100));
  CHECK(bench.group_members(3) == Peers{1, 2});
  CHECK(bench.visitors(1) == Peers{3});
  CHECK(bench.last<WorldNews>(1).pending == (over ? 1U : 0U));
  bench.say(3, PrefetchOver{});
  bench.call_update({1, 2});
  CHECK(bench.members(3) == Peers{1, 2, 3});
}

TEST_CASE("a guest is told of lost members, and of the last one") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.say(1, Leave{});
  bench.pass(milliseconds(100));
  CHECK(bench.group_members(3) == Peers{2});
  bench.say(2, Leave{});
  bench.pass(milliseconds(100));
  CHECK(bench.group_members(3).empty());
  // It can fetch from nobody now.
  bench.say(3, PrefetchOver{});
  CHECK(bench.members(3) == Peers{3});
}

TEST_CASE("visitors and members are those of one group") {
  MasterBench bench;
  bench.arrive({1, 2}, 0);
  bench.arrive({3}, 7);
  bench.pass(seconds(1));
  bench.hello_guest(4, 7);
  bench.hello_guest(5, 9);
  bench.pass(milliseconds(100));
  CHECK(bench.group_members(4) == Peers{3});
  CHECK(bench.group_members(5).empty());
  CHECK(bench.visitors(3) == Peers{4});
  CHECK(bench.visitors(1).empty());
  const std::size_t told = bench.count<GroupMembers>(4);
  bench.say(2, Leave{});
  bench.pass(milliseconds(100));
  CHECK(bench.count<GroupMembers>(4) == told);
  // A guest of a group without members is admitted with the next update of all.
  bench.say(5, PrefetchOver{});
  bench.call_update({1, 3});
  CHECK(bench.members(5) == Peers{5});
}

TEST_CASE("the first peers of a run may all have wanted to prefetch") {
  MasterBench bench;
  bench.hello_guest(1);
  CHECK(bench.group_members(1).empty());
  CHECK(bench.count<GroupMembers>(1) == 1);
  bench.say(1, PrefetchOver{});
  bench.hello_guest(2);
  bench.link(1, 2);
  SECTION("and say that it is over within the window") {
    bench.say(2, PrefetchOver{});
    CHECK_FALSE(bench.is_member(1));
    bench.pass(seconds(1));
  }
  SECTION("or shortly after it, for those that came in time") {
    bench.pass(seconds(1));
    CHECK_FALSE(bench.is_member(1));
    bench.hello_guest(3);
    bench.say(2, PrefetchOver{});
    CHECK_FALSE(bench.is_member(3));
  }
  CHECK(bench.members(1) == Peers{1, 2});
  CHECK(bench.members(2) == Peers{1, 2});
}

TEST_CASE("a guest whose prefetch does not end is not in the first view, and does not hinder it") {
  MasterBench bench(kPatient);
  bench.hello_guest(1);
  bench.hello(2);
  bench.link(1, 2);
  bench.pass(milliseconds(1999));
  CHECK_FALSE(bench.is_member(2));
  SECTION("it stays") {
    bench.pass(milliseconds(101));
    CHECK(bench.group_members(1) == Peers{2});
    CHECK(bench.visitors(2) == Peers{1});
  }
  SECTION("it goes") { bench.say(1, Leave{}); }
  CHECK(bench.members(2) == Peers{2});
}

TEST_CASE("a run starts with nobody while all its peers prefetch") {
  MasterBench bench(kPatient);
  bench.hello_guest(1);
  bench.pass(seconds(30));
  CHECK_FALSE(bench.is_member(1));
  bench.say(1, PrefetchOver{});
  CHECK(bench.members(1) == Peers{1});
}

TEST_CASE("a member that reconnects is told the visitors anew, even that there are none") {
  MasterBench bench;
  bench.found(2);
  bench.hello_guest(3);
  bench.pass(milliseconds(100));
  const std::size_t told = bench.count<Visitors>(1);
  bench.resume(2);
  bench.pass(milliseconds(100));
  CHECK(bench.last<Visitors>(2).visitors.whole);
  CHECK(bench.visitors(2) == Peers{3});
  CHECK(bench.count<Visitors>(1) == told);
  // One goes while nothing can be told.
  bench.close(2);
  bench.say(3, Leave{});
  bench.pass(milliseconds(100));
  bench.resume(2);
  bench.pass(milliseconds(100));
  CHECK(bench.last<Visitors>(2).visitors.whole);
  CHECK(bench.visitors(2).empty());
}

TEST_CASE("members that resume with a restarted master forget the visitors of the former one") {
  MasterBench before;
  before.found(2);
  before.hello_guest(3);
  MasterBench after({}, 99);
  const auto recover = [&](std::uint64_t guest) {
    for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
    if (guest != 0) after.hello_guest(guest);
    after.pass(seconds(1));
    after.present_outcomes({1, 2});
    after.pass(milliseconds(100));
  };
  SECTION("the guest comes last") {
    recover(0);
    CHECK(after.visitors(1).empty());
    CHECK(after.last<Visitors>(1).visitors.whole);
    after.hello_guest(3);
  }
  SECTION("the guest comes first") {
    after.hello_guest(3);
    CHECK(after.group_members(3).empty());
    recover(0);
  }
  SECTION("the guest comes while the members do") {
    recover(3);
    CHECK(after.count<GroupMembers>(3) == 2);
  }
  after.pass(milliseconds(100));
  CHECK(after.group_members(3) == Peers{1, 2});
  // The secret of the run that came back, not the one that the new master drew for itself.
  CHECK(after.last<GroupMembers>(3).link_secret == before.view(1).link_secret);
  for (const std::uint64_t peer : {1, 2}) CHECK(after.visitors(peer) == Peers{3});
  after.link(3);
  after.say(3, PrefetchOver{});
  after.call_update({1, 2});
  CHECK(after.members(3) == Peers{1, 2, 3});
}

TEST_CASE("whoever prefetches for ever costs the members little") {
  MasterBench bench(kPatient);
  bench.found(2);
  std::size_t entries = 0;
  std::size_t words = 0;
  for (std::uint64_t peer = 1000; peer < 1300; ++peer) {
    bench.come_from(peer, "10.9.9.9");
    bench.hello_guest(peer);
    bench.pass(milliseconds(10));
  }
  bench.pass(seconds(10));
  for (const Visitors& told : bench.all<Visitors>(1)) {
    ++words;
    entries += told.visitors.came.size() + told.visitors.gone.size();
  }
  CHECK(bench.visitors(1).size() == limits::kVisitorsPerSourceMax);
  // And the two members that came and went before.
  CHECK(entries <= limits::kVisitorsPerSourceMax + 4);
  CHECK(words <= 32);
  // Those who are told of come from one address; another one has its place at once.
  bench.hello(50);
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).back() == 50);
  bench.link(50, 1);
  bench.link(50, 2);
  bench.call_update({1, 2});
  CHECK(bench.members(50) == Peers{1, 2, 50});
}

TEST_CASE("guests count as peers that wait") {
  MasterBench bench(kPatient);
  bench.found(1);
  for (std::uint64_t peer = 0; peer < limits::kPendingPeersMax; ++peer) bench.hello_guest(1000 + peer);
  bench.hello(5000);
  CHECK(bench.closed(5000));
  bench.hello_guest(5001);
  CHECK(bench.closed(5001));
  bench.pass(milliseconds(100));
  CHECK(bench.visitors(1).size() == limits::kVisitorsMax);
}

}  // namespace hawser
