#include "base/random.hpp"
#include "catch.hpp"
#include "topology/steady_measure.hpp"

namespace hawser::topology {

TEST_CASE("what is known first is told at once, and what is unknown is nothing") {
  SteadyMeasure steady;
  steady.take(0);
  CHECK(steady.held() == 0);
  steady.take(1000);
  CHECK(steady.held() == 1000);
  steady.take(0);
  CHECK(steady.held() == 1000);
}

TEST_CASE("noise of 20 % moves nothing once the mean has settled") {
  Random random(1);
  for (int repetition = 0; repetition < 1000; ++repetition) {
    SteadyMeasure steady;
    const auto sample = [&] { return 800'000 + random.below(400'001); };
    for (int i = 0; i < 8; ++i) steady.take(sample());
    const std::uint64_t settled = steady.held();
    REQUIRE(settled > 850'000);
    REQUIRE(settled < 1'150'000);
    for (int i = 0; i < 1000; ++i) {
      steady.take(sample());
      REQUIRE(steady.held() == settled);
    }
  }
}

TEST_CASE("a rate that falls to a tenth, or doubles and more, is told at once") {
  SteadyMeasure steady;
  for (int i = 0; i < 100; ++i) steady.take(1000 + i % 2 * 50);
  steady.take(100);
  CHECK(steady.held() == 100);
  steady.take(250);
  CHECK(steady.held() == 250);
}

TEST_CASE("a lasting change by half is told within the samples that the mean reaches back") {
  SteadyMeasure steady;
  for (int i = 0; i < 100; ++i) steady.take(1000);
  int taken = 0;
  while (steady.held() == 1000 && taken < 100) {
    steady.take(1500);
    ++taken;
  }
  CHECK(taken > 1);
  CHECK(taken <= 16);
  CHECK(steady.held() > 1250);
}

TEST_CASE("one that begins anew takes the next sample as it is") {
  SteadyMeasure steady;
  for (int i = 0; i < 100; ++i) steady.take(1000);
  steady.begin_anew();
  CHECK(steady.held() == 1000);
  steady.take(1100);
  CHECK(steady.held() == 1100);
}

}  // namespace hawser::topology
