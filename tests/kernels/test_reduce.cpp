#include "kernels/reduce.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "base/bug_found.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "element_values.hpp"
#include "guarded_buffer.hpp"

// Whole reductions, from elements to elements, compared with the definitions of quantities and roundings.

namespace hawser {
namespace {

__extension__ using Int128 = __int128;

template <class T>
T fold_floats(ReduceOp op, const std::vector<T>& inputs) {
  T result = inputs[0];
  bool any_nan = std::isnan(result);
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const T next = inputs[i];
    any_nan = any_nan || std::isnan(next);
    const bool is_smaller = std::isless(next, result) || (next == result && std::signbit(next));
    const bool is_larger = std::isgreater(next, result) || (next == result && !std::signbit(next));
    if (op == ReduceOp::sum || op == ReduceOp::avg) result += next;
    if (op == ReduceOp::prod) result *= next;
    if (op == ReduceOp::max && is_larger) result = next;
    if (op == ReduceOp::min && is_smaller) result = next;
  }
  if (op == ReduceOp::avg) result /= static_cast<T>(inputs.size());
  return any_nan ? std::numeric_limits<T>::quiet_NaN() : result;
}

Int128 nearest_mean(Int128 sum, Int128 count) {
  Int128 floor = sum / count;
  if (floor * count > sum) --floor;
  const Int128 twice_rest = 2 * (sum - floor * count);
  const bool up = twice_rest > count || (twice_rest == count && floor % 2 != 0);
  return floor + (up ? 1 : 0);
}

template <class T>
T fold_integers(ReduceOp op, const std::vector<T>& inputs) {
  Int128 sum = 0;
  std::uint64_t product = 1;
  for (const T input : inputs) {
    sum += input;
    product *= static_cast<std::uint64_t>(input);
  }
  switch (op) {
    case ReduceOp::sum: return static_cast<T>(static_cast<std::uint64_t>(sum));
    case ReduceOp::avg: return static_cast<T>(nearest_mean(sum, static_cast<Int128>(inputs.size())));
    case ReduceOp::prod: return static_cast<T>(product);
    case ReduceOp::max: return *std::max_element(inputs.begin(), inputs.end());
    case ReduceOp::min: return *std::min_element(inputs.begin(), inputs.end());
  }
  return 0;
}

template <class T>
T fold(ReduceOp op, const std::vector<T>& inputs) {
  if constexpr (kIsHalf<T>) {
    std::vector<float> floats(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) floats[i] = static_cast<float>(inputs[i].value());
    return T::nearest(static_cast<double>(fold_floats(op, floats)));
  } else if constexpr (std::is_floating_point_v<T>) {
    return fold_floats(op, inputs);
  } else {
    return fold_integers(op, inputs);
  }
}

/// Reduces through every function of the interface: ((0 op 1) op 2) op 3, as far as there are inputs.
std::vector<std::byte> reduce(DataType type, ReduceOp op, std::deque<GuardedBuffer>& inputs,
                              std::size_t count, std::size_t misalignment) {
  const std::size_t bytes = count * accumulator_bytes(type, op);
  GuardedBuffer total(misalignment, bytes);
  GuardedBuffer wide((misalignment * 5 + 1) % 8, bytes);
  GuardedBuffer result((misalignment * 3 + 2) % 8, count * element_bytes(type));
  if (inputs.size() == 1)
    widen(type, op, total.data(), inputs[0].data(), count);
  else
    combine_values(type, op, total.data(), inputs[0].data(), inputs[1].data(), count);
  if (inputs.size() > 2) combine_value(type, op, total.data(), total.data(), inputs[2].data(), count);
  if (inputs.size() > 3) {
    widen(type, op, wide.data(), inputs[3].data(), count);
    combine(type, op, total.data(), total.data(), wide.data(), count);
  }
  finish(type, op, total.data(), count, static_cast<std::uint32_t>(inputs.size()));
  narrow(type, op, result.data(), total.data(), count);
  REQUIRE((total.guards_hold() && wide.guards_hold() && result.guards_hold()));
  return result.content();
}

template <class T>
void check_reduction(DataType type, ReduceOp op, std::size_t count, std::size_t misalignment,
                     Random& random) {
  const std::size_t contributors = 1 + (count + misalignment) % 4;
  std::vector<std::vector<T>> values;
  std::deque<GuardedBuffer> inputs;
  for (std::size_t i = 0; i < contributors; ++i) {
    values.push_back(any_values<T>(count, random));
    inputs.emplace_back((misalignment + i * 3) % 8, bytes_of(values.back()));
  }
  const auto got = reduce(type, op, inputs, count, misalignment);
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<T> of_element(contributors);
    for (std::size_t j = 0; j < contributors; ++j) of_element[j] = values[j][i];
    const T expected = fold(op, of_element);
    T element;
    std::memcpy(&element, got.data() + i * sizeof(T), sizeof(T));
    if (contributors == 1 && !is_wide(type, op) && op != ReduceOp::avg)
      REQUIRE(same_bits(element, of_element[0]));  // Untouched, a NaN's payload too.
    else if (is_nan(expected) && !kIsHalf<T>)
      REQUIRE(is_nan(element));
    else
      REQUIRE(same_bits(element, expected));
  }
}

template <class T>
std::vector<T> reduced(DataType type, ReduceOp op, const std::vector<std::vector<T>>& values) {
  std::deque<GuardedBuffer> inputs;
  for (const auto& each : values) inputs.emplace_back(0, bytes_of(each));
  const auto bytes = reduce(type, op, inputs, values[0].size(), 0);
  std::vector<T> result(values[0].size());
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

}  // namespace

TEST_CASE("every type and op at every size and misalignment is what it is defined as") {
  Random random(1);
  for (const DataType type : kDataTypes)
    for (const ReduceOp op : kReduceOps) {
      INFO(to_string(type) << ", " << to_string(op));
      with_element_type(type, [&]<class T>(T) {
        for (std::size_t count = 0; count <= 70; ++count)
          for (std::size_t misalignment = 0; misalignment < 8; ++misalignment)
            check_reduction<T>(type, op, count, misalignment, random);
        for (const std::size_t count : {511U, 512U, 513U, 1025U, 3001U})
          check_reduction<T>(type, op, count, 1 + count % 7, random);
      });
    }
}

TEST_CASE("accumulators are wide where rounding or overflow would add up") {
  CHECK(accumulator_type(DataType::float16, ReduceOp::sum) == AccumulatorType::float32);
  CHECK(accumulator_type(DataType::bfloat16, ReduceOp::prod) == AccumulatorType::float32);
  CHECK(accumulator_type(DataType::bfloat16, ReduceOp::max) == AccumulatorType::bfloat16);
  CHECK(accumulator_type(DataType::int8, ReduceOp::avg) == AccumulatorType::int64);
  CHECK(accumulator_type(DataType::uint32, ReduceOp::avg) == AccumulatorType::uint64);
  CHECK(accumulator_type(DataType::int64, ReduceOp::avg) == AccumulatorType::int128);
  CHECK(accumulator_type(DataType::uint64, ReduceOp::avg) == AccumulatorType::uint128);
  CHECK(accumulator_bytes(DataType::uint64, ReduceOp::avg) == 16);
  CHECK(accumulator_bytes(DataType::int16, ReduceOp::avg) == 8);
  for (const DataType type : kDataTypes)
    for (const ReduceOp op : kReduceOps) {
      const bool wide =
          op == ReduceOp::avg ? type > DataType::float64 : is_half(type) && op <= ReduceOp::prod;
      CHECK(is_wide(type, op) == wide);
      if (!wide) CHECK(accumulator_bytes(type, op) == element_bytes(type));
    }
}

TEST_CASE("16-bit floats are rounded once") {
  const auto half = [](double value) { return Float16::nearest(value); };
  // In halves 2048 + 1 + 1 would stay 2048.
  const auto sum = reduced<Float16>(DataType::float16, ReduceOp::sum, {{half(2048)}, {half(1)}, {half(1)}});
  CHECK(sum[0].bits == half(2050).bits);
  // 60000 * 2 is no half, the mean is.
  const auto mean = reduced<Float16>(DataType::float16, ReduceOp::avg, {{half(60000)}, {half(60000)}});
  CHECK(mean[0].bits == half(60000).bits);
}

TEST_CASE("max and min do not depend on the order: zeros and NaNs") {
  const float nan_1 = std::bit_cast<float>(0x7f800001U);
  const float nan_2 = std::bit_cast<float>(0xffc12345U);
  const std::vector<float> a{0.0F, -0.0F, nan_1, 1.0F, nan_2};
  const std::vector<float> b{-0.0F, 0.0F, 1.0F, nan_2, nan_1};
  const auto largest = reduced<float>(DataType::float32, ReduceOp::max, {a, b});
  const auto smallest = reduced<float>(DataType::float32, ReduceOp::min, {a, b});
  const std::uint32_t nan = 0x7fc00000U;
  const std::vector<std::uint32_t> expected_max{0, 0, nan, nan, nan};
  const std::vector<std::uint32_t> expected_min{0x80000000U, 0x80000000U, nan, nan, nan};
  CHECK(bytes_of(largest) == bytes_of(expected_max));
  CHECK(bytes_of(smallest) == bytes_of(expected_min));
}

TEST_CASE("a mean of integers never overflows") {
  constexpr std::uint32_t kMany = kContributorsMax;
  for (const bool with_sign : {true, false}) {
    const DataType type = with_sign ? DataType::int64 : DataType::uint64;
    for (const std::uint64_t value : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
      // As many of one value as may ever be: doubled 24 times.
      std::uint64_t result = 0;
      std::byte total[16];
      widen(type, ReduceOp::avg, total, reinterpret_cast<const std::byte*>(&value), 1);
      for (std::uint32_t n = 1; n < kMany; n *= 2) combine(type, ReduceOp::avg, total, total, total, 1);
      finish(type, ReduceOp::avg, total, 1, kMany);
      narrow(type, ReduceOp::avg, reinterpret_cast<std::byte*>(&result), total, 1);
      CHECK(result == value);
    }
  }
  const auto mean = reduced<std::int8_t>(DataType::int8, ReduceOp::avg,
                                         {{-128, 127, 1, 2, -1, -2, 127}, {-127, 126, 2, 3, -2, -3, 127}});
  CHECK(mean == std::vector<std::int8_t>{-128, 126, 2, 2, -2, -2, 127});  // Ties to even.
}

TEST_CASE("a mean of any sum that a peer may send is its nearest integer") {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    const auto divisor =
        static_cast<std::uint32_t>(1 + random.below(random.chance(1, 2) ? 40 : kContributorsMax));
    const std::uint64_t sum = random.next() >> random.below(64);
    std::uint64_t mean = sum;
    finish(DataType::uint32, ReduceOp::avg, reinterpret_cast<std::byte*>(&mean), 1, divisor);
    REQUIRE(mean == static_cast<std::uint64_t>(nearest_mean(sum, divisor)));
    mean = sum;
    finish(DataType::int32, ReduceOp::avg, reinterpret_cast<std::byte*>(&mean), 1, divisor);
    REQUIRE(mean == static_cast<std::uint64_t>(nearest_mean(static_cast<std::int64_t>(sum), divisor)));

    Int128 long_sum = static_cast<Int128>(static_cast<std::int64_t>(random.next() >> random.below(64))) << 24;
    long_sum += static_cast<std::int64_t>(random.next() >> random.below(64));
    Int128 long_mean = long_sum;
    finish(DataType::int64, ReduceOp::avg, reinterpret_cast<std::byte*>(&long_mean), 1, divisor);
    REQUIRE(long_mean == nearest_mean(long_sum, divisor));
  }
}

TEST_CASE("residuals: added to values, left over from what was sent") {
  Random random(4);
  for (const DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16})
    with_element_type(type, [&]<class T>(T) {
      using Working = std::conditional_t<std::is_same_v<T, double>, double, float>;
      constexpr std::size_t kCount = 1037;
      const auto values = any_values<T>(kCount, random);
      const auto residual = any_values<Working>(kCount, random);
      GuardedBuffer a(1, bytes_of(values));
      GuardedBuffer b(3, bytes_of(residual));
      GuardedBuffer sum(5, kCount * sizeof(Working));
      GuardedBuffer wide(2, kCount * sizeof(Working));
      GuardedBuffer narrowed(7, kCount * sizeof(T));
      add_residual(type, sum.data(), a.data(), b.data(), kCount);
      widen_float(type, wide.data(), a.data(), kCount);
      narrow_float(type, narrowed.data(), wide.data(), kCount);
      std::vector<Working> sums(kCount);
      std::memcpy(sums.data(), sum.data(), kCount * sizeof(Working));
      for (std::size_t i = 0; i < kCount; ++i) {
        Working value;
        std::memcpy(&value, wide.data() + i * sizeof value, sizeof value);
        const Working expected = value + residual[i];
        REQUIRE(((std::isnan(expected) && std::isnan(sums[i])) || expected == sums[i]));
        T back;
        std::memcpy(&back, narrowed.data() + i * sizeof back, sizeof back);
        if (is_nan(values[i]))
          REQUIRE(is_nan(back));
        else
          REQUIRE(same_bits(back, values[i]));
      }
      difference(type, sum.data(), sum.data(), b.data(), 0.9, kCount);
      for (std::size_t i = 0; i < kCount; ++i) {
        Working got;
        std::memcpy(&got, sum.data() + i * sizeof got, sizeof got);
        const Working expected = (sums[i] - residual[i]) * static_cast<Working>(0.9);
        REQUIRE(((std::isnan(expected) && std::isnan(got)) || expected == got));
      }
      REQUIRE((a.guards_hold() && b.guards_hold() && sum.guards_hold() && wide.guards_hold()));
      REQUIRE(narrowed.guards_hold());
    });
}

TEST_CASE("finish refuses a number of contributors that is no float") {
  float value = 1;
  auto* bytes = std::as_writable_bytes(std::span(&value, 1)).data();
  CHECK_THROWS_AS(finish(DataType::float32, ReduceOp::avg, bytes, 1, 0), BugFound);
  CHECK_THROWS_AS(finish(DataType::float32, ReduceOp::avg, bytes, 1, kContributorsMax + 1), BugFound);
}

}  // namespace hawser
