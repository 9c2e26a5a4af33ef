/// Links for which both sides dial at once.
#include "links/table_bench.hpp"

namespace hawser::links {
namespace {

const std::vector<Address> kShown{{"198.51.100.7", 61000}, {"192.168.1.2", 4000}};

/// A table whose dials are not answered, up to the moment when it asks the master.
class Punching : public TableBench {
 public:
  explicit Punching(PeerId self = kGreat, PeerId peer = kSmall, std::uint32_t connections = 0)
      : TableBench({.connections_per_link = connections, .asks_both = true}, self), other(peer) {
    open(at(0), peer);
    let_pass(0, 1100);
  }
  void let_pass(std::int64_t from_ms, std::int64_t to_ms) {
    for (std::int64_t ms = from_ms; ms <= to_ms; ++ms)
      if (const auto due = table.next_deadline(); due && *due <= at(ms)) {
        table.tick(at(ms), out);
        if (count<AskBothDial>() > 0 && !asked_at) asked_at = ms;
      }
  }
  links::Punch told(Instant now) {
    table.dial_at_once(now, other, kShown, out);
    return only<links::Punch>();
  }
  LinkTable::Newcomer newcomer() const { return {.source = "198.51.100.7", .remote_host = "198.51.100.7"}; }

  PeerId other;
  std::optional<std::int64_t> asked_at;
};

}  // namespace

TEST_CASE("where no dial comes through the master is asked, by the smaller id first") {
  Punching smaller(kSmall, kGreat);
  CHECK(smaller.asked_at == 500);
  Punching greater(kGreat, kSmall);
  CHECK(greater.asked_at == 900);
  CHECK(greater.only<AskBothDial>().peer == kSmall);
}

TEST_CASE("the master hears why the other side's address is not reached") {
  TableBench bench({.asks_both = true});
  bench.open(at(0));
  bench.table.dial_failed(at(5), bench.only<Dial>().socket, {.why = "connection refused"}, bench.out);
  bench.clear();
  for (std::int64_t ms = 5; ms <= 1000; ++ms) bench.table.tick(at(ms), bench.out);
  CHECK(bench.only<AskBothDial>().why == "connection refused");
}

TEST_CASE("a member asks for no visitor, and nobody for whom it may not dial") {
  TableBench bench({.asks_both = true});
  bench.table.open(at(0), {.peer = kSmall, .address = {"192.0.2.1", 4000}, .dial_after = seconds(1), .may_ask = false},
                   bench.out);
  bench.table.open(at(0), {.peer = PeerId{300}, .address = {"192.0.2.1", 4000}, .dial_after = std::nullopt}, bench.out);
  for (std::int64_t ms = 0; ms <= 5000; ++ms) bench.table.tick(at(ms), bench.out);
  CHECK(bench.count<AskBothDial>() == 0);
  // It takes part if the other one asks.
  bench.table.dial_at_once(at(5000), kSmall, kShown, bench.out);
  CHECK(bench.only<links::Punch>().to == kShown);
}

TEST_CASE("crossed dials are one connection: the smaller id greets, and there are no others") {
  Punching small(kSmall, kGreat), great(kGreat, kSmall);
  const links::Punch mine = small.told(at(1200)), theirs = great.told(at(1200));
  CHECK(mine.greets_if_crossed);
  CHECK_FALSE(theirs.greets_if_crossed);
  small.table.punched(at(1250), {.socket = mine.socket, .to = kShown[0], .is_crossed = true}, small.out);
  const auto stranger = great.table.yielded(at(1250), theirs.socket, great.newcomer(), great.out);
  REQUIRE(stranger);
  CHECK_FALSE(great.closes(theirs.socket));
  great.clear();
  great.receive(at(1300), *stranger, great.greeting());
  great.write(at(1300), *stranger);
  small.write(at(1250), mine.socket);
  small.clear();
  small.answered(at(1350), mine.socket);
  for (TableBench* const side : {static_cast<TableBench*>(&small), static_cast<TableBench*>(&great)}) {
    CHECK(side->count<Up>() == 1);
    CHECK(side->count<Dial>() == 0);
  }
  CHECK(small.table.reach(kGreat)->origin == Origin::punched);
  CHECK(small.table.reach(kGreat)->address == kShown[0]);
  CHECK(great.table.reach(kSmall)->origin == Origin::punched);
  // Nothing makes it more.
  small.table.resize(at(1400), kGreat, 8, small.out);
  CHECK(small.table.connections(kGreat) == 1);
}

TEST_CASE("a punch that the other side's listener has taken is a dial to another address") {
  Punching bench(kGreat, kSmall, 4);
  const links::Punch punch = bench.told(at(1200));
  bench.table.punched(at(1250), {.socket = punch.socket, .to = kShown[1]}, bench.out);
  bench.write(at(1250), punch.socket);
  bench.clear();
  bench.answered(at(1300), punch.socket);
  CHECK(bench.count<Up>() == 1);
  const auto dials = bench.all<Dial>();
  REQUIRE(dials.size() == 3);
  for (const Dial& dial : dials) CHECK(dial.to == kShown[1]);
  CHECK(bench.table.reach(kSmall)->origin == Origin::dialled);
  CHECK(bench.table.reach(kSmall)->address == kShown[1]);
}

TEST_CASE("an attempt is bounded, what failed is kept by address, and the master is asked again ever more seldom") {
  Punching bench;
  const links::Punch punch = bench.told(at(1200));
  bench.table.dial_failed(at(1300), punch.socket,
                          {.why = "no way", .each = {{kShown[0], "no answer"}, {kShown[1], "refused"}}}, bench.out);
  const auto reach = bench.table.reach(kSmall);
  REQUIRE(reach->failed.size() == 2);
  CHECK(reach->failed[1].to == kShown[1]);
  CHECK(reach->failed[1].why == "refused");
  CHECK(reach->origin == Origin::none);
  bench.clear();
  bench.let_pass(1300, 60'000);
  const std::size_t asked = bench.count<AskBothDial>();
  CHECK(asked >= 4);
  CHECK(asked <= 8);
  bench.clear();
  const links::Punch second = bench.told(at(60'000));
  bench.let_pass(60'000, 63'990);
  CHECK_FALSE(bench.closes(second.socket));
  bench.let_pass(63'990, 64'010);
  CHECK(bench.closes(second.socket));
}

TEST_CASE("whoever makes others dial is bounded, and a link that stands is left alone") {
  Punching bench;
  for (int i = 0; i < 20; ++i) {
    bench.table.dial_at_once(at(1200 + i), kSmall, kShown, bench.out);
    for (const links::Punch& punch : bench.all<links::Punch>())
      bench.table.dial_failed(at(1200 + i), punch.socket, {.why = "no way"}, bench.out);
  }
  CHECK(bench.count<links::Punch>() == 4);
  bench.clear();
  bench.table.dial_at_once(at(9000), PeerId{77}, kShown, bench.out);
  CHECK(bench.count<links::Punch>() == 0);
  TableBench stands;
  stands.open(at(0));
  stands.let_all_through(at(10));
  stands.table.dial_at_once(at(20), kSmall, kShown, stands.out);
  CHECK(stands.count<links::Punch>() == 0);
}

TEST_CASE("a go-between is dialled where it was reached, and one that all reach is asked first") {
  const bool has_public = GENERATE(false, true);
  constexpr PeerId kBehindNat{300}, kPublic{400};
  Punching bench(kGreat, kBehindNat, 1);
  const links::Punch punch = bench.told(at(1200));
  bench.table.punched(at(1210), {.socket = punch.socket, .to = kShown[0]}, bench.out);
  bench.write(at(1210), punch.socket);
  bench.answered(at(1220), punch.socket);
  bench.clear();
  if (has_public) {
    bench.open(at(1220), kPublic);
    const SocketId socket = bench.greet(at(1300));
    bench.answered(at(1500), socket);
    bench.clear();
  }
  bench.open(at(1500), kSmall);
  bench.clear();
  bench.let_pass(1500, 4500);
  const auto dials = bench.all<Dial>();
  const auto through = std::find_if(dials.begin(), dials.end(), [](const Dial& one) { return one.through.has_value(); });
  REQUIRE(through != dials.end());
  CHECK(through->peer == (has_public ? kPublic : kBehindNat));
  CHECK(through->to == (has_public ? Address{"192.0.2.1", 4000} : kShown[0]));
}

TEST_CASE("a dial that comes through ends the punch, and a crossed one that comes later is refused") {
  Punching bench;
  const links::Punch punch = bench.told(at(1200));
  bench.greeted(at(1210));
  CHECK(bench.count<Up>() == 1);
  CHECK(bench.closes(punch.socket));
  const auto late = bench.table.accepted(at(1220), {.source = "198.51.100.7", .is_punched = true}, bench.out);
  REQUIRE(late);
  bench.clear();
  bench.receive(at(1230), *late, bench.greeting());
  CHECK(bench.closes(*late));
  CHECK(bench.count<Down>() == 0);
}

TEST_CASE("a link that was punched is punched again at once when it breaks") {
  Punching bench(kSmall, kGreat);
  const links::Punch punch = bench.told(at(1200));
  bench.table.punched(at(1250), {.socket = punch.socket, .to = kShown[0], .is_crossed = true}, bench.out);
  bench.write(at(1250), punch.socket);
  bench.answered(at(1350), punch.socket);
  bench.clear();
  bench.table.broke(at(9000), punch.socket, "reset", bench.out);
  bench.let_pass(9000, 9010);
  CHECK(bench.count<AskBothDial>() == 1);
}

}  // namespace hawser::links
