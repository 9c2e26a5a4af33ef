#include "churn/number_formats.hpp"

#include <cmath>
#include <limits>

#include "catch.hpp"

using namespace hawser::churn;

TEST_CASE("every 16-bit float survives the way to float32 and back") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const bool half_nan = (bits & 0x7fff) > 0x7c00;
    const bool brain_nan = (bits & 0x7fff) > 0x7f80;
    if (!half_nan) REQUIRE(to_float16(from_float16(half)) == half);
    if (!brain_nan) REQUIRE(to_bfloat16(from_bfloat16(half)) == half);
    if (half_nan) REQUIRE(std::isnan(from_float16(half)));
  }
}

TEST_CASE("between two 16-bit floats the nearer is taken, and of equally near ones the even") {
  for (std::uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = from_float16(bits);
    const float high = from_float16(static_cast<std::uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    REQUIRE(to_float16(middle) == bits + (bits & 1));
    REQUIRE(to_float16(std::nextafter(middle, low)) == bits);
    REQUIRE(to_float16(std::nextafter(middle, high)) == bits + 1);
    REQUIRE(to_float16(-middle) == (0x8000 | (bits + (bits & 1))));
  }
  CHECK(to_bfloat16(257.0f) == to_bfloat16(256.0f));
  CHECK(to_bfloat16(259.0f) == to_bfloat16(260.0f));
}

TEST_CASE("what is too large becomes infinite") {
  CHECK(to_float16(65519.9f) == 0x7bff);
  CHECK(to_float16(65520.0f) == 0x7c00);
  CHECK(to_float16(-1e30f) == 0xfc00);
  CHECK(to_bfloat16(std::numeric_limits<float>::infinity()) == 0x7f80);
  CHECK(std::isnan(from_float16(to_float16(std::nanf("")))));
  CHECK(std::isnan(from_bfloat16(to_bfloat16(std::nanf("")))));
}
