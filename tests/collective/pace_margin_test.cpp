#include "../catch.hpp"
#include "collective/pace_margin.hpp"

namespace hawser {
namespace {

constexpr Duration kLeast = milliseconds(100);

void watch(PaceMargin& margin, Duration round_trip, bool is_held_back) {
  for (int i = 0; i < 100; ++i) margin.sample(round_trip, kLeast, is_held_back);
}

}  // namespace

TEST_CASE("the margin grows while it holds data back and no queue stands on the way") {
  PaceMargin margin;
  const double first = margin.value();
  watch(margin, milliseconds(110), false);
  CHECK(margin.value() == first);
  watch(margin, milliseconds(110), true);
  CHECK(margin.value() == 2.5);
}

TEST_CASE("the margin shrinks where round trips are much longer than they could be, but not below its least") {
  PaceMargin margin;
  const double first = margin.value();
  watch(margin, milliseconds(145), true);
  CHECK(margin.value() == first);
  margin.sample(milliseconds(180), kLeast, true);
  CHECK(margin.value() < first);
  watch(margin, milliseconds(300), true);
  CHECK(margin.value() == 1.0);
}

TEST_CASE("a millisecond of jitter is no queue") {
  PaceMargin margin;
  const double first = margin.value();
  for (int i = 0; i < 100; ++i) margin.sample(microseconds(1900), microseconds(100), false);
  CHECK(margin.value() == first);
}

}  // namespace hawser
