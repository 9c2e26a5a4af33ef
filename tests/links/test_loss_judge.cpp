#include "catch.hpp"
#include "links/loss_judge.hpp"

using namespace hawser;

namespace {

LinkSample sample_of(Duration round_trip, std::uint64_t sent, std::uint64_t repeated) {
  return {.round_trip = round_trip,
          .round_trip_least = milliseconds(100),
          .segments_sent = sent,
          .segments_repeated = repeated};
}

/// After how many such samples the way is known to lose; 0: it never was in 100.
int known_after(LossJudge judge, const LinkSample& sample) {
  for (int i = 1; i <= 100; ++i)
    if (judge.sample(sample)) return i;
  return 0;
}

}  // namespace

TEST_CASE("a way is known to lose segments by what is sent again while no queue stands on it") {
  CHECK(known_after({}, sample_of(milliseconds(101), 500, 10)) == 5);
  CHECK(known_after({}, sample_of(milliseconds(101), 2000, 1)) == 10);
  // A queue that overflows.
  CHECK(known_after({}, sample_of(milliseconds(160), 500, 100)) == 0);
  // Too few to matter.
  CHECK(known_after({}, sample_of(milliseconds(101), 10'000, 1)) == 0);
}

TEST_CASE("one burst of losses is no habit of a way") {
  LossJudge judge;
  CHECK_FALSE(judge.sample(sample_of(milliseconds(101), 500, 300)));
  CHECK(known_after(judge, sample_of(milliseconds(101), 500, 0)) == 0);
}

TEST_CASE("a way that loses no more is forgotten to have lost") {
  LossJudge judge;
  for (int i = 0; i < 20; ++i) judge.sample(sample_of(milliseconds(101), 500, 10));
  REQUIRE(judge.sample(sample_of(milliseconds(101), 500, 0)));
  for (int i = 0; i < 2000; ++i) judge.sample(sample_of(milliseconds(101), 500, 0));
  CHECK_FALSE(judge.sample(sample_of(milliseconds(101), 500, 0)));
}

TEST_CASE("short ways are not judged") {
  LinkSample sample = sample_of(microseconds(400), 500, 10);
  sample.round_trip_least = microseconds(300);
  CHECK(known_after({}, sample) == 0);
}
