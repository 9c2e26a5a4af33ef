#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/bug_found.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "kernels/reduce.hpp"
#include "kernels/reduce_scalar.hpp"
#include "kernels/reduce_vector.hpp"

namespace hawser {
namespace {

constexpr std::size_t kSizeMax = 300;
constexpr std::size_t kMisalignmentMax = 15;
constexpr std::byte kUntouched{0xa5};

/// Floats of every kind: any bits, ordinary ones, the special ones. No NaN: which of two NaNs an addition
/// passes on is the processor's choice.
float any_float(Random& random) {
  static constexpr std::array special{0.0F,
                                      -0.0F,
                                      1.0F,
                                      std::numeric_limits<float>::infinity(),
                                      std::numeric_limits<float>::max(),
                                      std::numeric_limits<float>::lowest(),
                                      std::numeric_limits<float>::min(),
                                      std::numeric_limits<float>::denorm_min(),
                                      std::numeric_limits<float>::epsilon()};
  if (random.chance(1, 8)) return special[random.below(special.size())];
  if (random.chance(1, 2)) return static_cast<float>(random.between(-1000000, 1000000)) / 1024.0F;
  const auto bits = static_cast<std::uint32_t>(random.next());
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return std::isnan(value) || std::isinf(value) ? 0.5F : value;
}

/// Bytes that start `misalignment` after a 64-byte boundary, with guards before and behind.
class Buffer {
 public:
  Buffer(std::size_t misalignment, std::size_t count)
      : bytes_(count * sizeof(float)), room_(bytes_ + 256, kUntouched) {
    while (reinterpret_cast<std::uintptr_t>(room_.data() + start_) % 64 != misalignment) ++start_;
  }
  std::byte* data() { return room_.data() + start_; }
  void fill(Random& random) {
    for (std::size_t at = 0; at < bytes_; at += sizeof(float)) {
      const float value = any_float(random);
      std::memcpy(data() + at, &value, sizeof value);
    }
  }
  std::vector<std::byte> content() { return {data(), data() + bytes_}; }
  bool guards_hold() const {
    for (std::size_t i = 0; i < room_.size(); ++i)
      if ((i < start_ || i >= start_ + bytes_) && room_[i] != kUntouched) return false;
    return true;
  }

 private:
  std::size_t bytes_;
  std::vector<std::byte> room_;
  std::size_t start_ = 64;
};

float float_at(const std::vector<std::byte>& bytes, std::size_t index) {
  float value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

void expect_same_bits(const std::vector<std::byte>& got, const std::vector<std::byte>& expected) {
  REQUIRE(got.size() == expected.size());
  if (got == expected) return;
  for (std::size_t i = 0; i < got.size() / sizeof(float); ++i) {
    // The sum of opposite infinities is a NaN, of either sign.
    if (std::isnan(float_at(got, i)) && std::isnan(float_at(expected, i))) continue;
    INFO("element " << i << " is " << float_at(got, i) << ", expected " << float_at(expected, i));
    REQUIRE(std::memcmp(got.data() + 4 * i, expected.data() + 4 * i, 4) == 0);
  }
}

void compare_add(const ReduceKernels& kernels, std::size_t count, std::size_t misalignment, Random& random) {
  // Three different misalignments at a time; over all values of one, every pair of two comes up.
  Buffer a(misalignment, count);
  Buffer b((misalignment * 7 + count) % (kMisalignmentMax + 1), count);
  Buffer out((misalignment * 3 + count / 16) % (kMisalignmentMax + 1), count);
  a.fill(random);
  b.fill(random);
  const auto a_before = a.content();
  const auto b_before = b.content();
  std::vector<std::byte> expected(count * sizeof(float));
  reduce_scalar().float32.add(expected.data(), a.data(), b.data(), count);

  kernels.add(out.data(), a.data(), b.data(), count);
  expect_same_bits(out.content(), expected);
  REQUIRE(a.content() == a_before);
  REQUIRE(b.content() == b_before);

  kernels.add(a.data(), a.data(), b.data(), count);
  expect_same_bits(a.content(), expected);
  REQUIRE(b.content() == b_before);
  std::copy(a_before.begin(), a_before.end(), a.data());
  kernels.add(b.data(), a.data(), b.data(), count);
  expect_same_bits(b.content(), expected);
  REQUIRE((a.guards_hold() && b.guards_hold() && out.guards_hold()));
}

void compare_divide(const ReduceKernels& kernels, std::size_t count, std::size_t misalignment,
                    Random& random) {
  Buffer values(misalignment, count);
  values.fill(random);
  std::vector<std::byte> expected = values.content();
  const auto divisor = static_cast<double>(1 + random.below(1024));
  reduce_scalar().float32.divide(expected.data(), count, divisor);
  kernels.divide(values.data(), count, divisor);
  expect_same_bits(values.content(), expected);
  REQUIRE(values.guards_hold());
}

}  // namespace

TEST_CASE("vector kernels give the oracle's bits at every size and misalignment") {
  for (const ReduceTable* table : reduce_vector()) {
    INFO(table->name);
    Random random(1);
    for (std::size_t count = 0; count <= kSizeMax; ++count)
      for (std::size_t misalignment = 0; misalignment <= kMisalignmentMax; ++misalignment) {
        INFO("count " << count << ", misalignment " << misalignment);
        compare_add(table->float32, count, misalignment, random);
        compare_divide(table->float32, count, misalignment, random);
      }
  }
}

TEST_CASE("the oracle adds and divides as IEEE says") {
  const std::array a{1.0F, 16777216.0F, -0.0F, std::numeric_limits<float>::max(), 0.1F};
  const std::array b{2.0F, 1.0F, -0.0F, std::numeric_limits<float>::max(), 0.2F};
  std::array<float, 5> out{};
  reduce_scalar().float32.add(std::as_writable_bytes(std::span(out)).data(),
                              std::as_bytes(std::span(a)).data(), std::as_bytes(std::span(b)).data(),
                              out.size());
  CHECK(out[0] == 3.0F);
  CHECK(out[1] == 16777216.0F);  // A tie goes to even.
  CHECK((out[2] == 0.0F && std::signbit(out[2])));
  CHECK(std::isinf(out[3]));
  CHECK(out[4] == 0.1F + 0.2F);
}

TEST_CASE("spans: add, add_to and divide") {
  std::vector<float> a{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<float> b{10, 20, 30, 40, 50, 60, 70, 80, 90};
  std::vector<float> out(a.size());
  add_to(out, a, b);
  CHECK(out == std::vector<float>{11, 22, 33, 44, 55, 66, 77, 88, 99});
  add(a, b);
  CHECK(a == out);
  divide(out, 11);
  CHECK(out == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK_THROWS_AS(add(a, std::span(b).first(3)), BugFound);
}

TEST_CASE("combine then finish: sum keeps the sum, avg divides it by the contributors") {
  Random random(2);
  for (const std::uint32_t contributors : {1U, 2U, 3U, 7U, 16U, 1024U})
    for (const std::size_t misalignment : {0U, 1U, 3U}) {
      constexpr std::size_t kCount = 37;
      Buffer sum(misalignment, kCount);
      Buffer own(0, kCount);
      Buffer incoming(misalignment, kCount);
      own.fill(random);
      incoming.fill(random);
      combine(DataType::float32, ReduceOp::sum, sum.data(), own.data(), incoming.data(), kCount);
      const auto summed = sum.content();
      finish(DataType::float32, ReduceOp::sum, sum.data(), kCount, contributors);
      REQUIRE(sum.content() == summed);

      Buffer mean(misalignment, kCount);
      combine(DataType::float32, ReduceOp::avg, mean.data(), own.data(), incoming.data(), kCount);
      finish(DataType::float32, ReduceOp::avg, mean.data(), kCount, contributors);
      const auto averaged = mean.content();
      for (std::size_t i = 0; i < kCount; ++i) {
        // The correctly rounded quotient: a double holds enough bits for rounding twice to do no harm.
        const double quotient = static_cast<double>(float_at(summed, i)) / contributors;
        const auto expected = static_cast<float>(quotient);
        if (!std::isnan(expected)) REQUIRE(float_at(averaged, i) == expected);
      }
    }
}

TEST_CASE("finish refuses a number of contributors that is no float") {
  float value = 1;
  auto* bytes = std::as_writable_bytes(std::span(&value, 1)).data();
  CHECK_THROWS_AS(finish(DataType::float32, ReduceOp::avg, bytes, 1, 0), BugFound);
  CHECK_THROWS_AS(finish(DataType::float32, ReduceOp::avg, bytes, 1, (1U << 24) + 1), BugFound);
}

}  // namespace hawser
