#include "topology/matrix.hpp"

#include "catch.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser::topology {

TEST_CASE("samples pass the check") {
  CHECK(check(Matrix::unknown(2)).ok());
  CHECK(check(Matrix::unknown(1024)).ok());
  CHECK(check(sample_of_regions({.mixed = true})).ok());
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    CHECK(check(random_matrix(random, 2 + static_cast<std::uint32_t>(seed % 12))).ok());
  }
}

TEST_CASE("a matrix that cannot be planned with is refused") {
  Matrix matrix = sample_of_regions({});
  SECTION("sizes") {
    CHECK_FALSE(check(Matrix::unknown(1)).ok());
    CHECK_FALSE(check(Matrix::unknown(1025)).ok());
    matrix.pairs.pop_back();
    CHECK_FALSE(check(matrix).ok());
    matrix = sample_of_regions({});
    matrix.members.emplace_back();
    CHECK_FALSE(check(matrix).ok());
  }
  SECTION("values") {
    matrix.pair(1, 2).bytes_per_second = kBytesPerSecondMax + 1;
    CHECK_FALSE(check(matrix).ok());
    matrix = sample_of_regions({});
    matrix.pair(1, 2).delay_ns = kDelayNsMax + 1;
    CHECK_FALSE(check(matrix).ok());
    matrix = sample_of_regions({});
    matrix.members[3].control_delay_ns = kDelayNsMax + 1;
    CHECK_FALSE(check(matrix).ok());
    matrix = sample_of_regions({});
    matrix.pair(3, 3).delay_ns = 1;
    CHECK_FALSE(check(matrix).ok());
  }
  SECTION("a cable's members") {
    matrix.cables[0].from = {1, 0};
    CHECK_FALSE(check(matrix).ok());
    matrix.cables[0].from = {0, 8};
    CHECK_FALSE(check(matrix).ok());
    matrix.cables[0].from = {};
    CHECK_FALSE(check(matrix).ok());
    matrix.cables[0].from = {0, 4};
    CHECK_FALSE(check(matrix).ok());
  }
  SECTION("a cable's rate") {
    matrix.cables[0].bytes_per_second = 0;
    CHECK_FALSE(check(matrix).ok());
  }
  SECTION("a pair on two cables") {
    matrix.cables.push_back({.from = {0}, .to = {7}, .bytes_per_second = 1});
    CHECK_FALSE(check(matrix).ok());
  }
  SECTION("the sentence says who") {
    matrix.pair(5, 2).delay_ns = kDelayNsMax + 1;
    CHECK(check(matrix).error().sentence.find("rank 5 to rank 2") != std::string::npos);
  }
}

TEST_CASE("delays alone are no rates") {
  Matrix matrix = Matrix::unknown(3);
  matrix.pair(0, 1).delay_ns = 5;
  CHECK_FALSE(knows_rates(matrix));
  matrix.members[2].downlink_bytes_per_second = 1;
  CHECK(knows_rates(matrix));
}

}  // namespace hawser::topology
