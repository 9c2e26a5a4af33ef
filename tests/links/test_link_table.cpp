#include "links/link_table.hpp"

#include <array>

#include "catch.hpp"
#include "links/table_bench.hpp"
#include "wire/magic.hpp"

namespace hawser::links {

// ------------------------------------------------------------------------------------------- strangers

TEST_CASE("an accepted connection that says nothing ends at its bound") {
  TableBench bench;
  const SocketId silent = bench.accept(at(1000));
  CHECK(bench.table.next_deadline() == at(6000));
  bench.table.tick(at(5999), bench.out);
  CHECK(bench.table.strangers() == 1);
  bench.table.tick(at(6000), bench.out);
  CHECK(bench.closes(silent));
  CHECK(bench.table.strangers() == 0);
  CHECK(bench.count<Send>() == 0);
  CHECK_FALSE(bench.table.next_deadline());
}

TEST_CASE("a greeting counts only from the holder of the key that the peer is known by") {
  TableBench bench;
  const KeyId known{{1}}, other{{2}};
  bench.table.open(at(0),
                   {.peer = kSmall,
                    .name = "other",
                    .address = {"192.0.2.1", 4000},
                    .secret = kSecret,
                    .dial_after = seconds(1),
                    .key = known},
                   bench.out);
  const SocketId socket = bench.accept(at(10));
  const auto greet_as = [&](std::optional<KeyId> key) {
    bench.table.received(at(20), {.socket = socket, .bytes = bench.greeting(), .key = key}, bench.out);
  };
  SECTION("its own") {
    greet_as(known);
    CHECK(bench.answer(socket) == GreetingAnswer::accepted);
  }
  SECTION("another one") {
    greet_as(other);
    CHECK(bench.answer(socket) == GreetingAnswer::refused_unknown);
    CHECK(bench.closes(socket));
  }
  SECTION("none") {
    greet_as(std::nullopt);
    CHECK(bench.answer(socket) == GreetingAnswer::refused_unknown);
  }
  // A dial is told whom to expect.
  bench.table.tick(at(5000), bench.out);
  if (bench.count<Dial>() > 0) CHECK(bench.only<Dial>().key == known);
}

TEST_CASE("a held greeting is refused at its bound, which counts from the greeting") {
  TableBench bench;
  const SocketId early = bench.accept(at(0));
  bench.receive(at(3000), early, bench.greeting());
  CHECK_FALSE(bench.answer(early));
  CHECK(bench.table.next_deadline() == at(8000));
  // It is watched meanwhile: nothing may come before the answer.
  CHECK(bench.table.bytes_wanted(early) == 1);
  bench.table.tick(at(8000), bench.out);
  CHECK(bench.answer(early) == GreetingAnswer::refused_unknown);
  CHECK(bench.closes(early));
}

TEST_CASE("a held greeting is accepted when its link is opened here with its secret") {
  TableBench bench;
  const SocketId early = bench.greeted(at(0));
  CHECK(bench.established().empty());
  bench.open(at(100), kSmall, std::nullopt, 8);
  CHECK_FALSE(bench.answer(early));
  bench.open(at(200), kSmall, std::nullopt, kSecret);
  CHECK(bench.answer(early) == GreetingAnswer::accepted);
  // Not before the answer is written.
  CHECK(bench.count<Establish>() == 0);
  bench.write(at(200), early);
  CHECK(bench.only<Establish>().socket == early);
  CHECK(bench.only<Up>().round_trip == milliseconds(40));
  CHECK(bench.table.strangers() == 0);
}

TEST_CASE("a link whose greeting waits already is not dialled, unless the answer cannot be written") {
  TableBench bench;
  const SocketId early = bench.greeted(at(0));
  bench.open(at(100));
  CHECK(bench.answer(early) == GreetingAnswer::accepted);
  CHECK(bench.count<Dial>() == 0);
  SECTION("it is written") {
    bench.write(at(100), early);
    CHECK(bench.count<Dial>() == 0);
    CHECK_FALSE(bench.table.next_deadline());
  }
  SECTION("it cannot be written") {
    bench.table.broke(at(100), early, "broken pipe", bench.out);
    CHECK(bench.table.next_deadline() == at(100));
    bench.table.tick(at(100), bench.out);
    CHECK(bench.count<Dial>() == 1);
  }
}

TEST_CASE("a greeting whose answer cannot be written leaves the link as it was") {
  TableBench bench;
  bench.open(at(0), kSmall, std::nullopt);
  const SocketId first = bench.greeted(at(0));
  bench.clear();
  const SocketId second = bench.accept(at(1000));
  bench.receive(at(1000), second, bench.greeting());
  REQUIRE(bench.answer(second) == GreetingAnswer::accepted);
  bench.table.broke(at(1000), second, "broken pipe", bench.out);
  CHECK(bench.count<Down>() == 0);
  CHECK(bench.table.established({kSmall, 0}) == first);
  CHECK(bench.table.strangers() == 0);
}

TEST_CASE("one source has a bounded share of the strangers, and its oldest goes") {
  TableBench bench({.connections_per_link = 1, .strangers = {.most = 6, .of_source_most = 3}});
  const SocketId other = bench.accept(at(0), "198.51.100.1");
  std::vector<SocketId> of_source;
  for (int i = 0; i < 3; ++i) of_source.push_back(bench.accept(at(1), "203.0.113.1"));
  CHECK(bench.count<Close>() == 0);
  // One that has sent its greeting goes last.
  bench.receive(at(2), of_source[0], bench.greeting());
  bench.accept(at(3), "203.0.113.1");
  CHECK(bench.only<Close>().socket == of_source[1]);
  CHECK(bench.table.knows(other));
  CHECK(bench.table.strangers() == 4);
  bench.clear();
  SECTION("where all have sent one, the oldest is told to come later") {
    bench.receive(at(4), of_source[2], bench.greeting());
    const SocketId last = bench.accept(at(5), "203.0.113.1");
    bench.receive(at(5), last, bench.greeting());
    bench.clear();
    bench.accept(at(6), "203.0.113.1");
    CHECK(bench.answer(of_source[0]) == GreetingAnswer::refused_busy);
    CHECK(bench.closes(of_source[0]));
  }
  SECTION("the bound on all takes the oldest of whatever source") {
    bench.accept(at(4), "198.51.100.2");
    bench.accept(at(4), "198.51.100.3");
    CHECK(bench.table.strangers() == 6);
    bench.accept(at(4), "198.51.100.4");
    CHECK(bench.only<Close>().socket == other);
    CHECK(bench.table.strangers() == 6);
  }
}

TEST_CASE("one source may open so many connections in a time") {
  TableBench bench({.strangers = {.opens_per_source = {.burst = 2, .per_second = 1}}});
  const auto opens = [&](Instant now, const std::string& source) {
    return bench.table.accepted(now, {.source = source, .remote_host = source}, bench.out).has_value();
  };
  CHECK(opens(at(1000), "a"));
  CHECK(opens(at(1000), "a"));
  CHECK_FALSE(opens(at(1000), "a"));
  CHECK(opens(at(1000), "b"));
  CHECK_FALSE(opens(at(1900), "a"));
  CHECK(opens(at(2000), "a"));
}

TEST_CASE("all sources together may open so many, and who comes anew finds half of that left") {
  TableBench bench({.strangers = {.opens_per_source = {.burst = 8, .per_second = 1},
                                  .opens_of_all = {.burst = 6, .per_second = 1}}});
  const auto opens = [&](Instant now, const std::string& source) {
    return bench.table.accepted(now, {.source = source, .remote_host = source}, bench.out).has_value();
  };
  for (int i = 0; i < 3; ++i) CHECK(opens(at(1000), "a"));
  CHECK_FALSE(opens(at(1000), "a"));
  for (const char* const source : {"b", "c", "d"}) CHECK(opens(at(1000), source));
  CHECK_FALSE(opens(at(1000), "e"));
  CHECK(opens(at(2000), "f"));
}

TEST_CASE("what is no greeting is refused at its first bytes") {
  TableBench bench;
  bench.open(at(0), kSmall, std::nullopt);
  const SocketId stranger = bench.accept(at(0));
  const auto refuses_after = [&](std::span<const std::byte> bytes) {
    bench.table.received(at(1), {.socket = stranger, .bytes = bytes}, bench.out);
    return bench.closes(stranger);
  };
  SECTION("another protocol, without an answer") {
    const std::array<std::byte, 1> bytes{std::byte{'G'}};
    CHECK(refuses_after(bytes));
    CHECK_FALSE(bench.answer(stranger));
  }
  SECTION("whoever looks for a master learns that it is none") {
    CHECK(refuses_after(kControlMagic));
    CHECK(bench.answer(stranger) == GreetingAnswer::refused_unknown);
  }
  SECTION("whoever looks for another peer learns it at once") {
    const auto bytes = encode_greeting({.link_secret = kSecret, .from = kSmall, .to = PeerId{9}});
    CHECK(refuses_after(bytes));
    CHECK(bench.answer(stranger) == GreetingAnswer::refused_unknown);
  }
  SECTION("a damaged greeting") {
    auto bytes = bench.greeting();
    bytes[30] ^= std::byte{1};
    CHECK(refuses_after(bytes));
    CHECK_FALSE(bench.answer(stranger));
  }
  SECTION("whoever goes on without an answer") {
    CHECK_FALSE(refuses_after(bench.greeting(0, 1, kSecret + 1)));
    CHECK(refuses_after(std::array<std::byte, 1>{}));
  }
  CHECK(bench.table.strangers() == 0);
  CHECK(bench.count<Establish>() == 0);
}

TEST_CASE("a greeting may come byte by byte") {
  TableBench bench;
  bench.open(at(0), kSmall, std::nullopt);
  const SocketId slow = bench.accept(at(0));
  const auto bytes = bench.greeting();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    CHECK_FALSE(bench.answer(slow));
    CHECK(bench.table.bytes_wanted(slow) == bytes.size() - i + 1);
    bench.table.received(at(1), {.socket = slow, .bytes = std::span(bytes).subspan(i, 1)}, bench.out);
  }
  CHECK(bench.answer(slow) == GreetingAnswer::accepted);
}

// --------------------------------------------------------------------------------------- dials and redials

TEST_CASE("dials that fail come again after longer and longer, up to a second") {
  TableBench bench;
  bench.open(at(0));
  Instant now = at(0);
  Duration expected = milliseconds(20);
  for (int i = 0; i < 12; ++i) {
    const SocketId socket = bench.only<Dial>().socket;
    bench.clear();
    bench.table.dial_failed(now, socket, {.why = "no answer"}, bench.out);
    CHECK(bench.closes(socket));
    const auto due = bench.table.next_deadline();
    REQUIRE(due);
    CHECK(*due - now >= expected * 3 / 4);
    CHECK(*due - now <= expected * 5 / 4);
    bench.clear();
    bench.table.tick(*due - microseconds(1), bench.out);
    CHECK(bench.out.empty());
    now = *due;
    bench.table.tick(now, bench.out);
    expected = std::min<Duration>(2 * expected, seconds(1));
  }
  // One that was established for long begins anew.
  const SocketId socket = bench.greet(now);
  bench.answered(now, socket);
  now += seconds(2);
  bench.table.broke(now, socket, "connection reset", bench.out);
  CHECK(*bench.table.next_deadline() - now <= milliseconds(25));
}

TEST_CASE("a connection that breaks soon after it was established is redialled with the longer delay") {
  TableBench bench;
  bench.open(at(0));
  Instant now = at(0);
  for (int i = 0; i < 8; ++i) {
    const SocketId socket = bench.greet(now);
    bench.answered(now, socket);
    bench.table.broke(now, socket, "connection reset", bench.out);
    bench.clear();
    now = *bench.table.next_deadline();
    bench.table.tick(now, bench.out);
  }
  CHECK(now >= at(2000));
}

TEST_CASE("a greeting that is refused, broken or not answered is sent again later") {
  TableBench bench;
  bench.open(at(0));
  const SocketId socket = bench.greet(at(10));
  const auto first = bench.sends(socket);
  REQUIRE(first.size() == 1);
  CHECK(decode_greeting(std::span<const std::byte, kGreetingBytes>(first[0].bytes)).value() ==
        LinkGreeting{.link_secret = kSecret, .from = kGreat, .to = kSmall, .machine_proof = {2, 2}});
  Instant failed = at(20);
  SECTION("refused") { bench.answered(failed, socket, GreetingAnswer::refused_unknown); }
  SECTION("busy") { bench.answered(failed, socket, GreetingAnswer::refused_busy); }
  SECTION("broken") { bench.table.broke(failed, socket, "connection reset", bench.out); }
  SECTION("not an answer") { bench.receive(failed, socket, std::array<std::byte, kGreetingAnswerBytes>{}); }
  SECTION("not answered") {
    failed = at(8010);
    CHECK(bench.table.next_deadline() == failed);
    bench.table.tick(failed, bench.out);
  }
  CHECK(bench.closes(socket));
  CHECK(bench.count<Up>() == 0);
  CHECK(bench.logged() == std::vector<std::string>{"dial-failed"});
  bench.clear();
  bench.table.tick(*bench.table.next_deadline(), bench.out);
  CHECK(bench.count<Dial>() == 1);
}

TEST_CASE("nobody listens any more only where this side had got through before") {
  TableBench bench;
  bench.open(at(0));
  bench.table.dial_failed(at(1), bench.all<Dial>().back().socket, {.why = "refused", .was_refused = true}, bench.out);
  CHECK(bench.count<Refused>() == 0);
  bench.table.tick(*bench.table.next_deadline(), bench.out);
  const SocketId socket = bench.greet(at(100));
  bench.answered(at(100), socket);
  bench.table.broke(at(5000), socket, "connection reset", bench.out);
  bench.table.tick(*bench.table.next_deadline(), bench.out);
  const SocketId again = bench.all<Dial>().back().socket;
  bench.table.dial_failed(at(5100), again, {.why = "refused", .was_refused = true}, bench.out);
  CHECK(bench.only<Refused>().peer == kSmall);
}

TEST_CASE("whose dial comes through dials the rest") {
  TableBench bench({.connections_per_link = 3});
  bench.open(at(0));
  CHECK(bench.count<Dial>() == 1);
  bench.let_all_through(at(10));
  CHECK(bench.count<Dial>() == 3);
  CHECK(bench.count<Up>() == 3);
  CHECK(bench.established() == std::vector<std::uint32_t>{0, 1, 2});
  CHECK_FALSE(bench.table.next_deadline());
}

TEST_CASE("where both sides dial at once, the greeting of the smaller id counts") {
  TableBench small({.connections_per_link = 1}, kSmall);
  TableBench great({.connections_per_link = 1}, kGreat);
  small.open(at(0), kGreat);
  great.open(at(0), kSmall);
  const SocketId of_small = small.greet(at(10));
  const SocketId of_great = great.greet(at(10));
  // The one of the greater id is held while the other's is on its way.
  const SocketId at_small = small.accept(at(20));
  small.receive(at(20), at_small, small.greeting(0, 1, kSecret, kGreat));
  CHECK_FALSE(small.answer(at_small));
  CHECK(small.table.next_deadline() == at(1010));
  // The other one is taken, and the own dial given up.
  const SocketId at_great = great.greeted(at(20));
  CHECK(great.answer(at_great) == GreetingAnswer::accepted);
  CHECK(great.closes(of_great));
  CHECK(great.only<Up>().name == ConnectionName{kSmall, 0});
  CHECK(great.table.dialler(kSmall) == LinkSides::Dialler::theirs);
  small.answered(at(30), of_small);
  CHECK(small.only<Up>().name == ConnectionName{kGreat, 0});
  CHECK(small.table.dialler(kGreat) == LinkSides::Dialler::ours);
  // It hears that the held one is gone.
  small.table.broke(at(30), at_small, "closed", small.out);
  CHECK(small.table.strangers() == 0);
  CHECK(small.count<Down>() + great.count<Down>() == 0);
}

TEST_CASE("a side that is never to dial waits for the other, and dials what it may not at all") {
  TableBench bench;
  bench.open(at(0), kSmall, std::nullopt);
  CHECK_FALSE(bench.table.next_deadline());
  bench.open(at(0), PeerId{5}, milliseconds(300));
  CHECK(bench.table.next_deadline() == at(300));
  CHECK(bench.count<Dial>() == 0);
  bench.table.tick(at(300), bench.out);
  CHECK(bench.only<Dial>().peer == PeerId{5});
}

// ------------------------------------------------------------------------------- established connections

TEST_CASE("a connection that is replaced is down before its successor is up, and its late break changes nothing") {
  TableBench bench;
  bench.open(at(0), kSmall, std::nullopt);
  const SocketId first = bench.greeted(at(10));
  const Up was = bench.only<Up>();
  bench.clear();
  const SocketId second = bench.greeted(at(500));
  std::vector<std::size_t> order;
  for (const Action& action : bench.out) {
    if (std::holds_alternative<Close>(action) || std::holds_alternative<Down>(action) ||
        std::holds_alternative<Establish>(action) || std::holds_alternative<Up>(action))
      order.push_back(action.index());
  }
  CHECK(order == std::vector<std::size_t>{Action(Close{}).index(), Action(Down{}).index(), Action(Establish{}).index(),
                                          Action(Up{}).index()});
  CHECK(bench.only<Close>().socket == first);
  CHECK(bench.only<Down>().incarnation == was.incarnation);
  const Up is = bench.only<Up>();
  CHECK(is.incarnation != was.incarnation);
  bench.clear();
  bench.table.broke(at(510), first, "connection reset", bench.out);
  CHECK(bench.out.empty());
  CHECK(bench.table.established({kSmall, 0}) == second);
  CHECK(bench.table.is_established({kSmall, 0}, is.incarnation));
  CHECK_FALSE(bench.table.is_established({kSmall, 0}, was.incarnation));
}

TEST_CASE("a side whose connection was lost by the other leaves the dialling to it") {
  TableBench bench({.connections_per_link = 2});
  bench.open(at(0));
  bench.let_all_through(at(10));
  REQUIRE(bench.established().size() == 2);
  bench.clear();
  // So soon after, it has crossed.
  const SocketId crossed = bench.greeted(at(1000), 0, 2);
  CHECK_FALSE(bench.answer(crossed));
  bench.table.tick(at(2010), bench.out);
  CHECK(bench.answer(crossed) == GreetingAnswer::accepted);
  bench.write(at(2010), crossed);
  CHECK(bench.count<Down>() == 2);
  CHECK(bench.only<Up>().name.index == 0);
  CHECK(bench.table.dialler(kSmall) == LinkSides::Dialler::theirs);
  bench.clear();
  bench.greeted(at(2020), 1, 2);
  CHECK(bench.established() == std::vector<std::uint32_t>{0, 1});
  // A break is the other side's to mend, and this side's a second after the last one.
  bench.table.broke(at(3000), *bench.table.established({kSmall, 0}), "reset", bench.out);
  CHECK_FALSE(bench.table.next_deadline());
  bench.table.broke(at(3500), *bench.table.established({kSmall, 1}), "reset", bench.out);
  CHECK(bench.table.next_deadline() == at(4500));
}

TEST_CASE("a dropped connection is redialled without Down, and a closed link is not") {
  TableBench bench({.connections_per_link = 2});
  bench.open(at(0));
  bench.let_all_through(at(10));
  bench.clear();
  const SocketId dropped = *bench.table.established({kSmall, 1});
  bench.table.drop(at(20), {kSmall, 1}, bench.out);
  CHECK(bench.only<Close>().socket == dropped);
  CHECK(bench.count<Down>() == 0);
  bench.table.tick(*bench.table.next_deadline(), bench.out);
  CHECK(bench.count<Dial>() == 1);
  bench.table.close(kSmall, bench.out);
  CHECK(bench.count<Close>() == 3);
  CHECK(bench.count<Down>() == 0);
  CHECK_FALSE(bench.table.next_deadline());
  CHECK_FALSE(bench.table.has_link(kSmall));
}

TEST_CASE("what comes of a socket that was given up is ignored, and a dial that came through is closed") {
  TableBench bench;
  bench.open(at(0));
  const SocketId socket = bench.only<Dial>().socket;
  bench.table.close(kSmall, bench.out);
  bench.clear();
  bench.table.dial_failed(at(1), socket, {.why = "late"}, bench.out);
  bench.table.sent(at(1), socket, {}, bench.out);
  bench.table.broke(at(1), socket, "late", bench.out);
  bench.table.asked(at(1), socket, 4, bench.out);
  CHECK(bench.out.empty());
  bench.table.dialled(at(1), socket, {}, bench.out);
  CHECK(bench.only<Close>().socket == socket);
}

TEST_CASE("a link opened again with another secret dials what is missing anew, and keeps the rest") {
  TableBench bench({.connections_per_link = 2});
  bench.open(at(0));
  bench.greet(at(10));
  bench.answered(at(10), bench.all<Dial>().front().socket);
  REQUIRE(bench.established() == std::vector<std::uint32_t>{0});
  const SocketId under_way = bench.all<Dial>().back().socket;
  bench.clear();
  bench.open(at(20), kSmall, Duration::zero(), kSecret + 1);
  CHECK(bench.closes(under_way));
  CHECK(bench.count<Dial>() == 1);
  CHECK(bench.count<Down>() == 0);
  CHECK(bench.established() == std::vector<std::uint32_t>{0});
  bench.clear();
  bench.open(at(30), kSmall, Duration::zero(), kSecret + 1);
  CHECK(bench.out.empty());
}

TEST_CASE("both ends are on one machine only if they find the same proof") {
  TableBench bench;
  bench.open(at(0), kSmall, std::nullopt);
  const SocketId socket = bench.accept(at(0));
  const bool same = GENERATE(true, false);
  bench.receive(at(0), socket,
                encode_greeting({.link_secret = kSecret,
                                 .from = kSmall,
                                 .to = kGreat,
                                 .machine_proof = {1, same ? 1U : 2U}}));
  bench.write(at(0), socket);
  CHECK(bench.only<Establish>().same_machine == same);
  CHECK(bench.only<Up>().same_machine == same);
}

}  // namespace hawser::links
