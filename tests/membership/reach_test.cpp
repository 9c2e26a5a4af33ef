/// Peers that are told to dial each other at once.
#include "base/limits.hpp"
#include "master_bench.hpp"
#include "peer_bench.hpp"

namespace hawser {
namespace {

const Ways kWays{.port = 4000, .hosts = {"192.168.1.2"}, .is_from_port = true};

std::vector<Address> addresses_told(PeerBench& bench, const DialEachOther& message) {
  bench.actions.clear();
  bench.say(message);
  return bench.last<DialPeer>().to;
}

}  // namespace

TEST_CASE("both are told of each other as the master sees them") {
  MasterBench bench;
  bench.hello(1);
  bench.hello(2);
  bench.say(1, kWays);
  bench.say(2, Ways{.port = 5000});
  bench.say(1, BothDial{.to = {2}});
  CHECK(bench.last<DialEachOther>(1) ==
        DialEachOther{.peer = {2}, .seen = {MasterBench::host(2), 0}, .ways = {.port = 5000}});
  CHECK(bench.last<DialEachOther>(2) ==
        DialEachOther{.peer = {1}, .seen = {MasterBench::host(1), 60'001}, .ways = kWays});
}

TEST_CASE("nobody is told of peers of another group, of none, or of itself") {
  MasterBench bench;
  bench.hello(1);
  bench.hello(2, 1);
  for (const std::uint64_t to : {1, 2, 3}) bench.say(1, BothDial{.to = {to}});
  CHECK(bench.count<DialEachOther>(1) == 0);
  CHECK(bench.count<DialEachOther>(2) == 0);
}

TEST_CASE("how many others one may have dialled is bounded") {
  MasterBench bench(kPatient);
  bench.hello(1);
  bench.hello(2);
  for (int i = 0; i < 1000; ++i) bench.say(1, BothDial{.to = {2}});
  CHECK(bench.count<DialEachOther>(2) == static_cast<std::size_t>(limits::kBothDialsBurst));
  bench.say(2, BothDial{.to = {1}});
  CHECK(bench.count<DialEachOther>(2) == static_cast<std::size_t>(limits::kBothDialsBurst) + 1);
}

TEST_CASE("whoever has given a wrong address is told so, once") {
  MasterBench bench;
  bench.hello(1);
  bench.hello(2);
  bench.say(1, BothDial{.to = {2}});
  CHECK(bench.count<Notice>(2) == 0);
  for (int i = 0; i < 3; ++i) bench.say(1, BothDial{.to = {2}, .why = "connection refused"});
  REQUIRE(bench.count<Notice>(2) == 1);
  CHECK(bench.last<Notice>(2).sentence.find("connection refused") != std::string::npos);
  CHECK(bench.last<Notice>(2).sentence.find("advertise_address 10.0.0.2:1002") != std::string::npos);
}

TEST_CASE("a peer tells how it may be dialled once it is welcomed, and asks for links that it wants") {
  PeerBench bench;
  bench.machine.connect(bench.now, PeerBench::me(), false, bench.actions);
  bench.machine.master_up(bench.now, kWays, bench.actions);
  CHECK(bench.sent<Ways>().empty());
  bench.say(Welcome{.run = {1}, .seen_host = "198.51.100.5"});
  bench.say(Welcome{.run = {1}, .seen_host = "198.51.100.5"});
  CHECK(bench.sent<Ways>() == std::vector{kWays});
  bench.machine.link_unreached({2}, "no answer", bench.actions);
  CHECK(bench.sent<BothDial>().empty());
  bench.group_members({2, 9});
  bench.machine.link_unreached({2}, "no answer", bench.actions);
  CHECK(bench.sent<BothDial>() == std::vector{BothDial{.to = {2}, .why = "no answer"}});
  bench.actions.clear();
  bench.say(DialEachOther{.peer = {77}, .seen = {"203.0.113.1", 61000}, .ways = kWays});
  CHECK(bench.count<DialPeer>() == 0);
}

TEST_CASE("addresses are dialled in the order of their likelihood") {
  PeerBench bench({.master_host = "master.example"});
  bench.connect();
  bench.say(Welcome{.run = {1}, .seen_host = "198.51.100.5"});
  bench.group_members({2});
  const Address advertised{"10.0.0.1", 1};
  // Another NAT: what it shows first, then the port itself; nothing of a private network elsewhere.
  CHECK(addresses_told(bench, {.peer = {2}, .seen = {"203.0.113.1", 61000}, .ways = kWays}) ==
        std::vector<Address>{{"203.0.113.1", 61000}, {"203.0.113.1", 4000}, advertised});
  // The same NAT: by the inside first.
  CHECK(addresses_told(bench, {.peer = {2}, .seen = {"198.51.100.5", 61000}, .ways = kWays}) ==
        std::vector<Address>{{"192.168.1.2", 4000}, {"198.51.100.5", 61000}, {"198.51.100.5", 4000}, advertised});
  // On the master's machine: where the master is dialled.
  CHECK(addresses_told(bench, {.peer = {2}, .seen = {"127.0.0.1", 61000}, .ways = kWays}) ==
        std::vector<Address>{{"master.example", 4000}, advertised});
  // Not seen from the port that it listens on, and with a global address of its own.
  CHECK(addresses_told(bench, {.peer = {2},
                               .seen = {"203.0.113.1", 0},
                               .ways = {.port = 4000, .hosts = {"2001:db8::1", "127.0.0.1"}}}) ==
        std::vector<Address>{{"203.0.113.1", 4000}, advertised, {"2001:db8::1", 4000}});
}

TEST_CASE("in one private network inner addresses are tried, too") {
  PeerBench bench;
  bench.connect();
  bench.group_members({2});
  CHECK(addresses_told(bench, {.peer = {2}, .seen = {"10.0.0.7", 4000}, .ways = kWays}) ==
        std::vector<Address>{{"10.0.0.7", 4000}, {"10.0.0.1", 1}, {"192.168.1.2", 4000}});
}

}  // namespace hawser
