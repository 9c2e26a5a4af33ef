#include <array>
#include <cstdint>
#include <limits>

#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {

TEST_CASE("the numbers are those of SplitMix64, on every machine") {
  // Reference values of the algorithm's authors for seed 1234567.
  Random random(1234567);
  CHECK(random.next() == 6457827717110365317ULL);
  CHECK(random.next() == 3203168211198807973ULL);
  CHECK(random.next() == 9817491932198370423ULL);
}

TEST_CASE("bounds hold and their ends come up") {
  Random random(3);
  std::array<int, 5> seen{};
  for (int i = 0; i < 1000; ++i) ++seen.at(random.below(5));
  for (const int times : seen) CHECK(times > 100);
  CHECK(random.below(0) == 0);
  CHECK(random.below(1) == 0);

  bool low = false;
  bool high = false;
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t value = random.between(-2, 2);
    REQUIRE(value >= -2);
    REQUIRE(value <= 2);
    low = low || value == -2;
    high = high || value == 2;
  }
  CHECK(low);
  CHECK(high);
  CHECK(random.between(7, 7) == 7);
}

TEST_CASE("chances") {
  Random random(4);
  int heads = 0;
  for (int i = 0; i < 10000; ++i) {
    heads += random.chance(1, 4) ? 1 : 0;
    REQUIRE(random.chance(1, 1));
    REQUIRE_FALSE(random.chance(0, 1));
  }
  CHECK(heads > 2200);
  CHECK(heads < 2800);
}

}  // namespace hawser
