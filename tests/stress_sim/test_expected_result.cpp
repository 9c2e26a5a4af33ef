#include "sim/expected_result.hpp"

#include <array>
#include <vector>

#include "catch.hpp"
#include "sim/typed_values.hpp"
#include "sim/user_buffers.hpp"

namespace hawser::sim {
namespace {

constexpr std::array<std::uint64_t, 3> kSalts{11, 12, 13};
constexpr std::size_t kCount = 20;

std::vector<double> sums() {
  std::vector<double> all(kCount);
  for (const std::uint64_t salt : kSalts)
    for (std::size_t i = 0; i < kCount; ++i) all[i] += contribution(salt, i);
  return all;
}

std::vector<std::byte> floats(const std::vector<double>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  store_all(DataType::float32, bytes.data(), values);
  return bytes;
}

}  // namespace

TEST_CASE("a result is right bit for bit, or its first wrong element is named") {
  const ExpectedResult expected({.count = kCount}, kSalts);
  REQUIRE(expected.is_exact());
  std::vector<std::byte> result = floats(sums());
  CHECK_FALSE(expected.find_wrong(result, 0));
  result[7 * sizeof(float)] ^= std::byte{1};
  const auto wrong = expected.find_wrong(result, 0);
  REQUIRE(wrong);
  CHECK(wrong->element == 7);
  result.resize(result.size() + sizeof(float));
  CHECK(expected.find_wrong(result, 0));
}

TEST_CASE("a share of a reduce-scatter is looked at in its place") {
  const ExpectedResult expected({.collective = Collective::reduce_scatter, .count = kCount / 4}, kSalts);
  const std::vector<std::byte> all = floats(sums());
  const std::size_t share = kCount / 4 * sizeof(float);
  CHECK_FALSE(expected.find_wrong(std::span(all).subspan(share, share), kCount / 4));
  CHECK(expected.find_wrong(std::span(all).subspan(share, share), 0));
}

TEST_CASE("a quantised result may be off by its scheme's steps") {
  const Quantization quantization{.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
  const ExpectedResult expected({.count = kCount, .quantization = quantization}, kSalts);
  CHECK_FALSE(expected.is_exact());
  std::vector<double> values = sums();
  values[3] += 0.5;
  CHECK_FALSE(expected.find_wrong(floats(values), 0));
  values[3] += 2;
  CHECK(expected.find_wrong(floats(values), 0));
}

TEST_CASE("with error feedback, what is missing from a sum is owed") {
  const Quantization quantization{.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
  const ExpectedResult expected({.count = kCount, .quantization = quantization}, kSalts, true);
  std::vector<double> values = sums();
  std::vector<double> settled(kCount);
  values[5] -= 0.25;
  CHECK(expected.find_unsettled(floats(values), settled));
  settled[5] = -0.25;
  CHECK_FALSE(expected.find_unsettled(floats(values), settled));
}

}  // namespace hawser::sim
