/// Ways that die, and links by a go-between.
#include "base/limits.hpp"
#include "links/table_bench.hpp"

namespace hawser::links {
namespace {

constexpr PeerId kThird{300};
constexpr PeerId kFourth{400};

/// A table with links to the other and a third peer, each with so many connections between machines.
class Ways : public TableBench {
 public:
  explicit Ways(std::uint32_t connections = 1) : TableBench({.connections_per_link = connections}) {
    for (const PeerId peer : {kSmall, kThird}) {
      open(at(0), peer);
      let_all_through(at(10));
      clear();
    }
    for (const PeerId peer : {kSmall, kThird}) REQUIRE(established(peer).size() == connections);
  }
  SocketId socket(PeerId peer, std::uint32_t index = 0) const { return *table.established({peer, index}); }
  /// Something is under way on a connection, of which so much has arrived so far.
  void sample(Instant now, PeerId peer, std::uint32_t index, std::uint64_t delivered) {
    const ConnectionSample one{.socket = socket(peer, index),
                               .state = {.round_trip = milliseconds(40),
                                         .round_trip_least = milliseconds(40),
                                         .segments_unacknowledged = 5,
                                         .segments_delivered = delivered}};
    table.sampled(now, {&one, 1}, out);
  }
  std::optional<Dial> dial_through() const {
    for (const Dial& dial : all<Dial>())
      if (dial.through) return dial;
    return std::nullopt;
  }
  void let_pass(std::int64_t from_ms, std::int64_t to_ms) {
    for (std::int64_t ms = from_ms; ms <= to_ms; ++ms)
      if (const auto due = table.next_deadline(); due && *due <= at(ms)) table.tick(at(ms), out);
  }
};

LinkGreeting meeting(PeerId from, PeerId to, GreetingKind kind) {
  return {.link_secret = kSecret, .from = from, .to = to, .kind = kind};
}

}  // namespace

TEST_CASE("a way on which nothing arrives is given up, and a third peer is asked at once") {
  Ways ways;
  const SocketId dead = ways.socket(kSmall);
  ways.sample(at(1000), kSmall, 0, 7);
  ways.sample(at(1550), kSmall, 0, 7);
  CHECK(ways.count<Down>() == 0);
  ways.sample(at(1600), kSmall, 0, 7);
  CHECK(ways.closes(dead));
  CHECK(ways.only<Down>().name.peer == kSmall);
  ways.let_pass(1600, 1650);
  const auto dial = ways.dial_through();
  REQUIRE(dial);
  CHECK(dial->peer == kThird);
  const auto said = decode_greeting(std::span<const std::byte, kGreetingBytes>(dial->through->greeting));
  CHECK(said->kind == GreetingKind::asks_through);
  CHECK(said->to == kSmall);

  ways.clear();
  ways.table.dialled(at(1700), dial->socket, {}, ways.out);
  ways.write(at(1700), dial->socket);
  ways.answered(at(1750), dial->socket);
  CHECK(ways.table.is_through(kSmall));
  CHECK(ways.only<Up>().round_trip == milliseconds(50));
  // The straight way is tried again some time later, and taken when it is there.
  ways.clear();
  ways.let_pass(1751, 11'700);
  CHECK(ways.count<Dial>() == 0);
  ways.let_pass(11'700, 12'000);
  CHECK_FALSE(ways.only<Dial>().through);
  ways.let_all_through(at(12'100));
  CHECK_FALSE(ways.table.is_through(kSmall));
  CHECK(ways.established().size() == 1);
}

TEST_CASE("what still arrives is no dead way: of several connections only the stuck one is given up") {
  Ways ways(2);
  ways.sample(at(1000), kSmall, 0, 7);
  ways.sample(at(1000), kSmall, 1, 50);
  ways.sample(at(1700), kSmall, 1, 51);
  ways.sample(at(1700), kSmall, 0, 7);
  CHECK(ways.only<Down>().name.index == 0);
  CHECK(ways.established() == std::vector<std::uint32_t>{1});
  ways.let_pass(1700, 1710);
  CHECK_FALSE(ways.dial_through());

  Ways dead(2);
  dead.sample(at(1000), kSmall, 0, 7);
  dead.sample(at(1700), kSmall, 0, 7);
  CHECK(dead.count<Down>() == 2);
}

TEST_CASE("a way that takes connections and nothing on them is left alone for longer and longer") {
  Ways ways;
  std::int64_t now = 1000;
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < 4; ++i) {
    ways.sample(at(now), kSmall, 0, 7);
    ways.sample(at(now + 600), kSmall, 0, 7);
    now += 600;
    const std::int64_t stuck_at = now;
    ways.let_pass(now, now + 50);
    const auto dial = ways.dial_through();
    REQUIRE(dial);
    now += 50;
    ways.table.dialled(at(now), dial->socket, {}, ways.out);
    ways.write(at(now), dial->socket);
    ways.answered(at(now), dial->socket);
    REQUIRE(ways.table.is_through(kSmall));
    ways.clear();
    for (; ways.count<Dial>() == 0; ++now) ways.let_pass(now, now);
    pauses.push_back((now - stuck_at) / 1000);
    ways.let_all_through(at(now));
    REQUIRE_FALSE(ways.table.is_through(kSmall));
    ways.clear();
  }
  CHECK(pauses == std::vector<std::int64_t>{10, 20, 40, 80});
}

TEST_CASE("a peer that is not reached is met at another one, if there is one") {
  TableBench alone;
  alone.open(at(0));
  alone.table.dial_failed(at(10), alone.only<Dial>().socket, {.why = "no way"}, alone.out);
  alone.clear();
  for (std::int64_t ms = 10; ms < 20'000; ms += 10) alone.table.tick(at(ms), alone.out);
  for (const Dial& dial : alone.all<Dial>()) CHECK_FALSE(dial.through);

  Ways ways;
  ways.open(at(1000), kFourth);
  ways.table.dial_failed(at(1010), ways.only<Dial>().socket, {.why = "no way"}, ways.out);
  ways.let_pass(1010, 1990);
  CHECK_FALSE(ways.dial_through());
  ways.let_pass(1990, 2010);
  REQUIRE(ways.dial_through());
  const PeerId first = ways.dial_through()->peer;
  // In vain: the next one is asked.
  ways.table.dial_failed(at(2100), ways.dial_through()->socket, {.why = "nobody came"}, ways.out);
  ways.clear();
  ways.let_pass(2100, 2600);
  REQUIRE(ways.dial_through());
  CHECK(ways.dial_through()->peer != first);
}

TEST_CASE("who is invited comes, if it wants to be linked with whoever waits") {
  Ways ways;
  ways.table.invited(at(1000), ways.socket(kThird), kSmall, ways.out);
  const auto said = decode_greeting(std::span<const std::byte, kGreetingBytes>(ways.only<Come>().through.greeting));
  CHECK(said->kind == GreetingKind::comes_through);
  CHECK(said->to == kSmall);
  CHECK(ways.only<Come>().peer == kThird);
  ways.clear();
  ways.table.invited(at(1500), ways.socket(kThird), kFourth, ways.out);
  ways.table.invited(at(1500), ways.socket(kThird), kThird, ways.out);
  CHECK(ways.count<Come>() == 0);
  // Who sends one invitation after the other is not followed at each.
  for (int i = 0; i < 100; ++i) ways.table.invited(at(1500), ways.socket(kThird), kSmall, ways.out);
  CHECK(ways.count<Come>() < 10);
}

TEST_CASE("a go-between joins two that it has links to, and parts them when one of them goes") {
  Ways ways;
  const auto arrive = [&](std::int64_t ms, const LinkGreeting& greeting) {
    const SocketId socket = ways.accept(at(ms));
    ways.receive(at(ms), socket, encode_greeting(greeting));
    return socket;
  };
  const SocketId asks = arrive(1000, meeting(kSmall, kThird, GreetingKind::asks_through));
  CHECK(ways.only<Invite>().socket == ways.socket(kThird));
  CHECK(ways.only<Invite>().who == kSmall);
  CHECK_FALSE(ways.answer(asks));
  const SocketId comes = arrive(1100, meeting(kThird, kSmall, GreetingKind::comes_through));
  CHECK(ways.only<Join>().first == asks);
  CHECK(ways.only<Join>().second == comes);
  CHECK(ways.table.joined() == 1);
  CHECK(ways.table.strangers() == 0);
  ways.clear();
  SECTION("one of both ends") { ways.table.broke(at(2000), comes, "reset", ways.out); }
  SECTION("one of both is no peer any more") { ways.table.close(kSmall, ways.out); }
  SECTION("nothing arrives at one of both any more") {
    for (const std::int64_t ms : {2000, 2700}) {
      const ConnectionSample one{.socket = comes,
                                 .state = {.segments_unacknowledged = 3, .segments_delivered = 9}};
      ways.table.sampled(at(ms), {&one, 1}, ways.out);
    }
  }
  CHECK(ways.closes(asks));
  CHECK(ways.closes(comes));
  CHECK(ways.table.joined() == 0);
}

TEST_CASE("a go-between refuses whom it does not know, who looks for somebody it has no link to, and the many") {
  Ways ways;
  const auto answer_to = [&](const LinkGreeting& greeting) {
    const SocketId socket = ways.accept(at(1000));
    ways.receive(at(1000), socket, encode_greeting(greeting));
    return ways.answer(socket);
  };
  CHECK_FALSE(answer_to(meeting(kFourth, kThird, GreetingKind::asks_through)));  // Held, as any stranger.
  CHECK(answer_to(meeting(kSmall, kFourth, GreetingKind::asks_through)) == GreetingAnswer::refused_unknown);
  CHECK(answer_to(meeting(kSmall, kThird, GreetingKind::comes_through)) == GreetingAnswer::refused_unknown);
  CHECK(answer_to(meeting(kSmall, ways.table.self(), GreetingKind::asks_through)) == GreetingAnswer::refused_unknown);
  LinkGreeting wrong = meeting(kSmall, kThird, GreetingKind::asks_through);
  wrong.link_secret = kSecret + 1;
  CHECK_FALSE(answer_to(wrong));
  CHECK(ways.count<Invite>() == 0);
  for (std::size_t i = 0; i < limits::kJoinedPairsMax; ++i)
    CHECK_FALSE(answer_to(meeting(kSmall, kThird, GreetingKind::asks_through)));
  CHECK(answer_to(meeting(kSmall, kThird, GreetingKind::asks_through)) == GreetingAnswer::refused_busy);
  // Nobody comes.
  ways.clear();
  ways.let_pass(1000, 4100);
  CHECK(ways.count<Send>() >= limits::kJoinedPairsMax);
}

}  // namespace hawser::links
