#include "churn/mixed_values.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "catch.hpp"

using namespace hawser::churn;

namespace {

const std::vector<std::uint64_t> kMembers{3, 8, 21, 100};

std::vector<std::byte> result_of(const ValueRule& rule, const std::vector<std::uint64_t>& members) {
  std::vector<std::byte> bytes(rule.count * bytes_of(rule.type));
  lay_pattern(result_pattern(rule, members), bytes);
  return bytes;
}

std::string name_of_case(const ValueRule& rule) {
  return std::string(name_of(rule.type)) + " " + name_of(rule.op) + " " + std::to_string(rule.count);
}

}  // namespace

TEST_CASE("in every type and operation the right result passes, and nothing near it") {
  for (std::uint32_t type = 0; type < kDataTypes; ++type) {
    for (std::uint32_t op = 0; op < kReduceOps; ++op) {
      const ValueRule rule{.key = 9 + type,
                           .type = static_cast<hawserDataType_t>(type),
                           .op = static_cast<hawserReduceOp_t>(op),
                           .count = 2 * kPatternElements + 77};
      INFO(name_of_case(rule));
      std::vector<std::byte> result = result_of(rule, kMembers);
      CHECK(verify_exact(rule, kMembers, result).empty());
      CHECK_FALSE(verify_exact(rule, std::vector<std::uint64_t>{3, 8, 21}, result).empty());
      const std::size_t skip = 1000 * bytes_of(rule.type);
      CHECK(verify_exact(rule, kMembers, std::span(result).subspan(skip), 1000).empty());
      CHECK_FALSE(verify_exact(rule, kMembers, std::span(result).subspan(skip)).empty());
      result.back() ^= std::byte{1};
      CHECK_FALSE(verify_exact(rule, kMembers, result).empty());
    }
  }
}

TEST_CASE("a chunk in another's place does not pass") {
  const ValueRule rule{.key = 4, .type = hawserFloat32, .count = 40'000};
  std::vector<std::byte> result = result_of(rule, kMembers);
  constexpr std::size_t kChunk = 16 << 10;
  std::memcpy(result.data() + kChunk, result.data(), kChunk);
  CHECK_FALSE(verify_exact(rule, kMembers, result).empty());
}

TEST_CASE("integers average to the nearest, ties to even, and wrap in sums") {
  const std::vector<std::uint64_t> two{1, 2};
  const auto byte_of = [&](hawserReduceOp_t op, std::uint64_t key) {
    const ValueRule rule{.key = key, .type = hawserInt8, .op = op};
    return static_cast<std::int8_t>(result_pattern(rule, two).at(0));
  };
  bool tie = false;
  for (std::uint64_t key = 0; key < 50; ++key) {
    const int sum = byte_of(hawserSum, key);
    const int mean = byte_of(hawserAvg, key);
    tie |= sum % 2 != 0;
    if (sum % 2 == 0) CHECK(2 * mean == sum);
    if (sum % 2 != 0) CHECK((mean % 2 == 0 && std::abs(2 * mean - sum) == 1));
  }
  CHECK(tie);
}

TEST_CASE("a quantised result may be off by the tolerance and no more") {
  const ValueRule rule{.key = 1, .type = hawserFloat32, .op = hawserSum, .count = 100};
  std::vector<std::byte> result = result_of(rule, kMembers);
  const double tolerance =
      tolerance_of(rule, {hawserQuantizeMinMax, hawserToUint8, 0, 0}, kMembers.size(), false);
  CHECK(tolerance < 1);
  float value = 0;
  std::memcpy(&value, result.data() + 40, sizeof value);
  const float near = value + 0.9f * static_cast<float>(tolerance);
  std::memcpy(result.data() + 40, &near, sizeof near);
  CHECK(verify_near(rule, kMembers, result, tolerance).empty());
  const float far = value + 1.1f * static_cast<float>(tolerance);
  std::memcpy(result.data() + 40, &far, sizeof far);
  CHECK_FALSE(verify_near(rule, kMembers, result, tolerance).empty());
  const float none = std::nanf("");
  std::memcpy(result.data() + 40, &none, sizeof none);
  CHECK_FALSE(verify_near(rule, kMembers, result, tolerance).empty());
}

TEST_CASE("contributors are read from a result of any type, operation and size") {
  const std::vector<std::uint64_t> without_one{3, 21, 100};
  for (std::uint32_t type = 0; type < kDataTypes; ++type) {
    for (std::uint32_t op = 0; op < kReduceOps; ++op) {
      for (const std::uint64_t count : {1, 3, 5, 5000}) {
        const ValueRule rule{.key = 77,
                             .type = static_cast<hawserDataType_t>(type),
                             .op = static_cast<hawserReduceOp_t>(op),
                             .count = count,
                             .roster = kMembers};
        INFO(name_of_case(rule));
        const std::vector<std::byte> result = result_of(rule, without_one);
        const auto read = read_contributors(rule, result, {.self = 21, .least = 3, .most = 4});
        REQUIRE(read);
        if (count >= kMembers.size())
          CHECK(*read == without_one);
        else
          CHECK_FALSE(read->empty());
        if (count < kMembers.size()) continue;
        CHECK(read_contributors(rule, result, {.self = 8, .least = 3, .most = 4})->empty());
        CHECK(read_contributors(rule, result, {.self = 21, .least = 4, .most = 4})->empty());
      }
    }
  }
}

TEST_CASE("a result of two contributor sets at once is nobody's") {
  const ValueRule rule{.key = 5, .type = hawserInt64, .count = 6000, .roster = kMembers};
  std::vector<std::byte> result = result_of(rule, kMembers);
  const std::vector<std::byte> other = result_of(rule, {3, 8, 21});
  std::memcpy(result.data() + 4000, other.data() + 4000, 800);
  CHECK(read_contributors(rule, result, {.self = 3, .least = 2, .most = 4})->empty());
}
