#include "collective/traffic_meter.hpp"

#include "catch.hpp"

using namespace hawser;

namespace {

constexpr Instant kStart{seconds(100)};
constexpr std::uint64_t kRate = 10 << 20;  // a second

/// A link that takes so much a second, with more waiting all the time: acknowledged every millisecond.
void flow(LinkMeter& meter, Instant from, Instant to, std::uint64_t rate = kRate) {
  for (Instant now = from; now < to; now += milliseconds(1)) {
    meter.gave(now);
    meter.acknowledged(now, rate / 1000);
  }
}

bool is_about(std::uint64_t measured, std::uint64_t rate) {
  return measured > rate * 97 / 100 && measured < rate * 103 / 100;
}

}  // namespace

TEST_CASE("a link's rate is what passes while more waits") {
  LinkMeter meter;
  meter.round_trip(milliseconds(20));
  CHECK(meter.bytes_per_second() == 0);
  flow(meter, kStart, kStart + milliseconds(200));
  meter.drained(kStart + milliseconds(200));
  CHECK(is_about(meter.bytes_per_second(), kRate));
  CHECK_FALSE(meter.queued_since());
}

TEST_CASE("what is acknowledged while nothing waits says nothing") {
  LinkMeter meter;
  for (int i = 0; i < 1000; ++i) {
    const Instant now = kStart + i * milliseconds(10);
    meter.gave(now);
    meter.drained(now);
    meter.acknowledged(now + milliseconds(5), 100 << 10);
  }
  CHECK(meter.bytes_per_second() == 0);
}

TEST_CASE("a queue that is too short for a sample leaves the last one") {
  LinkMeter meter;
  flow(meter, kStart, kStart + milliseconds(200));
  meter.drained(kStart + milliseconds(200));
  const std::uint64_t before = meter.bytes_per_second();
  const Instant later = kStart + seconds(1);
  flow(meter, later, later + milliseconds(20), 100 * kRate);
  meter.drained(later + milliseconds(20));
  CHECK(meter.bytes_per_second() == before);
}

TEST_CASE("a long queue gives samples on the way, and a rate that drops is seen") {
  LinkMeter meter;
  flow(meter, kStart, kStart + seconds(2));
  CHECK(is_about(meter.bytes_per_second(), kRate));
  flow(meter, kStart + seconds(2), kStart + seconds(4), kRate / 10);
  CHECK(is_about(meter.bytes_per_second(), kRate / 10));
}

TEST_CASE("what comes in the first one and a half round trips does not count") {
  LinkMeter meter;
  meter.round_trip(milliseconds(100));
  // Idle buffers take ten times as much.
  flow(meter, kStart, kStart + milliseconds(150), 10 * kRate);
  flow(meter, kStart + milliseconds(150), kStart + milliseconds(400));
  meter.drained(kStart + milliseconds(400));
  CHECK(is_about(meter.bytes_per_second(), kRate));
}

TEST_CASE("a link that is given only so much shows that it can do that, not that it could not do more") {
  LinkMeter meter;
  flow(meter, kStart, kStart + seconds(2));
  meter.bound(kRate / 2);
  const Instant measured = meter.measured_at();
  flow(meter, kStart + seconds(2), kStart + seconds(6), kRate / 2);
  CHECK(is_about(meter.bytes_per_second(), kRate));
  // No news, but it was seen.
  CHECK(meter.measured_at() == measured);
  CHECK(meter.sampled_at() > kStart + seconds(5));
  // What is far below the bound is the network's doing, and what is above the best counts.
  flow(meter, kStart + seconds(6), kStart + seconds(9), kRate / 10);
  CHECK(is_about(meter.bytes_per_second(), kRate / 10));
  flow(meter, kStart + seconds(9), kStart + seconds(11), kRate / 2);
  CHECK(is_about(meter.bytes_per_second(), kRate / 2));
}

TEST_CASE("the shortest round trip holds") {
  LinkMeter meter;
  meter.round_trip(milliseconds(30));
  meter.round_trip(milliseconds(20));
  meter.round_trip(milliseconds(40));
  CHECK(meter.round_trip() == milliseconds(20));
}

TEST_CASE("a peak is that of windows in which something waited") {
  PeakMeter meter;
  for (Instant now = kStart; now < kStart + seconds(1); now += milliseconds(1)) meter.moved(now, kRate / 1000, {});
  CHECK(meter.bytes_per_second() == 0);
  for (Instant now = kStart + seconds(1); now < kStart + seconds(2); now += milliseconds(1))
    meter.moved(now, kRate / 1000, kStart);
  CHECK(is_about(meter.bytes_per_second(), kRate));
}

TEST_CASE("a peak is forgotten after other traffic, not after silence") {
  PeakMeter meter;
  const auto run = [&](Instant from, Duration time, std::uint64_t rate) {
    for (Instant now = from; now < from + time; now += milliseconds(1)) meter.moved(now, rate / 1000, kStart);
  };
  run(kStart, seconds(1), 10 * kRate);
  CHECK(is_about(meter.bytes_per_second(), 10 * kRate));
  run(kStart + seconds(1000), milliseconds(500), kRate);
  CHECK(is_about(meter.bytes_per_second(), 10 * kRate));
  run(kStart + seconds(1001), seconds(20), kRate);
  CHECK(is_about(meter.bytes_per_second(), kRate));
}

TEST_CASE("a probe replaces what traffic has shown, and traffic what a probe has") {
  LinkMeter meter;
  meter.round_trip(milliseconds(20));
  flow(meter, kStart, kStart + milliseconds(200));
  meter.drained(kStart + milliseconds(200));
  REQUIRE(meter.source() == RateSource::traffic);
  const Instant probed = kStart + milliseconds(700);
  flow(meter, kStart + milliseconds(500), probed, 3 * kRate);
  meter.probed(probed, 5 * kRate, true);
  CHECK(meter.bytes_per_second() == 5 * kRate);
  CHECK(meter.source() == RateSource::probe_lower_bound);
  CHECK(meter.measured_at() == probed);
  // What is left of the burst is no sample.
  meter.acknowledged(probed + milliseconds(100), 10 << 20);
  meter.drained(probed + milliseconds(100));
  CHECK(meter.bytes_per_second() == 5 * kRate);
  flow(meter, probed + seconds(1), probed + milliseconds(1200));
  meter.drained(probed + milliseconds(1200));
  CHECK(is_about(meter.bytes_per_second(), kRate));
  CHECK(meter.source() == RateSource::traffic);
  CHECK(meter.measured_at() == probed + milliseconds(1200));
}
