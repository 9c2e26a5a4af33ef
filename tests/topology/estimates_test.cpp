#include "topology/estimates.hpp"

#include "catch.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser::topology {

TEST_CASE("what is unknown is estimated from what is known") {
  Matrix matrix = Matrix::unknown(4);
  matrix.pair(0, 1) = {.bytes_per_second = 300, .delay_ns = 2'000'000'000};
  matrix.pair(0, 2).bytes_per_second = 500;
  matrix.pair(2, 1).bytes_per_second = 100;
  matrix.members[1].uplink_bytes_per_second = 40;
  matrix.members[2].control_delay_ns = 250'000'000;
  const Estimates estimates(matrix);
  // The best rate of any pair in that direction, or the measured limit.
  CHECK(estimates.uplink(0) == 500);
  CHECK(estimates.uplink(1) == 40);
  CHECK(estimates.downlink(1) == 300);
  // Of rank 3 nothing is known: the median of 40, 100, 300, 500.
  CHECK(estimates.uplink(3) == 100);
  CHECK(estimates.downlink(3) == 100);
  CHECK(estimates.rate(0, 1) == 300);
  CHECK(estimates.rate(0, 3) == 100);
  CHECK(estimates.rate(1, 2) == 40);
  CHECK(estimates.slowest_rate() == 40);
  // The other direction, and the only one that is known.
  CHECK(estimates.delay(1, 0) == 2.0);
  CHECK(estimates.delay(2, 3) == 2.0);
  CHECK(estimates.control_round_trip() == 0.5);
}

TEST_CASE("regions whose common rate was not observed share what a pair got") {
  const Estimates assumed(sample_of_regions({.observed = false}));
  const Estimates observed(sample_of_regions({}));
  for (const Estimates* estimates : {&assumed, &observed}) {
    REQUIRE(estimates->regions().members.size() == 2);
    CHECK(estimates->cable_rates() == std::vector<double>{37.5e6, 37.5e6});
    CHECK(estimates->cable(0, 4) == estimates->cable(3, 7));
    CHECK(estimates->cable(0, 4) != estimates->cable(4, 0));
    CHECK(estimates->cable(0, 1) == kNoCable);
    CHECK(estimates->rate_between({0, 1, 2, 3}, {4, 5, 6, 7}) == 37.5e6);
    CHECK(estimates->rate_between({0, 1}, {2, 3, 4}) == 4 * 125e6 + 37.5e6);
  }
}

TEST_CASE("members that are alone in their regions need no cable") {
  const Estimates estimates(sample_of_regions({.sizes = {1, 1, 1}, .observed = false}));
  CHECK(estimates.regions().members.size() == 3);
  CHECK(estimates.cable_rates().empty());
}

}  // namespace hawser::topology
