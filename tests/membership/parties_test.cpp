#include "membership/master_bench.hpp"

/// Peers that are of no use without each other.
namespace hawser {
namespace {

constexpr PartyId kParty{77};

/// A peer of a party comes; the shard number is its group.
void arrive(MasterBench& bench, std::uint64_t peer, std::uint32_t group, Party party = {.id = kParty, .size = 2},
            std::vector<Term> terms = {}) {
  bench.open(peer);
  Introduction who = bench.introduction(peer, group);
  who.party = party;
  who.terms = std::move(terms);
  bench.say(peer, Hello{who});
  bench.pass(milliseconds(100));
  bench.link(peer);
}

constexpr Party kOther{.id = {78}, .size = 2};

/// Two replicas of two shards each: party 77 is members 1 (group 0) and 2 (group 1), party 78 is 3 and 4.
void found_two_parties(MasterBench& bench) {
  arrive(bench, 1, 0);
  arrive(bench, 2, 1);
  arrive(bench, 3, 0, kOther);
  arrive(bench, 4, 1, kOther);
  bench.pass(MasterConfig{}.bootstrap);
  REQUIRE(bench.members(1) == Peers{1, 3});
  REQUIRE(bench.members(2) == Peers{2, 4});
}

}  // namespace

TEST_CASE("a run does not begin with half of a party") {
  MasterBench bench;
  arrive(bench, 1, 0);
  bench.pass_alive(5 * MasterConfig{}.bootstrap, {1});
  CHECK_FALSE(bench.is_member(1));
  arrive(bench, 2, 1);
  bench.pass(MasterConfig{}.bootstrap);
  CHECK(bench.members(1) == Peers{1});
  CHECK(bench.members(2) == Peers{2});
}

TEST_CASE("update-topology waits for nobody of a party that is not complete, and admits it when it is") {
  MasterBench bench;
  bench.found(2);
  arrive(bench, 3, 0);
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.call_update({1, 2});
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  CHECK_FALSE(bench.is_member(3));
  arrive(bench, 4, 1);
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 2);
  bench.call_update({1, 2});
  CHECK(bench.members(3) == Peers{1, 2, 3});
  CHECK(bench.members(4) == Peers{4});
}

TEST_CASE("half of a party that goes before its admission leaves the other half waiting") {
  MasterBench bench;
  bench.found(1);
  arrive(bench, 3, 0);
  arrive(bench, 4, 1);
  bench.say(4, Leave{});
  bench.pass(milliseconds(100));
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.call_update({1});
  CHECK(bench.count<UpdateDone>(1) == 1);
  CHECK_FALSE(bench.is_member(3));
  arrive(bench, 5, 1);
  bench.call_update({1});
  CHECK(bench.is_member(3));
  CHECK(bench.is_member(5));
}

TEST_CASE("a party of which half is away waits, and comes in when that is back") {
  MasterBench bench;
  bench.found(1);
  arrive(bench, 3, 0);
  arrive(bench, 4, 1);
  bench.close(4);
  bench.call_update({1});
  CHECK_FALSE(bench.is_member(3));
  arrive(bench, 4, 1);
  bench.call_update({1});
  CHECK(bench.is_member(3));
  CHECK(bench.is_member(4));
}

TEST_CASE("a party whose half cannot be reached is not admitted") {
  MasterBench bench;
  bench.found(1);
  arrive(bench, 3, 0);
  bench.open(4);
  Introduction who = bench.introduction(4);
  who.party = {.id = kParty, .size = 2};
  bench.say(4, Hello{who});
  bench.link(3, 4);
  bench.call_update({1});
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  bench.pass_alive(MasterConfig{}.link_open + milliseconds(100), {1, 3, 4});
  CHECK(bench.closed(4));
  CHECK_FALSE(bench.closed(3));
  bench.call_update({1});
  CHECK_FALSE(bench.is_member(3));
}

TEST_CASE("a party of which one does not fit comes in as little as that one") {
  MasterBench bench;
  bench.found(1);
  // Group 5 has no members yet, so who fits to whom shows at the admission only.
  arrive(bench, 2, 5, {}, {{.name = "lr", .value = "1"}});
  arrive(bench, 3, 5, {.id = kParty, .size = 2}, {{.name = "lr", .value = "2"}});
  arrive(bench, 4, 6);
  bench.call_update({1});
  CHECK(bench.members(2) == Peers{2});
  CHECK(bench.closed(3));
  CHECK(bench.last<Refused>(3).error.sentence.find("lr is \"2\" here and \"1\" there") != std::string::npos);
  CHECK_FALSE(bench.is_member(4));
  CHECK_FALSE(bench.closed(4));
  // Another one in its place does.
  arrive(bench, 5, 5, {.id = kParty, .size = 2}, {{.name = "lr", .value = "1"}});
  bench.call_update({1, 2});
  CHECK(bench.members(5) == Peers{2, 5});
  CHECK(bench.members(4) == Peers{4});
}

TEST_CASE("one whose party is not complete decides nothing of what others must have alike") {
  MasterBench bench;
  bench.found(1);
  arrive(bench, 2, 5, {.id = kParty, .size = 2}, {{.name = "lr", .value = "1"}});
  arrive(bench, 3, 5, {}, {{.name = "lr", .value = "2"}});
  bench.call_update({1});
  CHECK(bench.members(3) == Peers{3});
  CHECK_FALSE(bench.closed(2));
}

TEST_CASE("a party is lost as a whole, and others are not") {
  MasterBench bench;
  found_two_parties(bench);
  bench.close(3);
  // A broken connection is no loss yet.
  CHECK_FALSE(bench.closed(4));
  bench.link_down(1, {3});
  bench.pass(milliseconds(300));
  CHECK(bench.last<Expelled>(4).error.status == Status::expelled);
  CHECK(bench.last<Expelled>(4).error.sentence.find(", of this peer's party, was lost") != std::string::npos);
  CHECK(bench.closed(4));
  CHECK(bench.members(1) == Peers{1});
  CHECK(bench.members(2) == Peers{2});
  CHECK_FALSE(bench.closed(1));
  // It comes in anew, as a whole.
  arrive(bench, 5, 0, kOther);
  bench.call_update({1, 2});
  CHECK_FALSE(bench.is_member(5));
  arrive(bench, 6, 1, kOther);
  bench.call_update({1, 2});
  CHECK(bench.members(5) == Peers{1, 5});
  CHECK(bench.members(6) == Peers{2, 6});
}

TEST_CASE("who leaves takes nobody of its party along") {
  MasterBench bench;
  found_two_parties(bench);
  bench.say(3, Leave{});
  CHECK(bench.members(1) == Peers{1});
  CHECK_FALSE(bench.closed(4));
  CHECK(bench.members(4) == Peers{2, 4});
}

TEST_CASE("a member whose companion comes in anew has to come in anew, too") {
  MasterBench bench;
  found_two_parties(bench);
  SECTION("since that had lost its connection") {
    bench.close(3);
    // That may come back: anybody can name a party.
    bench.open(5);
    Introduction who = bench.introduction(5);
    who.party = kOther;
    bench.say(5, Hello{who});
    CHECK(bench.closed(5));
    CHECK(bench.told(5).empty());
    CHECK_FALSE(bench.closed(4));
    bench.pass_alive(MasterConfig{}.recovery + milliseconds(1), {1, 2, 4});
  }
  SECTION("since that had left") {
    bench.say(3, Leave{});
  }
  arrive(bench, 5, 0, kOther);
  CHECK_FALSE(bench.closed(5));
  CHECK(bench.last<Expelled>(4).error.status == Status::expelled);
  CHECK(bench.members(1) == Peers{1});
  CHECK(bench.members(2) == Peers{2});
}

TEST_CASE("a party that is whole and connected can't be taken, nor can its size be changed") {
  MasterBench bench;
  found_two_parties(bench);
  for (const std::uint32_t size : {2U, 3U, 1024U}) {
    const std::uint64_t stranger = 100 + size;
    arrive(bench, stranger, 0, {.id = kParty, .size = size});
    CHECK(bench.last<Refused>(stranger).error.status == Status::refused);
    CHECK(bench.closed(stranger));
  }
  // A party of one is none: such a number means nothing.
  for (const std::uint32_t size : {0U, 1U}) arrive(bench, 100 + size, 0, {.id = kParty, .size = size});
  SECTION("and after one has lost its connection not by another size") {
    bench.close(1);
    arrive(bench, 200, 0, {.id = kParty, .size = 3});
    CHECK(bench.closed(200));
  }
  CHECK(bench.count<Expelled>(1) == 0);
  CHECK(bench.count<Expelled>(2) == 0);
  CHECK(bench.count<StartView>(1) == 1);
  CHECK(bench.count<StartView>(2) == 1);
}

TEST_CASE("who names a party while its members come back to a restarted master changes nothing for them") {
  MasterBench before;
  found_two_parties(before);
  MasterBench after({}, 99);
  const auto come_back = [&](std::uint64_t peer) {
    Resume claim = before.memory(peer);
    claim.who.party = peer < 3 ? Party{.id = kParty, .size = 2} : kOther;
    claim.who.group = before.view(peer).group;
    after.come_back(before, peer, claim);
  };
  const auto hello = [&](std::uint64_t stranger) {
    after.open(stranger);
    Introduction who = after.introduction(stranger);
    who.party = kOther;
    after.say(stranger, Hello{who});
  };
  hello(100);
  hello(101);
  come_back(3);
  SECTION("by a hello") {
    hello(102);
    CHECK(after.closed(102));
    CHECK(after.told(102).empty());
  }
  SECTION("by a claim of a group of its own, and is lost with it") {
    MasterBench own({}, 5);
    own.arrive({200}, 7);
    own.pass(seconds(1));
    Resume claim = own.memory(200);
    claim.run = before.last<Welcome>(1).run;
    claim.who.party = kOther;
    after.come_back(own, 200, claim);
    SECTION("before the run goes on") { after.say(200, Hello{claim.who}); }
    SECTION("after that") {}
  }
  for (const std::uint64_t peer : {1, 2, 4}) come_back(peer);
  after.pass(seconds(1));
  after.present_outcomes({1, 2, 3, 4});
  if (after.count<Present>(200) > 1) after.say(200, OutcomesPresented{});
  for (const std::uint64_t peer : {1, 2, 3, 4}) REQUIRE(after.count<StartView>(peer) == 1);
  // Those of the members' party that were there before do not come in beside them.
  after.link(100, 101);
  after.call_update({1, 2, 3, 4});
  CHECK_FALSE(after.is_member(100));
  if (after.count<Present>(200) > 1) after.close(200);
  after.pass_alive(MasterConfig{}.recovery + seconds(1), {1, 2, 3, 4});
  CHECK(after.members(3) == Peers{1, 3});
  CHECK(after.members(4) == Peers{2, 4});
  // Nor can anybody take the party.
  hello(103);
  CHECK(after.last<Refused>(103).error.status == Status::refused);
}

TEST_CASE("a party of which one comes in anew before the others are back to a restarted master comes in as a whole") {
  MasterBench before;
  found_two_parties(before);
  MasterBench after({}, 99);
  const auto come_back = [&](std::uint64_t peer) {
    Resume claim = before.memory(peer);
    claim.who.party = peer < 3 ? Party{.id = kParty, .size = 2} : kOther;
    claim.who.group = before.view(peer).group;
    after.come_back(before, peer, claim);
  };
  // Nobody knows yet that 3 is of its party, and a member.
  arrive(after, 104, 1, kOther);
  for (const std::uint64_t peer : {1, 2, 3}) come_back(peer);
  after.pass_alive(MasterConfig{}.recovery + seconds(1), {1, 2, 3, 104});
  after.present_outcomes({1, 2, 3});
  after.pass(seconds(1));
  REQUIRE(after.members(1) == Peers{1, 3});
  REQUIRE(after.members(2) == Peers{2});
  CHECK_FALSE(after.is_member(104));
  // After as long again nobody comes back any more.
  after.pass_alive(MasterConfig{}.recovery, {1, 2, 3, 104});
  CHECK(after.members(1) == Peers{1});
  CHECK(after.last<Expelled>(3).error.status == Status::expelled);
  arrive(after, 103, 0, kOther);
  after.link(104);
  after.pass(milliseconds(100));
  after.call_update({1, 2});
  CHECK(after.is_member(103));
  CHECK(after.is_member(104));
}

}  // namespace hawser
