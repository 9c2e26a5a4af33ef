#include <cstring>

#include "catch.hpp"
#include "collective/residual.hpp"

namespace hawser {

TEST_CASE("a residual changes only by a call that succeeded") {
  const auto residual = *Residual::create(4, DataType::bfloat16);
  REQUIRE(residual->claim());
  CHECK_FALSE(residual->claim());
  const float owed[4] = {3, 4, 0, 0};
  std::memcpy(residual->prepared(), owed, sizeof owed);
  residual->release(false);
  REQUIRE(residual->claim());
  CHECK(*residual->root_mean_square() == 0);
  std::memcpy(residual->prepared(), owed, sizeof owed);
  residual->release(true);
  REQUIRE(residual->claim());
  CHECK(*residual->root_mean_square() == 2.5);
  REQUIRE(residual->reset().ok());
  CHECK(*residual->root_mean_square() == 0);
}

TEST_CASE("residuals are for floats") {
  CHECK(Residual::create(4, DataType::int32).status() == Status::invalid_argument);
  CHECK(Residual::create(0, DataType::float32).status() == Status::invalid_argument);
}

}  // namespace hawser
