#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "group_average.hpp"
#include "optim/diloco.hpp"

// The algorithms of docs/optim.md, made of the functions in diloco.hpp, beside the same in float64.

namespace hawser {
namespace {

constexpr std::size_t kCount = 64;
constexpr std::size_t kWorld = 3;
constexpr int kInnerSteps = 4;
constexpr float kInnerRate = 0.05F;
using Values = std::vector<float>;
using Doubles = std::vector<double>;

Values start(Random& random) {
  Values values(kCount);
  for (float& value : values) value = static_cast<float>(random.between(-1000, 1000)) / 1000;
  return values;
}

/// Each member has a quadratic bowl of its own: its gradient is the distance from its minimum.
float minimum(std::size_t member, std::size_t i) {
  return static_cast<float>(static_cast<int>((i * 7 + member * 13) % 20) - 10) / 10;
}

template <class T>
void train(std::vector<T>& local, std::size_t member) {
  for (int step = 0; step < kInnerSteps; ++step)
    for (std::size_t i = 0; i < local.size(); ++i)
      local[i] -= static_cast<T>(kInnerRate) * (local[i] - static_cast<T>(minimum(member, i)));
}

void step(Values& outer, Values& momentum, const Values& delta, const OuterStep& how) {
  outer_step(DataType::float32, {.outer = bytes(outer), .momentum = bytes(momentum), .delta = bytes(delta)},
             outer.size(), how);
}

void expect_close(const Values& got, const Doubles& expected) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO(i << ": " << got[i] << " and " << expected[i]);
    if (std::fabs(static_cast<double>(got[i]) - expected[i]) > 2e-5) FAIL("too far apart");
  }
}

/// Outer parameters in float64, stepped as the formulas say.
struct Reference {
  Doubles theta;
  Doubles momentum = Doubles(kCount, 0);

  void step(const Doubles& delta, const OuterStep& how) {
    for (std::size_t i = 0; i < kCount; ++i) {
      momentum[i] = how.momentum * momentum[i] + delta[i];
      theta[i] -= how.learning_rate * (how.nesterov ? delta[i] + how.momentum * momentum[i] : momentum[i]);
    }
  }
};

Values cleared() {
  Values momentum(kCount);
  clear_momentum(DataType::float32, bytes(momentum), kCount);
  return momentum;
}

/// One member of delayed DiLoCo.
struct Delayed {
  Values local;
  Values basis;
  Values delta = Values(kCount);

  explicit Delayed(const Values& outer) : local(outer), basis(outer) {}
  /// The boundary of a window, `outer` being stepped already.
  void turn(const Values& outer) {
    add_difference(DataType::float32, bytes(local), bytes(outer), bytes(basis), kCount);
    pseudo_gradient(DataType::float32, bytes(delta), bytes(outer), bytes(local), kCount, 1);
    pseudo_gradient(DataType::float32, bytes(basis), bytes(outer), bytes(delta), kCount, 1);
  }
};

}  // namespace

TEST_CASE("DiLoCo with weights follows its recurrence, and all members hold the same bits") {
  Random random(21);
  const OuterStep how;
  Values outer = start(random);
  Values momentum = cleared();
  Reference reference{.theta = {outer.begin(), outer.end()}};
  const double weights[kWorld] = {300, 500, 223};
  const double total = 300 + 500 + 223;
  for (int round = 0; round < 30; ++round) {
    std::vector<Values> deltas(kWorld, Values(kCount));
    Doubles average(kCount, 0);
    for (std::size_t member = 0; member < kWorld; ++member) {
      Values local = outer;
      train(local, member);
      pseudo_gradient(DataType::float32, bytes(deltas[member]), bytes(outer), bytes(local), kCount,
                      weights[member]);
      Doubles exact = reference.theta;
      train(exact, member);
      for (std::size_t i = 0; i < kCount; ++i)
        average[i] += weights[member] / total * (reference.theta[i] - exact[i]);
    }
    Values sum = group_reduce(ReduceOp::sum, deltas);
    scale(DataType::float32, bytes(sum), kCount, {.divisor = total});
    step(outer, momentum, sum, how);
    reference.step(average, how);
    expect_close(outer, reference.theta);
  }
}

TEST_CASE("equal weights that are powers of two give the average's bits") {
  Random random(22);
  std::vector<Values> deltas(5);
  for (Values& delta : deltas) delta = start(random);
  const Values average = group_reduce(ReduceOp::avg, deltas);
  for (Values& delta : deltas) scale(DataType::float32, bytes(delta), kCount, {.multiplier = 4096});
  Values weighted = group_reduce(ReduceOp::sum, deltas);
  scale(DataType::float32, bytes(weighted), kCount, {.divisor = 5 * 4096});
  CHECK(std::memcmp(weighted.data(), average.data(), kCount * sizeof(float)) == 0);
}

TEST_CASE("delayed DiLoCo follows its recurrence") {
  Random random(23);
  const OuterStep how{.learning_rate = 0.5, .momentum = 0.5, .nesterov = true};
  Values outer = start(random);
  Values momentum = cleared();
  Reference reference{.theta = {outer.begin(), outer.end()}};
  std::vector<Delayed> members(kWorld, Delayed(outer));
  // local_i = theta - (what i has learnt in the last window, which the group does not know yet).
  std::vector<Doubles> unknown(kWorld, Doubles(kCount, 0));
  bool is_first = true;
  std::vector<Values> in_flight;
  for (int round = 0; round < 30; ++round) {
    std::vector<Doubles> learnt(kWorld, Doubles(kCount));
    for (std::size_t i = 0; i < kWorld; ++i) {
      train(members[i].local, i);
      Doubles before(kCount);
      for (std::size_t k = 0; k < kCount; ++k) before[k] = reference.theta[k] - unknown[i][k];
      Doubles after = before;
      train(after, i);
      for (std::size_t k = 0; k < kCount; ++k) learnt[i][k] = before[k] - after[k];
    }
    if (!is_first) {
      step(outer, momentum, group_reduce(ReduceOp::avg, in_flight), how);
      Doubles average(kCount, 0);
      for (const Doubles& of_one : unknown)
        for (std::size_t k = 0; k < kCount; ++k) average[k] += of_one[k] / kWorld;
      reference.step(average, how);
    }
    is_first = false;
    unknown = learnt;
    in_flight.clear();
    for (std::size_t i = 0; i < kWorld; ++i) {
      members[i].turn(outer);
      in_flight.push_back(members[i].delta);
      Doubles local(kCount);
      for (std::size_t k = 0; k < kCount; ++k) local[k] = reference.theta[k] - unknown[i][k];
      expect_close(members[i].local, local);
    }
    expect_close(outer, reference.theta);
  }
}

TEST_CASE("delayed DiLoCo of one member, rate 1 and no momentum, trains as if there were no DiLoCo") {
  Random random(24);
  Values outer = start(random);
  Values alone = outer;
  Delayed member(outer);
  Values momentum;
  for (int round = 0; round < 30; ++round) {
    const Values in_flight = member.delta;
    train(member.local, 0);
    train(alone, 0);
    if (round > 0) step(outer, momentum, in_flight, {.learning_rate = 1, .momentum = 0, .nesterov = false});
    member.turn(outer);
    REQUIRE(member.local == alone);
  }
}

TEST_CASE("streaming DiLoCo: what was trained during the transfer is mixed in") {
  Random random(25);
  const double alpha = 0.5;
  const OuterStep how;
  Values outer = start(random);
  Values momentum = cleared();
  Reference reference{.theta = {outer.begin(), outer.end()}};
  std::vector<Values> locals(kWorld, outer);
  std::vector<Doubles> exact(kWorld, reference.theta);
  for (int round = 0; round < 30; ++round) {
    std::vector<Values> deltas(kWorld, Values(kCount));
    Doubles average(kCount, 0);
    for (std::size_t i = 0; i < kWorld; ++i) {
      train(locals[i], i);
      train(exact[i], i);
      pseudo_gradient(DataType::float32, bytes(deltas[i]), bytes(outer), bytes(locals[i]), kCount, 1);
      for (std::size_t k = 0; k < kCount; ++k) average[k] += (reference.theta[k] - exact[i][k]) / kWorld;
      // While the fragment travels.
      train(locals[i], i);
      train(exact[i], i);
    }
    step(outer, momentum, group_reduce(ReduceOp::avg, deltas), how);
    reference.step(average, how);
    for (std::size_t i = 0; i < kWorld; ++i) {
      mix(DataType::float32, bytes(locals[i]), bytes(outer), kCount, alpha);
      for (std::size_t k = 0; k < kCount; ++k)
        exact[i][k] = alpha * exact[i][k] + (1 - alpha) * reference.theta[k];
      expect_close(locals[i], exact[i]);
    }
  }
}

}  // namespace hawser
