#include "plan/apportion.hpp"

#include <algorithm>
#include <numeric>

#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {

TEST_CASE("the largest remainders get the slots that are left") {
  CHECK(apportion({0.5, 0.25, 0.25}, 4) == std::vector<std::uint32_t>{2, 1, 1});
  CHECK(apportion({0.41, 0.33, 0.26, 0}, 10) == std::vector<std::uint32_t>{4, 3, 3, 0});
  CHECK(apportion({1.0 / 3, 1.0 / 3, 1.0 / 3}, 4) == std::vector<std::uint32_t>{2, 1, 1});
  CHECK(apportion({1, 0}, 7) == std::vector<std::uint32_t>{7, 0});
}

TEST_CASE("apportioning gives all slots away, each within one of its share") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    Shares shares(1 + random.below(20));
    for (double& share : shares) share = static_cast<double>(random.below(1000));
    shares[0] += 1;
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    for (double& share : shares) share /= sum;
    const auto slots = static_cast<std::uint32_t>(1 + random.below(1024));
    const std::vector<std::uint32_t> counts = apportion(shares, slots);
    CHECK(std::accumulate(counts.begin(), counts.end(), 0U) == slots);
    for (std::size_t i = 0; i < shares.size(); ++i) {
      CHECK(counts[i] > shares[i] * slots - 1);
      CHECK(counts[i] < shares[i] * slots + 1.000001);
    }
  }
}

TEST_CASE("every stretch of the sequence has about the same mixture") {
  CHECK(interleave({2, 1, 1}) == std::vector<std::uint32_t>{0, 1, 2, 0});
  const std::vector<std::uint32_t> counts{40, 1, 0, 13, 10};
  const std::vector<std::uint32_t> sequence = interleave(counts);
  REQUIRE(sequence.size() == 64);
  std::vector<double> so_far(counts.size());
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    ++so_far[sequence[i]];
    for (std::size_t index = 0; index < counts.size(); ++index)
      CHECK(std::abs(so_far[index] - counts[index] / 64.0 * static_cast<double>(i + 1)) < 2);
  }
  for (std::size_t index = 0; index < counts.size(); ++index) CHECK(so_far[index] == counts[index]);
}

}  // namespace hawser
