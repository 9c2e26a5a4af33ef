#include "membership/master_bench.hpp"

/// Who may wait for admission, and what it is told of its settings before anybody dials it.
namespace hawser {
namespace {

struct From {
  std::string seen;     ///< Where the master sees it.
  std::string address;  ///< What it gives as its host; empty: nothing.
  std::uint64_t machine = 0;
};

void hello_from(MasterBench& bench, std::uint64_t peer, const From& from) {
  bench.come_from(peer, from.seen);
  bench.open(peer);
  Introduction who = bench.introduction(peer);
  who.address.host = from.address;
  who.machine = from.machine;
  bench.say(peer, Hello{who});
}

}  // namespace

TEST_CASE("strangers, double introductions and other versions are refused") {
  MasterBench bench;
  bench.found(2);
  bench.open(8);
  bench.say(8, Ping{});
  CHECK(bench.last<Refused>(8).error.status == Status::refused);
  CHECK(bench.closed(8));
  bench.open(9);
  Introduction old = bench.introduction(9);
  old.protocol_version = kProtocolVersion + 1;
  bench.say(9, Hello{old});
  CHECK(bench.last<Refused>(9).error.sentence.find(std::to_string(kProtocolVersion + 1)) != std::string::npos);
  CHECK(bench.closed(9));
  bench.open(10);
  Introduction nowhere = bench.introduction(10);
  nowhere.address.port = 0;
  bench.say(10, Hello{nowhere});
  CHECK(bench.closed(10));
  bench.say(2, Hello{bench.introduction(2)});
  CHECK(bench.closed(2));
  CHECK(bench.members(1) == Peers{1});
  bench.hello(3);
  bench.say(3, Hello{bench.introduction(3)});
  CHECK(bench.closed(3));
}

TEST_CASE("who does not say who it is is closed after a while") {
  MasterBench bench;
  bench.open(7);
  bench.pass(seconds(5) - milliseconds(1));
  CHECK_FALSE(bench.closed(7));
  bench.pass(milliseconds(1));
  CHECK(bench.closed(7));
  CHECK(bench.told(7).empty());
}

TEST_CASE("a peer is a stranger, then a newcomer, then a member") {
  MasterBench bench;
  bench.open(1);
  CHECK_FALSE(bench.role_of(1));
  bench.say(1, Hello{bench.introduction(1)});
  CHECK(bench.role_of(1) == ConnectionRole::newcomer);
  bench.pass(seconds(1));
  CHECK(bench.role_of(1) == ConnectionRole::member);
}

TEST_CASE("an id that is taken is refused to whoever lacks its token, and nothing happens to its peer") {
  MasterBench bench;
  bench.found(2);
  bench.hello(3);
  for (const std::uint64_t id : {2, 3}) {
    bench.open(100 + id);
    Introduction who = bench.introduction(id);
    who.token ^= 1;
    bench.say(100 + id, Hello{who});
    CHECK(bench.last<Refused>(100 + id).error.status == Status::refused);
    CHECK(bench.closed(100 + id));
    CHECK_FALSE(bench.closed(id));
  }
  bench.pass_alive(seconds(8), {1, 2, 3});
  CHECK(bench.members(1) == Peers{1, 2});
}

TEST_CASE("a hello of an outdated connection is dropped without a word") {
  MasterBench bench;
  bench.found(1);
  bench.open(3);
  const ConnectionId first = bench.newest(3);
  const Introduction older = bench.introduction(3);
  bench.open(3);
  bench.say(3, Hello{bench.introduction(3)});
  bench.say_on(first, Hello{older});
  CHECK(bench.closed(first));
  CHECK_FALSE(bench.closed(3));
  bench.link(3, 1);
  bench.call_update({1});
  CHECK(bench.members(3) == Peers{1, 3});
  // As a member, too.
  bench.open(3);
  Introduction now = bench.introduction(3);
  const ConnectionId second = bench.newest(3);
  bench.resume(3);
  bench.say_on(second, Hello{now});
  CHECK(bench.closed(second));
  CHECK_FALSE(bench.closed(3));
}

// -------------------------------------------------------------------------------------------------- addresses

TEST_CASE("who gives no address is dialled where the master sees it") {
  MasterBench bench;
  bench.found(1);
  hello_from(bench, 2, {.seen = "203.0.113.9", .address = ""});
  CHECK(bench.last<Welcome>(2).seen_host == "203.0.113.9");
  CHECK(bench.count<Notice>(2) == 0);
  CHECK(bench.last<Visitors>(1).visitors.came.front().address.host == "203.0.113.9");
}

TEST_CASE("an address that means every interface is refused, and says what to do") {
  MasterBench bench;
  bench.found(1);
  std::uint64_t peer = 10;
  for (const char* const any : {"0.0.0.0", "::"}) {
    hello_from(bench, ++peer, {.seen = "203.0.113.9", .address = any});
    CHECK(bench.closed(peer));
    CHECK(bench.last<Refused>(peer).error.sentence.find("advertise_address") != std::string::npos);
    CHECK(bench.last<Refused>(peer).error.sentence.find(any) != std::string::npos);
  }
  CHECK(bench.pending() == 0);
}

TEST_CASE("two machines whose addresses only they can dial can't be in one group") {
  MasterBench bench;
  hello_from(bench, 1, {.seen = "203.0.113.1", .address = "127.0.0.1", .machine = 1});
  bench.pass(seconds(1));
  REQUIRE(bench.is_member(1));
  SECTION("another machine, as bad") {
    hello_from(bench, 2, {.seen = "203.0.113.2", .address = "localhost", .machine = 2});
    CHECK(bench.closed(2));
    const std::string& sentence = bench.last<Refused>(2).error.sentence;
    for (const char* const part : {"p1", "127.0.0.1", "localhost", "advertise_address"})
      CHECK(sentence.find(part) != std::string::npos);
  }
  SECTION("the same machine") {
    hello_from(bench, 2, {.seen = "203.0.113.1", .address = "127.0.0.1", .machine = 1});
    CHECK_FALSE(bench.closed(2));
  }
  SECTION("a machine that is not known") {
    hello_from(bench, 2, {.seen = "203.0.113.2", .address = "127.0.0.1", .machine = 0});
    CHECK_FALSE(bench.closed(2));
  }
  SECTION("another machine that can be dialled") {
    hello_from(bench, 2, {.seen = "203.0.113.2", .address = "203.0.113.2", .machine = 2});
    CHECK_FALSE(bench.closed(2));
  }
  SECTION("one on the master's machine, which is dialled where the master is") {
    hello_from(bench, 2, {.seen = "127.0.0.1", .address = "127.0.0.1", .machine = 2});
    CHECK_FALSE(bench.closed(2));
  }
}

TEST_CASE("an address that may not be meant so is noticed, and its peer goes on") {
  struct Case {
    From from;
    const char* notice;  ///< A part of it; null: none.
  };
  const std::vector<Case> cases{
      {.from = {.seen = "203.0.113.1", .address = "127.0.0.1"}, .notice = "this machine only"},
      {.from = {.seen = "203.0.113.1", .address = "192.168.1.5"}, .notice = "private network"},
      {.from = {.seen = "2001:db8::1", .address = "fd00::1"}, .notice = "private network"},
      {.from = {.seen = "192.168.1.5", .address = "192.168.1.5"}, .notice = nullptr},
      {.from = {.seen = "127.0.0.1", .address = "127.0.0.1"}, .notice = nullptr},
      {.from = {.seen = "127.0.0.1", .address = "192.168.1.5"}, .notice = nullptr},
      {.from = {.seen = "203.0.113.1", .address = "203.0.113.1"}, .notice = nullptr},
      {.from = {.seen = "203.0.113.1", .address = "198.51.100.7"}, .notice = nullptr},
      {.from = {.seen = "203.0.113.1", .address = "node7.example.org"}, .notice = nullptr},
      {.from = {.seen = "203.0.113.1", .address = ""}, .notice = nullptr},
  };
  std::uint64_t peer = 10;
  MasterBench bench;
  bench.found(1);
  for (const Case& one : cases) {
    INFO(one.from.seen << " gives " << one.from.address);
    hello_from(bench, ++peer, one.from);
    CHECK_FALSE(bench.closed(peer));
    REQUIRE(bench.count<Notice>(peer) == (one.notice != nullptr ? 1U : 0U));
    if (one.notice == nullptr) continue;
    CHECK(bench.last<Notice>(peer).sentence.find(one.notice) != std::string::npos);
    CHECK(bench.last<Notice>(peer).sentence.find(one.from.address) != std::string::npos);
  }
}

}  // namespace hawser
