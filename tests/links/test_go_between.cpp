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
  /// Looked at ten times a second: something arrives at first, then nothing any more, though some is under way.
  void stall(std::int64_t from_ms, std::int64_t to_ms, PeerId peer = kSmall, std::uint32_t index = 0) {
    sample(at(from_ms - 100), peer, index, ++moved_);
    ++moved_;
    for (std::int64_t ms = from_ms; ms <= to_ms; ms += 100)
      if (table.established({peer, index})) sample(at(ms), peer, index, moved_);
  }
  /// Something arrives on another link meanwhile.
  void move_elsewhere(std::int64_t ms) { sample(at(ms), kThird, 0, ++moved_); }
  std::optional<Dial> dial_through() const {
    for (const Dial& dial : all<Dial>())
      if (dial.through) return dial;
    return std::nullopt;
  }
  void let_pass(std::int64_t from_ms, std::int64_t to_ms) {
    for (std::int64_t ms = from_ms; ms <= to_ms; ++ms)
      if (const auto due = table.next_deadline(); due && *due <= at(ms)) table.tick(at(ms), out);
  }

 private:
  std::uint64_t moved_ = 0;
};

LinkGreeting meeting(PeerId from, PeerId to, GreetingKind kind) {
  return {.link_secret = kSecret, .from = from, .to = to, .kind = kind};
}

}  // namespace

TEST_CASE("a way on which nothing arrives is given up, and a third peer is asked at once") {
  Ways ways;
  const SocketId dead = ways.socket(kSmall);
  ways.stall(1000, 1500);
  CHECK(ways.count<Down>() == 0);
  ways.move_elsewhere(1550);
  ways.stall(1600, 1600);
  CHECK(ways.count<Down>() == 0);  // It has moved once more.
  ways.stall(2000, 2550);
  ways.move_elsewhere(2590);
  ways.sample(at(2600), kSmall, 0, 6);
  CHECK(ways.count<Down>() == 0);
  for (std::int64_t ms = 2700; ms <= 3200; ms += 100) ways.sample(at(ms), kSmall, 0, 6);
  CHECK(ways.closes(dead));
  CHECK(ways.only<Down>().name.peer == kSmall);
  ways.let_pass(3200, 3250);
  // Nothing has moved elsewhere since: perhaps this side's own access is gone.
  CHECK_FALSE(ways.dial_through());
  ways.let_pass(3250, 5250);
  const auto dial = ways.dial_through();
  REQUIRE(dial);
  CHECK(dial->peer == kThird);
  const auto said = decode_greeting(std::span<const std::byte, kGreetingBytes>(dial->through->greeting));
  CHECK(said->kind == GreetingKind::asks_through);
  CHECK(said->to == kSmall);

  ways.clear();
  ways.table.dialled(at(5300), dial->socket, {}, ways.out);
  ways.write(at(5300), dial->socket);
  ways.answered(at(5350), dial->socket);
  CHECK(ways.table.is_through(kSmall));
  CHECK(ways.only<Up>().round_trip == milliseconds(50));
  CHECK(ways.only<Up>().by == kThird);
  // The straight way is tried again some time later, and taken when it is there.
  ways.clear();
  ways.let_pass(5351, 12'800);
  CHECK(ways.count<Dial>() == 0);
  ways.let_pass(12'800, 18'000);
  CHECK_FALSE(ways.only<Dial>().through);
  ways.let_all_through(at(18'100));
  CHECK_FALSE(ways.table.is_through(kSmall));
  CHECK(ways.established().size() == 1);
}

TEST_CASE("where others move, a dead way is left at once") {
  Ways ways;
  ways.stall(1000, 1500);
  ways.move_elsewhere(1550);
  ways.sample(at(1600), kSmall, 0, 2);
  CHECK(ways.count<Down>() == 1);
  ways.let_pass(1600, 1650);
  CHECK(ways.dial_through());
}

TEST_CASE("what is sent after a pause, and what nobody looked at, is given more time") {
  Ways ways;
  for (std::int64_t ms = 1000; ms < 2200; ms += 100) ways.sample(at(ms), kSmall, 0, 7);
  CHECK(ways.count<Down>() == 0);
  ways.sample(at(2200), kSmall, 0, 7);
  CHECK(ways.count<Down>() == 1);

  Ways asleep;
  asleep.stall(1000, 1300);
  for (const std::int64_t ms : {9000, 9100, 9200, 9300, 9400}) asleep.sample(at(ms), kSmall, 0, 2);
  CHECK(asleep.count<Down>() == 0);
}

TEST_CASE("what still arrives is no dead way: of several connections only the stuck one is given up") {
  Ways ways(2);
  for (std::int64_t ms = 900; ms <= 1600; ms += 100) {
    ways.sample(at(ms), kSmall, 1, static_cast<std::uint64_t>(ms));
    if (ways.table.established({kSmall, 0})) ways.sample(at(ms), kSmall, 0, ms < 1000 ? 6 : 7);
  }
  CHECK(ways.only<Down>().name.index == 0);
  CHECK(ways.established() == std::vector<std::uint32_t>{1});
  ways.let_pass(1600, 1610);
  CHECK_FALSE(ways.dial_through());

  Ways dead(2);
  dead.stall(1000, 1600);
  CHECK(dead.count<Down>() == 2);
}

TEST_CASE("a way that takes connections and nothing on them is left alone for longer and longer, by both sides") {
  Ways ways;
  std::int64_t now = 1000;
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < 4; ++i) {
    ways.stall(now, now + 500);
    now += 600;
    ways.move_elsewhere(now - 1);
    ways.sample(at(now), kSmall, 0, 2 + 3 * static_cast<std::uint64_t>(i));
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
    // Nor is it taken if the other side dials it.
    const SocketId straight = ways.greeted(at(now + 3000));
    CHECK(ways.answer(straight) == GreetingAnswer::refused_busy);
    ways.clear();
    for (; ways.count<Dial>() == 0; ++now) ways.let_pass(now, now);
    pauses.push_back((now - stuck_at) / 1000);
    ways.let_all_through(at(now));
    REQUIRE_FALSE(ways.table.is_through(kSmall));
    ways.clear();
  }
  for (std::size_t i = 0; i < pauses.size(); ++i) {
    CHECK(pauses[i] >= (7 << i));
    CHECK(pauses[i] <= (13 << i));
  }
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
  ways.let_pass(1010, 2990);
  CHECK_FALSE(ways.dial_through());
  ways.let_pass(2990, 3010);
  REQUIRE(ways.dial_through());
  const PeerId first = ways.dial_through()->peer;
  // In vain: the next one is asked.
  ways.table.dial_failed(at(3100), ways.dial_through()->socket, {.why = "nobody came"}, ways.out);
  ways.clear();
  ways.let_pass(3100, 3600);
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
  // Who sends one invitation after the other is not followed at each, whomever it names.
  for (int i = 0; i < 100; ++i) ways.table.invited(at(1500), ways.socket(kThird), kSmall, ways.out);
  CHECK(ways.count<Come>() < 10);
  for (std::uint64_t i = 0; i < 200; ++i) ways.open(at(1500), PeerId{500 + i}, std::nullopt);
  for (std::uint64_t i = 0; i < 200; ++i) ways.table.invited(at(1500), ways.socket(kThird), PeerId{500 + i}, ways.out);
  CHECK(ways.count<Come>() <= 70);
}

TEST_CASE("a go-between joins so many pairs, and no more") {
  Ways ways;
  const auto said = [&](const LinkGreeting& greeting) {
    const SocketId socket = ways.accept(at(1000));
    ways.receive(at(1000), socket, encode_greeting(greeting));
    return ways.answer(socket);
  };
  for (std::uint64_t i = 0; i <= limits::kJoinedPairsMax; ++i) {
    const PeerId peer{500 + i};
    ways.clear();
    ways.open(at(1000), peer);
    ways.let_all_through(at(1000));
    const auto answer = said(meeting(kSmall, peer, GreetingKind::asks_through));
    if (i == limits::kJoinedPairsMax) {
      CHECK(answer == GreetingAnswer::refused_busy);
      break;
    }
    REQUIRE_FALSE(answer);
    (void)said(meeting(peer, kSmall, GreetingKind::comes_through));
    REQUIRE(ways.table.joined() == i + 1);
  }
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
  SECTION("they meet again") {
    const SocketId again = arrive(1500, meeting(kSmall, kThird, GreetingKind::asks_through));
    const SocketId too = arrive(1600, meeting(kThird, kSmall, GreetingKind::comes_through));
    CHECK(ways.table.joined() == 1);
    ways.table.broke(at(1700), again, "reset", ways.out);
    CHECK(ways.closes(too));
  }
  SECTION("one of both ends") { ways.table.broke(at(2000), comes, "reset", ways.out); }
  SECTION("one of both is no peer any more") { ways.table.close(kSmall, ways.out); }
  SECTION("nothing arrives at one of both any more") {
    for (std::int64_t ms = 2000; ms <= 3200; ms += 100) {
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
  // Over a connection that others have joined, the same question would lead round and round.
  const auto through = ways.table.accepted(at(1000), {.source = "192.0.2.1", .is_through = true}, ways.out);
  REQUIRE(through);
  ways.receive(at(1000), *through, encode_greeting(meeting(kSmall, kThird, GreetingKind::asks_through)));
  CHECK(ways.answer(*through) == GreetingAnswer::refused_unknown);
  // One asker waits for several at a time, and for each once.
  CHECK_FALSE(answer_to(meeting(kSmall, kThird, GreetingKind::asks_through)));
  CHECK(answer_to(meeting(kSmall, kThird, GreetingKind::asks_through)) == GreetingAnswer::refused_busy);
  std::size_t waiting = 1;
  for (std::uint64_t i = 0; i < 10; ++i) {
    const PeerId peer{500 + i};
    ways.open(at(1000), peer);
    ways.let_all_through(at(1000));
    const auto answer = answer_to(meeting(kSmall, peer, GreetingKind::asks_through));
    waiting += answer ? 0 : 1;
  }
  CHECK(waiting == 8);
  // Nobody comes.
  ways.clear();
  ways.let_pass(1000, 4100);
  CHECK(ways.count<Send>() >= waiting);
}

}  // namespace hawser::links
