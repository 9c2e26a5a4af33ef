#include "membership/peer_bench.hpp"
#include "membership/run_bench.hpp"

/// Relays in a run: how they come in, what they are told, and that nobody misses them.
namespace hawser {
namespace {

using Numbers = std::vector<std::uint64_t>;

constexpr Signature kLarge{.count = 1 << 20};

/// Members 1 to 3, and 9, a relay.
void found_with_relay(RunBench& bench) {
  bench.connect_relay(9);
  for (const std::uint64_t peer : {1, 2, 3}) bench.connect(peer);
  bench.pass(seconds(1));
  REQUIRE(bench.view(1) == Numbers{1, 2, 3, 9});
  REQUIRE(bench.view(9) == Numbers{1, 2, 3, 9});
  REQUIRE(bench.machine(1).view().size() == 3);
}

}  // namespace

TEST_CASE("a relay waits for members, and comes in behind them") {
  RunBench bench;
  bench.connect_relay(9);
  bench.pass(seconds(10));
  CHECK(bench.view(9).empty());
  bench.connect(2);
  bench.pass(seconds(3));
  CHECK(bench.view(2) == Numbers{2, 9});
  CHECK(bench.machine(2).view().size() == 1);
  CHECK(bench.machine(2).view().relays() == 1);
  CHECK(bench.machine(2).world().size == 1);
  // Whoever comes later comes in before it.
  bench.connect(1);
  bench.connect(3);
  bench.pass(milliseconds(200));
  bench.update({2});
  CHECK(bench.view(9) == Numbers{2, 1, 3, 9});
  CHECK(bench.view(1) == Numbers{2, 1, 3, 9});
  CHECK(bench.links(9) == Numbers{1, 2, 3});
}

TEST_CASE("members call, update and commit without a relay, and a member's newcomer needs no link to it") {
  RunBench bench;
  found_with_relay(bench);
  bench.collective({1, 2, 3}, 7);
  CHECK(bench.peer(1).committed.size() == 1);
  bench.forbid(4, 9);
  bench.forbid(9, 4);
  bench.connect(4);
  bench.pass(milliseconds(200));
  CHECK(bench.machine(1).pending() == 1);
  bench.update({1, 2, 3});
  CHECK(bench.updates(1) == 1);
  CHECK(bench.view(4) == Numbers{1, 2, 3, 4, 9});
}

TEST_CASE("a relay is told of calls whose plans need it, once, and again when it comes back") {
  RunBench bench;
  found_with_relay(bench);
  const OpKey plain = bench.begin(1, 1, kLarge);
  const OpKey relayed = bench.begin(1, 2, kLarge, true);
  (void)bench.begin(2, 2, kLarge, true);
  bench.pass(milliseconds(5));
  CHECK(bench.peer(9).relayed == std::set<OpKey>{relayed});
  CHECK_FALSE(bench.peer(9).relayed.contains(plain));
  // What it was told over the connection before may be lost.
  bench.sleep_master();
  (void)bench.begin(1, 3, kLarge, true);
  bench.pass(milliseconds(5));
  bench.cut(9);
  bench.wake_master();
  bench.pass(seconds(1));
  CHECK(bench.peer(9).relayed.size() == 2);
  (void)bench.begin(3, 2, kLarge, true);
  for (const std::uint64_t peer : {1, 2, 3}) bench.result_whole(peer, relayed);
  CHECK(bench.peer(1).committed.contains(relayed));
  CHECK(bench.peer(9).committed.contains(relayed));
}

TEST_CASE("a relay that dies costs no member its call: it may begin again at once") {
  RunBench bench;
  found_with_relay(bench);
  const OpKey key = bench.begin(1, 2, kLarge, true);
  (void)bench.begin(2, 2, kLarge, true);
  bench.pass(milliseconds(5));
  bench.kill(9);
  bench.pass(seconds(1));
  CHECK(bench.view(1) == Numbers{1, 2, 3});
  CHECK(bench.peer(1).may_begin_again.contains(key));
  CHECK(bench.peer(2).may_begin_again.contains(key));
  CHECK(bench.peer(1).aborted.at(key).sentence.find("begins again") != std::string::npos);
  bench.collective({1, 2, 3}, 2, kLarge);
  CHECK(bench.peer(3).committed.size() == 1);
}

TEST_CASE("a relay that takes and gives nothing is lost alone, and what it held up begins again") {
  RunBench bench;
  found_with_relay(bench);
  const OpKey key = bench.begin(1, 2, kLarge, true);
  for (const std::uint64_t peer : {2, 3}) (void)bench.begin(peer, 2, kLarge, true);
  // One of the members has its result, and another one all but the relay's part.
  bench.result_whole(1, key);
  bench.pass(seconds(5));
  for (const std::uint64_t peer : {2, 3}) bench.complain(peer, key, {9});
  bench.pass(seconds(2));
  CHECK(bench.view(2) == Numbers{1, 2, 3});
  CHECK(bench.machine(9).phase() == PeerMachine::Phase::lost);
  for (const std::uint64_t peer : {1, 2, 3}) CHECK(bench.peer(peer).may_begin_again.contains(key));
}

TEST_CASE("a member that dies with a relay beside it is a loss as any other") {
  RunBench bench;
  found_with_relay(bench);
  const OpKey key = bench.begin(1, 2, kLarge, true);
  bench.kill(3);
  bench.pass(seconds(1));
  CHECK(bench.view(1) == Numbers{1, 2, 9});
  CHECK(bench.peer(1).aborted.contains(key));
  CHECK(bench.peer(1).may_begin_again.empty());
}

TEST_CASE("a group whose last member goes leaves its relay behind, which waits for others") {
  RunBench bench;
  found_with_relay(bench);
  for (const std::uint64_t peer : {1, 2, 3}) bench.leave(peer);
  bench.pass(milliseconds(10));
  CHECK(bench.machine(9).phase() == PeerMachine::Phase::lost);
  bench.connect_relay(9);
  bench.pass(seconds(5));
  CHECK(bench.view(9).empty());
  bench.connect(4);
  bench.pass(seconds(5));
  CHECK(bench.view(4) == Numbers{4, 9});
  CHECK(bench.machine(4).view().size() == 1);
}

TEST_CASE("after a restart of the master the members are back without their relay, which comes anew") {
  RunBench bench;
  found_with_relay(bench);
  bench.kill_master();
  bench.pass(milliseconds(100));
  bench.start_master(2);
  bench.pass(seconds(3));
  CHECK(bench.view(1) == Numbers{1, 2, 3});
  CHECK(bench.machine(9).phase() == PeerMachine::Phase::lost);
  bench.connect_relay(9);
  bench.pass(milliseconds(500));
  bench.update({1, 2, 3});
  CHECK(bench.view(1) == Numbers{1, 2, 3, 9});
}

TEST_CASE("a group has eight relays at most") {
  RunBench bench;
  for (std::uint64_t relay = 11; relay <= 20; ++relay) bench.connect_relay(relay);
  bench.connect(1);
  bench.pass(seconds(4));
  CHECK(bench.machine(1).view().relays() == 8);
  bench.connect_relay(21);
  bench.pass(milliseconds(500));
  bench.update({1});
  CHECK(bench.machine(1).view().relays() == 8);
  REQUIRE(bench.peer(21).connect_ended);
  CHECK(bench.peer(21).connect_ended->sentence.find("8 relays") != std::string::npos);
}

TEST_CASE("a relay that calls something is lost") {
  RunBench bench;
  found_with_relay(bench);
  SECTION("update-topology") { bench.update({9}); }
  SECTION("a collective") { bench.result_whole(9, bench.begin(9, 1)); }
  bench.pass(milliseconds(10));
  CHECK(bench.machine(9).phase() == PeerMachine::Phase::lost);
  CHECK(bench.view(1) == Numbers{1, 2, 3});
}

namespace {

/// Peer 5 in a view with 2, and with 8 and 9, relays; it has called something. Then a view without some of them.
struct BeginAgainBench {
  explicit BeginAgainBench() {
    bench.connect();
    bench.group_members({2});
    bench.link(2, LinkChange::up);
    bench.pass(milliseconds(2));
    start(view(1, {2, 5, 8, 9}), 1);
    (void)*bench.machine.begin(bench.now, 1, kLarge);
  }
  static View view(std::uint64_t epoch, const std::vector<std::uint64_t>& numbers) {
    View made = PeerBench::view(epoch, numbers);
    for (Member& member : made.members) member.is_relay = member.id.value >= 8;
    return made;
  }
  void start(const View& next, std::uint64_t calls_since) {
    bench.say(StartView{.epoch = next.epoch,
                        .id = next.id,
                        .group = next.group,
                        .link_secret = next.link_secret,
                        .members = whole_list(next.members),
                        .cause = {Status::peer_lost, "gone"},
                        .fingerprint = fingerprint(next),
                        .calls_since = {calls_since}});
  }
  bool begins_again() const { return bench.last<OpAborted>().may_begin_again; }

  PeerBench bench;
};

}  // namespace

TEST_CASE("calls begin again where nothing but relays has gone, in one view or several") {
  BeginAgainBench one;
  SECTION("one") { one.start(BeginAgainBench::view(2, {2, 5, 9}), 1); }
  SECTION("one after the other, and the view between was never heard of") {
    one.start(BeginAgainBench::view(3, {2, 5}), 1);
  }
  CHECK(one.begins_again());
  CHECK(one.bench.machine.calls_since() == Epoch{1});
  CHECK(one.bench.last<ViewStarted>().calls_go_on);
}

TEST_CASE("calls end where something else has ended a view that this peer has not heard of") {
  BeginAgainBench one;
  // Such as a mismatch, and then the relays went.
  one.start(BeginAgainBench::view(3, {2, 5}), 2);
  CHECK_FALSE(one.begins_again());
  CHECK(one.bench.machine.calls_since() == Epoch{2});
  CHECK_FALSE(one.bench.last<ViewStarted>().calls_go_on);
  CHECK(one.bench.last<ViewStarted>().cause.status == Status::peer_lost);
}

TEST_CASE("calls end where a master says that they go on, and a member has gone") {
  BeginAgainBench one;
  one.start(BeginAgainBench::view(2, {5, 9}), 1);
  CHECK_FALSE(one.begins_again());
  CHECK(one.bench.machine.calls_since() == Epoch{2});
}

}  // namespace hawser
