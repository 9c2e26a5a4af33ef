#include "catch.hpp"
#include "membership/master_bench.hpp"

using namespace hawser;

namespace {

constexpr PartyId kParty{77};

/// A peer of a party of two comes; the shard number is its group.
void arrive(MasterBench& bench, std::uint64_t peer, std::uint32_t group, PartyId party = kParty) {
  bench.open(peer);
  Introduction who = bench.introduction(peer, group);
  who.party = {.id = party, .size = 2};
  bench.say(peer, Hello{who});
}

/// Two replicas of two shards each: party 77 is members 1 (group 0) and 2 (group 1), party 78 is 3 and 4.
void found_two_parties(MasterBench& bench) {
  arrive(bench, 1, 0);
  arrive(bench, 2, 1);
  arrive(bench, 3, 0, PartyId{78});
  arrive(bench, 4, 1, PartyId{78});
  bench.pass(MasterConfig{}.bootstrap);
  bench.prepare({1, 2, 3, 4});
  REQUIRE(bench.view(1).size() == 2);
  REQUIRE(bench.view(2).size() == 2);
}

}  // namespace

TEST_CASE("a run does not begin with half of a party") {
  MasterBench bench;
  arrive(bench, 1, 0);
  bench.pass(2 * MasterConfig{}.bootstrap);
  CHECK(bench.count<Prepare>(1) == 0);
  arrive(bench, 2, 1);
  bench.pass(MasterConfig{}.bootstrap);
  bench.prepare({1, 2});
  CHECK(bench.view(1).size() == 1);
  CHECK(bench.view(2).size() == 1);
}

TEST_CASE("update-topology waits for nobody of a party that is not complete, and admits it when it is") {
  MasterBench bench;
  bench.found(2);
  arrive(bench, 3, 0);
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.call_update({1, 2});
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  CHECK(bench.count<Prepare>(3) == 0);
  arrive(bench, 4, 1);
  CHECK(bench.last<WorldNews>(1).pending == 2);
  bench.call_update({1, 2});
  bench.prepare({1, 2, 3, 4});
  CHECK(bench.view(3).size() == 3);
  CHECK(bench.view(4).size() == 1);
}

TEST_CASE("half of a party that goes before its admission leaves the other half waiting") {
  MasterBench bench;
  bench.found(1);
  arrive(bench, 3, 0);
  arrive(bench, 4, 1);
  bench.close(4);
  CHECK(bench.last<WorldNews>(1).pending == 0);
  bench.call_update({1});
  CHECK(bench.count<UpdateDone>(1) == 1);
  CHECK(bench.count<Prepare>(3) == 0);
  arrive(bench, 5, 1);
  bench.call_update({1});
  CHECK(bench.count<Prepare>(3) == 1);
  CHECK(bench.count<Prepare>(5) == 1);
}

TEST_CASE("a party whose half cannot be reached is not admitted") {
  MasterBench bench;
  bench.found(1);
  arrive(bench, 3, 0);
  arrive(bench, 4, 0);
  bench.call_update({1});
  bench.say(1, Prepared{.view = bench.last<Prepare>(1).view.id, .unreachable = {bench.id(4)}});
  bench.prepare({3, 4});
  CHECK(bench.closed(4));
  CHECK(bench.last<UpdateDone>(1).error.status == Status::success);
  CHECK(bench.count<StartView>(3) == 0);
}

TEST_CASE("a party is lost as a whole, and others are not") {
  MasterBench bench;
  found_two_parties(bench);
  bench.close(3);
  CHECK(bench.last<Expelled>(4).error.status == Status::expelled);
  CHECK(bench.last<Expelled>(4).error.sentence.find(", of this peer's party, was lost") != std::string::npos);
  CHECK(bench.closed(4));
  CHECK(bench.view(1).size() == 1);
  CHECK(bench.view(2).size() == 1);
  CHECK_FALSE(bench.closed(1));
  // It comes in anew, as a whole.
  arrive(bench, 5, 0, PartyId{78});
  bench.call_update({1, 2});
  CHECK(bench.count<Prepare>(5) == 0);
  arrive(bench, 6, 1, PartyId{78});
  bench.call_update({1, 2});
  bench.prepare({1, 2, 5, 6});
  CHECK(bench.view(5).size() == 2);
  CHECK(bench.view(6).size() == 2);
}

TEST_CASE("who leaves takes nobody of its party along") {
  MasterBench bench;
  found_two_parties(bench);
  bench.say(3, Leave{});
  CHECK(bench.view(1).size() == 1);
  CHECK_FALSE(bench.closed(4));
  CHECK(bench.view(4).size() == 2);
}

TEST_CASE("a member whose companion comes in anew has to come in anew, too") {
  MasterBench bench;
  found_two_parties(bench);
  arrive(bench, 5, 0, PartyId{78});
  CHECK(bench.last<Expelled>(3).error.status == Status::expelled);
  CHECK(bench.last<Expelled>(4).error.status == Status::expelled);
  CHECK_FALSE(bench.closed(5));
  CHECK(bench.view(1).size() == 1);
}
