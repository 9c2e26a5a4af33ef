#include "base/limits.hpp"
#include "membership/majority.hpp"
#include "membership/master_bench.hpp"

/// Several masters, of which that one serves which holds a lease.
namespace hawser {
namespace {

constexpr MasterConfig kBeginsByLease{.silence = seconds(3600), .has_others = true, .has_lease = true};
constexpr MasterConfig kStandsByForLease{
    .silence = seconds(3600), .has_others = true, .is_standby = true, .has_lease = true};

struct LeasedMasters {
  MasterBench first{kBeginsByLease};
  MasterBench second{kStandsByForLease, 99};
  std::uint64_t size = 0;

  explicit LeasedMasters(std::uint64_t members, std::uint64_t term = 5) : size(members) {
    first.take_lease(term);
    first.see_others({.all_answered = true});
    first.arrive(all());
    for (int i = 0; i < 5; ++i) {
      first.pass(milliseconds(300));
      first.see_others({.all_answered = true});
    }
    REQUIRE(first.members(1) == all());
    second.see_lease(term);
  }
  Peers all() const {
    Peers peers;
    for (std::uint64_t peer = 1; peer <= size; ++peer) peers.push_back(peer);
    return peers;
  }
  void go_to_second(const Peers& peers, std::uint64_t term = 5) {
    for (const auto peer : peers) {
      Resume claim = first.memory(peer);
      claim.term = term;
      second.come_back(first, peer, claim);
    }
  }
};

}  // namespace

TEST_CASE("a run that begins by a lease has its revision as the term") {
  LeasedMasters masters(2, 1000);
  CHECK(masters.first.machine().snapshot().term == 1000);
  CHECK(term_of(masters.first.view(1).epoch) == 1000);
  CHECK(masters.first.last<StartView>(1).quorums.empty());
}

TEST_CASE("without the lease nobody is served, however many have come; with it all at once") {
  LeasedMasters masters(3);
  masters.go_to_second({1, 2, 3});
  masters.second.pass(seconds(20));
  CHECK(masters.second.count<Welcome>(1) == 0);
  CHECK(masters.second.last<Standby>(1).gathers);
  CHECK(masters.second.machine().gathered());
  masters.second.take_lease(9);
  REQUIRE(masters.second.last<Welcome>(1).term == 9);
  masters.second.present_outcomes({1, 2, 3});
  CHECK(masters.second.members(1) == Peers{1, 2, 3});
  CHECK(term_of(masters.second.view(1).epoch) == 9);
  CHECK(masters.second.machine().snapshot().serves);
}

TEST_CASE("with a lease the run goes on with however few have come, once the others have had their time") {
  LeasedMasters masters(5);
  masters.go_to_second({4});
  masters.second.take_lease(9);
  masters.second.pass(seconds(4));
  CHECK(masters.second.count<Welcome>(4) == 0);
  masters.second.pass(seconds(2));
  REQUIRE(masters.second.last<Welcome>(4).term == 9);
  masters.second.present_outcomes({4});
  CHECK(masters.second.members(4) == Peers{4});
  // Too late.
  Resume late = masters.first.memory(2);
  late.term = 5;
  masters.second.say_back(masters.first, 2, late);
  CHECK(masters.second.count<Expelled>(2) == 1);
}

TEST_CASE("a member whose links say that the others are gone waits a second for them") {
  LeasedMasters masters(3);
  masters.go_to_second({3});
  masters.second.say(3, Linked{.all = true, .up = {}, .down = {{1}, {2}}, .refused = {{1}, {2}}});
  masters.second.pass(milliseconds(1500));
  masters.second.take_lease(9);
  masters.second.pass(milliseconds(100));
  REQUIRE(masters.second.last<Welcome>(3).term == 9);
}

TEST_CASE("of few members that are left the newest view counts") {
  LeasedMasters masters(5);
  MasterBench& first = masters.first;
  for (const std::uint64_t peer : {1, 2}) first.close(peer);
  first.link_down(3, {1, 2}, true);
  first.link_down(4, {1, 2}, true);
  first.link_down(5, {1, 2}, true);
  first.pass(seconds(6));
  REQUIRE(first.members(3) == Peers{3, 4, 5});
  // The first one was lost, and knows nothing of that.
  masters.go_to_second({1, 3});
  masters.second.take_lease(9);
  masters.second.pass(seconds(6));
  masters.second.present_outcomes({3});
  CHECK(masters.second.members(3) == Peers{3});
  CHECK(masters.second.count<Expelled>(1) == 1);
}

TEST_CASE("a collective that all who are left had reported is committed by the next holder") {
  LeasedMasters masters(3);
  const OpKey key = masters.first.key(1);
  masters.go_to_second({1, 2});
  masters.second.take_lease(9);
  masters.second.pass(seconds(6));
  for (const std::uint64_t peer : {1, 2})
    masters.second.say(peer, OutcomesPresented{.undecided = {MasterBench::undecided(key, true)}, .committed = {}});
  CHECK(masters.second.last<Committed>(1).key == key);
  CHECK(masters.second.last<Committed>(2).key == key);
}

TEST_CASE("who loses the lease closes all connections at once, and tells nobody anything") {
  LeasedMasters masters(3);
  for (const auto peer : masters.all()) masters.first.forget(peer);
  masters.first.lose_lease();
  for (const auto peer : masters.all()) {
    CHECK(masters.first.told(peer).empty());
    CHECK(masters.first.closed(peer));
  }
  CHECK_FALSE(masters.first.machine().snapshot().serves);
  CHECK(masters.first.leases_given_up() == 0);
  // A newcomer is sent elsewhere.
  masters.first.hello(9);
  CHECK(masters.first.closed(9));
}

TEST_CASE("a holder that has lost all its members gives the lease up; good-byes cost nothing") {
  LeasedMasters masters(2);
  MasterBench& first = masters.first;
  first.say(1, Leave{});
  CHECK(first.members(2) == Peers{2});
  CHECK(first.machine().snapshot().serves);
  const bool leaves = GENERATE(true, false);
  if (leaves) {
    first.say(2, Leave{});
    CHECK(first.machine().snapshot().serves);
    CHECK(first.leases_given_up() == 0);
  } else {
    first.close(2);
    first.pass(seconds(6));
    CHECK_FALSE(first.machine().snapshot().serves);
    CHECK(first.leases_given_up() == 1);
  }
}

TEST_CASE("members that wait here go to whoever has taken the lease since") {
  LeasedMasters masters(3);
  masters.go_to_second({1, 2});
  masters.second.see_lease(5);
  CHECK_FALSE(masters.second.closed(1));
  masters.second.see_lease(6);
  CHECK(masters.second.closed(1));
  CHECK_FALSE(masters.second.last<Standby>(1).gathers);
  CHECK_FALSE(masters.second.machine().gathered());
}

TEST_CASE("members that have accepted a later term than the lease gives are not taken over") {
  LeasedMasters masters(3);
  masters.go_to_second({1, 2, 3}, 7);
  masters.second.take_lease(6);
  masters.second.pass(seconds(20));
  CHECK(masters.second.count<Welcome>(1) == 0);
  CHECK(masters.second.logged("takeover-waits") >= 1);
}

TEST_CASE("a lease counts all changes of its service: its terms may be far apart, up to the last one") {
  LeasedMasters masters(2);
  masters.go_to_second({1, 2}, limits::kTermMax - 1);
  masters.second.take_lease(limits::kTermMax);
  masters.second.pass(seconds(2));
  masters.second.present_outcomes({1, 2});
  CHECK(term_of(masters.second.view(1).epoch) == limits::kTermMax);
}

TEST_CASE("a holder begins a run also without the other masters, once members would have come") {
  MasterBench alone(kBeginsByLease);
  alone.hello(1);
  CHECK(alone.closed(1));
  alone.take_lease(3);
  alone.hello(1);
  CHECK(alone.closed(1));
  alone.pass(seconds(5));
  alone.hello(1);
  CHECK_FALSE(alone.closed(1));
  MasterBench standby(kStandsByForLease);
  standby.take_lease(3);
  standby.pass(seconds(5));
  standby.hello(1);
  CHECK(standby.closed(1));
}

TEST_CASE("a holder that begins no run lets another master have the lease when no members come") {
  MasterBench standby(kStandsByForLease);
  standby.take_lease(3);
  standby.see_others({.all_answered = true});
  CHECK(standby.leases_given_up() == 0);
  standby.pass(seconds(5));
  standby.see_others({.all_answered = true});
  CHECK(standby.leases_given_up() == 1);
}

TEST_CASE("a holder that members do not reach lets another master have the lease") {
  MasterBench alone(kBeginsByLease);
  alone.take_lease(3);
  alone.see_others({.all_answered = true, .gathered = 1});
  CHECK(alone.leases_given_up() == 0);
  alone.pass(seconds(5));
  alone.see_others({.all_answered = true, .gathered = 1});
  CHECK(alone.leases_given_up() == 1);
}

}  // namespace hawser
