#include "catch.hpp"
#include "links/connection_count.hpp"

using namespace hawser;

namespace {

constexpr Instant kStart{seconds(5)};
constexpr Duration kInterval = milliseconds(100);

/// Samples for so long; gives the count at the end.
std::uint32_t watch(ConnectionCount& count, Instant& now, Duration time, const LinkSample& sample) {
  for (const Instant end = now + time; now < end; now += kInterval) count.sample(now, sample);
  return count.wanted();
}

constexpr LinkSample kRoomy{.is_full = true, .round_trip = milliseconds(102), .round_trip_least = milliseconds(100)};
constexpr LinkSample kQueued{.is_full = true, .round_trip = milliseconds(180), .round_trip_least = milliseconds(100)};
constexpr LinkSample kIdle{.is_full = false, .round_trip = milliseconds(100), .round_trip_least = milliseconds(100)};

}  // namespace

TEST_CASE("a link over a long way begins with several connections, those of a peer with many links with few") {
  CHECK(connections_at_first(microseconds(300), 3) == 2);
  CHECK(connections_at_first(milliseconds(12), 3) == 2);
  CHECK(connections_at_first(milliseconds(30), 3) == 6);
  CHECK(connections_at_first(milliseconds(100), 3) == 8);
  CHECK(connections_at_first(seconds(10), 0) == 8);
  CHECK(connections_at_first(milliseconds(100), 7) == 3);
  CHECK(connections_at_first(milliseconds(100), 1000) == 2);
}

TEST_CASE("connections are added while they are full and no queue stands on the way") {
  ConnectionCount count(2, 16);
  Instant now = kStart;
  CHECK(watch(count, now, milliseconds(300), kRoomy) == 2);
  CHECK(watch(count, now, milliseconds(200), kRoomy) == 4);
  CHECK(watch(count, now, milliseconds(400), kRoomy) == 8);
  CHECK(watch(count, now, seconds(10), kRoomy) == 16);
}

TEST_CASE("where few connections fill the way there are two, and more only if the other side asks") {
  ConnectionCount count = ConnectionCount::of_few_that_fill();
  Instant now = kStart;
  CHECK(watch(count, now, seconds(60), kRoomy) == 2);
  CHECK(count.asked(now, 4) == 4);
  CHECK(watch(count, now, seconds(60), kRoomy) == 4);
}

TEST_CASE("none is added where round trips say that the pipe is full") {
  ConnectionCount count(2);
  Instant now = kStart;
  CHECK(watch(count, now, seconds(60), kQueued) == 2);
}

TEST_CASE("none is added where nothing waits to be sent") {
  ConnectionCount count(2);
  Instant now = kStart;
  CHECK(watch(count, now, seconds(60), kIdle) == 2);
}

TEST_CASE("a pipe that is full now and then is given no more") {
  ConnectionCount count(2);
  Instant now = kStart;
  for (int i = 0; i < 100; ++i) {
    watch(count, now, milliseconds(300), kRoomy);
    watch(count, now, milliseconds(100), kQueued);
  }
  CHECK(count.wanted() == 2);
}

TEST_CASE("time in use counts, whatever pauses lie between") {
  ConnectionCount count(2, 4);
  Instant now = kStart;
  for (int i = 0; i < 2; ++i) {
    watch(count, now, milliseconds(100), kRoomy);
    watch(count, now, seconds(1), kIdle);
    now += seconds(10);
  }
  CHECK(count.wanted() == 2);
  CHECK(watch(count, now, milliseconds(200), kRoomy) == 4);
}

TEST_CASE("where a queue overflows half of them go, and that many are not tried again for a while") {
  ConnectionCount count(2, 8);
  Instant now = kStart;
  REQUIRE(watch(count, now, seconds(10), kRoomy) == 8);
  LinkSample overflow = kQueued;
  overflow.segments_sent = 1000;
  overflow.segments_repeated = 50;
  CHECK(watch(count, now, milliseconds(200), overflow) == 8);
  CHECK(watch(count, now, milliseconds(200), overflow) == 4);
  CHECK(watch(count, now, seconds(20), kRoomy) == 7);
  CHECK(watch(count, now, seconds(20), kRoomy) == 8);
  // The second time for longer.
  CHECK(watch(count, now, milliseconds(400), overflow) == 4);
  CHECK(watch(count, now, seconds(50), kRoomy) == 7);
  CHECK(watch(count, now, seconds(20), kRoomy) == 8);
}

TEST_CASE("where a way loses much and no queue stands, connections are added as long as they carry more") {
  ConnectionCount count(8, 32);
  Instant now = kStart;
  LinkSample lossy = kRoomy;
  lossy.segments_sent = 1000;
  lossy.segments_repeated = 30;
  const bool carries_more = GENERATE(true, false);
  std::vector<std::uint32_t> seen{8};
  for (int i = 0; i < 40; ++i) {
    lossy.segments_delivered = carries_more ? 100 * count.wanted() : 800;
    if (const std::uint32_t wanted = watch(count, now, kInterval, lossy); wanted != seen.back()) seen.push_back(wanted);
  }
  // In the second case a queue overflows that is too short to be seen in round trips.
  CHECK(seen == (carries_more ? std::vector<std::uint32_t>{8, 16, 32} : std::vector<std::uint32_t>{8, 16, 8}));
}

TEST_CASE("the last connection stays") {
  ConnectionCount count(2);
  Instant now = kStart;
  LinkSample overflow = kQueued;
  overflow.segments_sent = 1000;
  overflow.segments_repeated = 500;
  CHECK(watch(count, now, seconds(60), overflow) == 1);
}

TEST_CASE("a system that tells nothing of round trips leaves the number alone") {
  ConnectionCount count(2);
  Instant now = kStart;
  CHECK(watch(count, now, seconds(60), {.is_full = true}) == 2);
}

TEST_CASE("on short ways jitter of a fraction of a millisecond is no queue, and milliseconds are") {
  ConnectionCount count(2, 8);
  Instant now = kStart;
  LinkSample sample{.is_full = true, .round_trip = microseconds(300), .round_trip_least = microseconds(100)};
  CHECK(watch(count, now, seconds(10), sample) == 8);
  sample.round_trip = milliseconds(3);
  ConnectionCount other(2, 8);
  CHECK(watch(other, now, seconds(10), sample) == 2);
}

TEST_CASE("what the other side makes of the number is taken over at once, unless this side has just changed it") {
  ConnectionCount count(1, 16);
  Instant now = kStart;
  count.follow(now, 1);
  CHECK_FALSE(count.is_settling(now));
  count.follow(now, 8);
  CHECK(count.wanted() == 8);
  CHECK_FALSE(count.is_settling(now));
  // New connections have time to reach their pace all the same.
  CHECK(watch(count, now, milliseconds(300), kRoomy) == 8);
  REQUIRE(watch(count, now, milliseconds(300), kRoomy) == 16);
  CHECK(count.is_settling(now));
  CHECK_FALSE(count.is_settling(now + seconds(3)));
  count.follow(now, 8);
  CHECK_FALSE(count.is_settling(now));
}

TEST_CASE("both directions of a link agree on a number") {
  ConnectionCount count(8, 16);
  Instant now = kStart;
  LinkSample overflow = kQueued;
  overflow.segments_sent = 1000;
  overflow.segments_repeated = 50;
  REQUIRE(watch(count, now, milliseconds(300), overflow) == 4);
  // The other direction has room for more, but not this one.
  CHECK(count.asked(now, 8) == 7);
  CHECK(count.asked(now, 7) == 7);
  CHECK(count.asked(now + seconds(31), 16) == 16);
  // What overflows a queue in the other direction is no matter of room in this one.
  ConnectionCount other(8, 16);
  now = kStart;
  CHECK(other.asked(now, 4) == 4);
  CHECK(watch(other, now, seconds(20), kRoomy) == 7);
  CHECK(watch(other, now, seconds(20), kRoomy) == 16);
}

TEST_CASE("none is added while the windows of those that there are still grow") {
  ConnectionCount count(8, 32);
  Instant now = kStart;
  LinkSample sample = kRoomy;
  sample.window_bytes = 100'000;
  for (int i = 0; i < 50; ++i) {
    count.sample(now, sample);
    now += kInterval;
    sample.window_bytes += sample.window_bytes / 8;
  }
  CHECK(count.wanted() == 8);
  // Where losses hold them back, they stay what they are.
  CHECK(watch(count, now, seconds(1), sample) > 8);
}
