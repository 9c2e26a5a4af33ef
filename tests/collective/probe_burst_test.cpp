#include "collective/probe_burst.hpp"

#include <algorithm>

#include "catch.hpp"

using namespace hawser;

namespace {

constexpr Instant kStart{seconds(50)};
constexpr std::uint64_t kMegabit = 125'000;

/// A way with slow start: `flight` bytes in the first round trip, twice as much in each, up to `rate` a second.
struct Way {
  Duration round_trip{};
  std::uint64_t rate = 0;
  std::uint64_t flight = 0;

  std::uint64_t arrived(Instant at) const {
    double bytes = 0;
    const double trip = std::chrono::duration<double>(round_trip).count();
    double left = std::chrono::duration<double>(at - kStart).count() - trip;
    for (auto now = static_cast<double>(flight); left > 0; left -= trip, now *= 2)
      bytes += std::min(now, static_cast<double>(rate) * trip) * std::min(1.0, left / trip);
    return static_cast<std::uint64_t>(bytes);
  }
};

ProbeBurst burst_over(const Way& way, Instant& over, std::uint64_t bytes_max = std::uint64_t{1} << 40) {
  ProbeBurst burst(kStart, {.round_trip = way.round_trip,
                            .time_max = probe_time_max(way.round_trip),
                            .bytes_max = bytes_max});
  Instant now = kStart;
  while (!burst.is_over()) {
    REQUIRE(burst.next_look() > now);
    now = burst.next_look();
    burst.look(now, std::min(bytes_max, way.arrived(now)));
  }
  over = now;
  return burst;
}

bool is_about(std::uint64_t measured, std::uint64_t rate) {
  return measured > rate * 90 / 100 && measured < rate * 110 / 100;
}

}  // namespace

TEST_CASE("a way that is full is measured, and the burst ends before its time") {
  const Way way{.round_trip = milliseconds(20), .rate = 100 * kMegabit, .flight = 60'000};
  Instant over;
  const ProbeBurst burst = burst_over(way, over);
  CHECK(is_about(burst.bytes_per_second(), way.rate));
  CHECK_FALSE(burst.is_lower_bound());
  CHECK(over < kStart + probe_time_max(way.round_trip));
}

TEST_CASE("what slow start has not shown in time is a lower bound") {
  const Way way{.round_trip = milliseconds(100), .rate = 1000 * kMegabit, .flight = 30'000};
  Instant over;
  const ProbeBurst burst = burst_over(way, over);
  CHECK(burst.is_lower_bound());
  CHECK(burst.bytes_per_second() > 0);
  CHECK(burst.bytes_per_second() < way.rate);
  CHECK(over <= kStart + probe_time_max(way.round_trip) + milliseconds(100));
}

TEST_CASE("a slow way is known by the little that passes") {
  const Way way{.round_trip = milliseconds(20), .rate = kMegabit / 2, .flight = 30'000};
  Instant over;
  const ProbeBurst burst = burst_over(way, over);
  CHECK(is_about(burst.bytes_per_second(), way.rate));
  CHECK_FALSE(burst.is_lower_bound());
}

TEST_CASE("a way that becomes full in the last window is no lower bound") {
  const Way way{.round_trip = milliseconds(100), .rate = 13 * kMegabit, .flight = 100'000};
  Instant over;
  const ProbeBurst burst = burst_over(way, over);
  CHECK_FALSE(burst.is_lower_bound());
  CHECK(is_about(burst.bytes_per_second(), way.rate));
}

TEST_CASE("a burst that runs out of bytes shows a lower bound, and one over which nothing comes nothing") {
  const Way way{.round_trip = milliseconds(1), .rate = 8000 * kMegabit, .flight = 30'000};
  Instant over;
  const ProbeBurst burst = burst_over(way, over, 2 << 20);
  CHECK(burst.is_lower_bound());
  CHECK(burst.bytes_per_second() > 0);
  ProbeBurst silent(kStart, {.round_trip = milliseconds(50), .time_max = milliseconds(200), .bytes_max = 1 << 20});
  for (Instant now = kStart; !silent.is_over(); now = silent.next_look()) silent.look(now, 0);
  CHECK(silent.bytes_per_second() == 0);
  CHECK_FALSE(silent.is_lower_bound());
}

TEST_CASE("who was kept from looking knows a lower bound only") {
  const Way way{.round_trip = milliseconds(20), .rate = 100 * kMegabit, .flight = 60'000};
  ProbeBurst burst(kStart, {.round_trip = way.round_trip, .time_max = milliseconds(250), .bytes_max = 1 << 30});
  for (Instant now = kStart + milliseconds(80); !burst.is_over(); now = burst.next_look())
    burst.look(now, way.arrived(now));
  CHECK(burst.is_lower_bound());
}

TEST_CASE("a look before its time, or after the end, changes nothing") {
  ProbeBurst burst(kStart, {.round_trip = milliseconds(50), .time_max = milliseconds(200), .bytes_max = 1 << 20});
  burst.look(kStart, 1 << 20);
  CHECK_FALSE(burst.is_over());
  CHECK(probe_time_max(milliseconds(1)) == milliseconds(160));
  CHECK(probe_time_max(milliseconds(100)) == milliseconds(350));
  CHECK(probe_time_max(seconds(3)) == milliseconds(900));
}
