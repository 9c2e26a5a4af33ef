#include "topology/regions.hpp"

#include "catch.hpp"
#include "topology/estimates.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser::topology {
namespace {

using Members = std::vector<std::vector<std::uint32_t>>;

Regions regions_of(const Matrix& matrix) { return Estimates(matrix).regions(); }

}  // namespace

TEST_CASE("a gap in the delays parts regions, whatever the order of the ranks") {
  CHECK(regions_of(sample_of_regions({})).members == Members{{0, 1, 2, 3}, {4, 5, 6, 7}});
  const Regions mixed = regions_of(sample_of_regions({.sizes = {3, 2, 1}, .mixed = true}));
  CHECK(mixed.members == Members{{0, 3, 5}, {1, 4}, {2}});
  CHECK(mixed.of_rank == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 0});
  CHECK(mixed.structured());
  CHECK(mixed.reason == "up to 1 ms inside, 40 ms or more between");
}

TEST_CASE("members far from each other are regions of their own, near ones a single region") {
  const Regions far = regions_of(sample_of_rates({100, 100, 100}, milliseconds_in_ns(50)));
  CHECK(far.members == Members{{0}, {1}, {2}});
  CHECK_FALSE(far.structured());
  const Regions near = regions_of(sample_of_rates({100, 100, 100}, 200'000));
  CHECK(near.members == Members{{0, 1, 2}});
  CHECK_FALSE(near.structured());
  CHECK(near.reason == "no gap in delays or rates");
}

TEST_CASE("the widest gap decides") {
  // Two sites of two, 8 ms apart, and a continent with one more site of two, 120 ms away.
  Matrix matrix = sample_of_rates(std::vector<std::uint64_t>(6, 1000), milliseconds_in_ns(120));
  const auto site = [](std::uint32_t rank) { return rank / 2; };
  for (std::uint32_t a = 0; a < 6; ++a)
    for (std::uint32_t b = 0; b < 6; ++b)
      if (a != b && site(a) < 2 && site(b) < 2)
        matrix.pair(a, b).delay_ns = milliseconds_in_ns(site(a) == site(b) ? 1 : 8);
  matrix.pair(4, 5).delay_ns = matrix.pair(5, 4).delay_ns = milliseconds_in_ns(1);
  CHECK(regions_of(matrix).members == Members{{0, 1, 2, 3}, {4, 5}});
}

TEST_CASE("a thin cable between near sites shows in the rates") {
  const Regions regions =
      regions_of(sample_of_regions({.sizes = {3, 3}, .cable = megabits(100), .delay_ms = 1}));
  CHECK(regions.members == Members{{0, 1, 2}, {3, 4, 5}});
  CHECK(regions.reason == "125 MB/s or more inside, up to 12.5 MB/s between");
}

TEST_CASE("small differences part nobody") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    Matrix matrix = sample_of_rates(std::vector<std::uint64_t>(8, 1'000'000), 0);
    for (std::uint32_t a = 0; a < 8; ++a)
      for (std::uint32_t b = 0; b < 8; ++b)
        if (a != b)
          matrix.pair(a, b) = {.bytes_per_second = 600'000 + random.below(400'000),
                               .delay_ns = 500'000 + random.below(900'000)};
    CHECK(regions_of(matrix).members.size() == 1);
  }
}

}  // namespace hawser::topology
