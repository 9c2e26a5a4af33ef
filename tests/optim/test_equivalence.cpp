#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "group_average.hpp"
#include "optim/diloco.hpp"

// DiLoCo with one inner step of SGD, outer learning rate 1 and no momentum, beside data-parallel SGD: what
// docs/optim.md says about when the two are the same to the last bit, and when they cannot be.

namespace hawser {
namespace {

constexpr std::size_t kCount = 4096;
using Values = std::vector<float>;

bool same(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// theta - (rate * g), written out so that it rests on no kernel.
Values plain_sgd(const Values& theta, const Values& gradient, float rate) {
  Values next(theta.size());
  for (std::size_t i = 0; i < theta.size(); ++i) {
    const float change = rate * gradient[i];
    next[i] = theta[i] - change;
  }
  return next;
}

/// A float of any sign and mantissa, with an exponent in the range.
float any_float(Random& random, int exponent_min, int exponent_max) {
  const auto mantissa = static_cast<std::uint32_t>(random.next() & 0x7fffff);
  const auto exponent = static_cast<std::uint32_t>(127 + random.between(exponent_min, exponent_max));
  const auto sign = static_cast<std::uint32_t>(random.below(2));
  return std::bit_cast<float>(sign << 31 | exponent << 23 | mantissa);
}

struct Exponents {
  int min = 0;
  int max = 0;
};
Values any_floats(Random& random, const Exponents& exponents) {
  Values values(kCount);
  for (float& value : values) value = any_float(random, exponents.min, exponents.max);
  return values;
}

constexpr OuterStep plain_step(double rate) {
  return {.learning_rate = rate, .momentum = 0, .nesterov = false};
}

/// One round by the differences of parameters: every member takes its step, and the group theirs.
Values round_of_differences(const Values& theta, const std::vector<Values>& gradients, float rate,
                            std::size_t first) {
  std::vector<Values> deltas;
  for (const Values& gradient : gradients) {
    const Values inner = plain_sgd(theta, gradient, rate);
    deltas.emplace_back(theta.size());
    pseudo_gradient(DataType::float32, bytes(deltas.back()), bytes(theta), bytes(inner), theta.size(), 1);
  }
  const Values average = group_reduce(ReduceOp::avg, deltas, first);
  Values next = theta;
  outer_step(DataType::float32, {.outer = bytes(next), .delta = bytes(average)}, next.size(), plain_step(1));
  return next;
}

/// One round in units of gradients: the pseudo-gradient of one step of SGD is its gradient times its rate, so
/// the gradient goes to the group, and the rate to the outer step.
Values round_of_gradients(const Values& theta, const std::vector<Values>& gradients, float rate,
                          std::size_t first) {
  const Values average = group_reduce(ReduceOp::avg, gradients, first);
  Values next = theta;
  outer_step(DataType::float32, {.outer = bytes(next), .delta = bytes(average)}, next.size(),
             plain_step(1 * static_cast<double>(rate)));
  return next;
}

Values round_of_data_parallel(const Values& theta, const std::vector<Values>& gradients, float rate,
                              std::size_t first) {
  return plain_sgd(theta, group_reduce(ReduceOp::avg, gradients, first), rate);
}

}  // namespace

TEST_CASE("in units of gradients, one inner step is data-parallel SGD bit for bit, on any data") {
  Random random(11);
  for (std::size_t world = 1; world <= 9; ++world) {
    const float rate = std::fabs(any_float(random, -12, 0));
    INFO("world " << world << ", rate " << rate);
    Values theta = any_floats(random, {-20, 3});
    Values reference = theta;
    for (std::size_t round = 0; round < 10; ++round) {
      std::vector<Values> gradients;
      for (std::size_t i = 0; i < world; ++i) gradients.push_back(any_floats(random, {-30, 3}));
      const std::size_t first = random.below(world);
      theta = round_of_gradients(theta, gradients, rate, first);
      reference = round_of_data_parallel(reference, gradients, rate, first);
      REQUIRE(same(theta, reference));
    }
  }
}

TEST_CASE("by differences, it is so if the rate is a power of two and the members' own steps are exact") {
  Random random(12);
  for (std::size_t world = 1; world <= 9; ++world) {
    const float rate = std::ldexp(1.0F, static_cast<int>(random.between(-6, 0)));
    INFO("world " << world << ", rate " << rate);
    const std::size_t first = random.below(world);
    // Exact: all are multiples of a unit, and differences have at most 24 bits in it. Sums and averages still
    // round.
    Values theta(kCount);
    for (float& value : theta) value = static_cast<float>(random.between(-(1 << 22), 1 << 22)) * 0x1p-20F;
    std::vector<Values> gradients(world, Values(kCount));
    for (Values& gradient : gradients)
      for (float& value : gradient)
        value = static_cast<float>(random.between(-(1 << 22), 1 << 22)) * 0x1p-20F / rate;
    const Values by_differences = round_of_differences(theta, gradients, rate, first);
    REQUIRE(same(by_differences, round_of_data_parallel(theta, gradients, rate, first)));
  }
}

TEST_CASE("by differences, parameters and gradients of bfloat16 precision and like size are such a case") {
  Random random(13);
  const auto bfloat16_values = [&] {
    Values values(kCount);
    for (float& value : values)
      value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(any_float(random, -7, 7)) & 0xffff0000U);
    return values;
  };
  for (std::size_t world = 1; world <= 9; ++world) {
    const Values theta = bfloat16_values();
    std::vector<Values> gradients;
    for (std::size_t i = 0; i < world; ++i) gradients.push_back(bfloat16_values());
    REQUIRE(same(round_of_differences(theta, gradients, 0.5F, 0),
                 round_of_data_parallel(theta, gradients, 0.5F, 0)));
  }
}

TEST_CASE("by differences, it cannot be so on all data: equal parameters hide unequal gradients") {
  // In units of the last place below 1, two members move by 0.9 and by either 0.45 or 0.05. Rounded, they
  // come to the same parameters, so that whatever is made of those is the same; data-parallel SGD goes
  // different ways.
  constexpr float kPlace = 0x1p-24F;
  const Values theta{1.0F};
  const std::vector<Values> larger{{0.9F * kPlace}, {0.45F * kPlace}};
  const std::vector<Values> smaller{{0.9F * kPlace}, {0.05F * kPlace}};
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(same(plain_sgd(theta, larger[i], 1), plain_sgd(theta, smaller[i], 1)));
  CHECK(same(round_of_differences(theta, larger, 1, 0), round_of_differences(theta, smaller, 1, 0)));
  CHECK_FALSE(
      same(round_of_data_parallel(theta, larger, 1, 0), round_of_data_parallel(theta, smaller, 1, 0)));
}

TEST_CASE("by differences, it is at most two units in the last place away on ordinary data") {
  Random random(14);
  std::size_t unequal = 0;
  for (std::size_t world = 1; world <= 9; ++world) {
    const Values theta = any_floats(random, {-6, 0});
    std::vector<Values> gradients;
    for (std::size_t i = 0; i < world; ++i) gradients.push_back(any_floats(random, {-12, -2}));
    const Values by_differences = round_of_differences(theta, gradients, 0.01F, 0);
    const Values reference = round_of_data_parallel(theta, gradients, 0.01F, 0);
    for (std::size_t i = 0; i < kCount; ++i) {
      const float size = std::fabs(theta[i]);
      const float unit = std::nextafter(size, std::numeric_limits<float>::infinity()) - size;
      if (std::fabs(by_differences[i] - reference[i]) > 2 * unit) REQUIRE(by_differences[i] == reference[i]);
      if (by_differences[i] != reference[i]) ++unequal;
    }
  }
  CHECK(unequal > 0);
}

}  // namespace hawser
