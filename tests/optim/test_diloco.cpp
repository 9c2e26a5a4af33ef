#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/bug_found.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "kernels/element_values.hpp"
#include "kernels/guarded_buffer.hpp"
#include "optim/diloco.hpp"

// The functions of diloco.hpp against their formulas, one rounding at a time, for all types.

namespace hawser {
namespace {

template <class T>
using OuterOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
OuterOf<T> widened(T value) {
  if constexpr (kIsHalf<T>)
    return static_cast<float>(value.value());
  else
    return value;
}

template <class T>
T narrowed(OuterOf<T> value) {
  if constexpr (kIsHalf<T>)
    return T::nearest(static_cast<double>(value));
  else
    return value;
}

template <class T>
bool same(T a, T b) {
  return same_bits(a, b) || (is_nan(a) && is_nan(b));
}

/// Calls visit(type, T{}) for the types that parameters may have.
template <class Visit>
void for_inner_types(Visit visit) {
  for (const DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16})
    with_element_type(type, [&]<class T>(T) {
      INFO(to_string(type));
      if constexpr (std::is_floating_point_v<T> || kIsHalf<T>) visit(type, T{});
    });
}

/// In memory that is not aligned, with guards, as values again.
template <class T>
class Tensor {
 public:
  Tensor(std::size_t misalignment, std::vector<T> values)
      : count_(values.size()), memory_(misalignment, bytes_of(values)), before_(std::move(values)) {}
  std::byte* data() { return memory_.data(); }
  T operator[](std::size_t i) {
    T value;
    std::memcpy(&value, memory_.data() + i * sizeof value, sizeof value);
    return value;
  }
  const T& before(std::size_t i) const { return before_[i]; }
  bool untouched() { return memory_.content() == bytes_of(before_) && memory_.guards_hold(); }
  bool guards_hold() const { return memory_.guards_hold(); }
  std::size_t count() const { return count_; }

 private:
  std::size_t count_;
  GuardedBuffer memory_;
  std::vector<T> before_;
};

template <class T>
Tensor<T> any_tensor(std::size_t misalignment, std::size_t count, Random& random) {
  return Tensor<T>(misalignment, any_values<T>(count, random));
}

/// Around the vector widths, and around the pieces in which 16-bit floats are staged.
constexpr std::size_t kCounts[] = {0,  1,  2,  3,  5,  7,   8,   9,   15,   16,
                                   17, 31, 33, 63, 65, 511, 512, 513, 1024, 1500};

/// Calls check(count, misalignment) for all of both.
template <class Check>
void for_shapes(Check check) {
  for (const std::size_t count : kCounts)
    for (std::size_t misalignment = 0; misalignment < 8; ++misalignment) {
      INFO("count " << count << ", misalignment " << misalignment);
      check(count, misalignment);
    }
}

}  // namespace

TEST_CASE("a pseudo-gradient is the scaled difference, of all inner types") {
  Random random(2);
  for_inner_types([&]<class T>(DataType type, T) {
    using Outer = OuterOf<T>;
    for_shapes([&](std::size_t count, std::size_t misalignment) {
      auto outer = any_tensor<Outer>(misalignment, count, random);
      auto inner = any_tensor<T>((misalignment * 3 + 1) % 8, count, random);
      auto delta = any_tensor<Outer>((misalignment * 5 + 2) % 8, count, random);
      for (const double factor : {1.0, 0.3}) {
        pseudo_gradient(type, delta.data(), outer.data(), inner.data(), count, factor);
        for (std::size_t i = 0; i < count; ++i) {
          const Outer apart = outer[i] - widened(inner[i]);
          const Outer expected = apart * static_cast<Outer>(factor);
          if (!same(delta[i], expected)) REQUIRE(delta[i] == expected);
        }
      }
      REQUIRE((outer.untouched() && inner.untouched() && delta.guards_hold()));
      // In place.
      pseudo_gradient(type, outer.data(), outer.data(), inner.data(), count, 0.3);
      for (std::size_t i = 0; i < count; ++i) REQUIRE(same(outer[i], delta[i]));
    });
  });
}

TEST_CASE("scaling multiplies, then divides") {
  Random random(3);
  for_shapes([&](std::size_t count, std::size_t misalignment) {
    auto values = any_tensor<float>(misalignment, count, random);
    scale(DataType::float32, values.data(), count, {.multiplier = 0.3, .divisor = 7});
    for (std::size_t i = 0; i < count; ++i) {
      const float multiplied = values.before(i) * 0.3F;
      REQUIRE(same(values[i], multiplied / 7.0F));
    }
    auto doubles = any_tensor<double>(misalignment, count, random);
    scale(DataType::float64, doubles.data(), count, {});
    for (std::size_t i = 0; i < count; ++i) REQUIRE(same(doubles[i], doubles.before(i)));
  });
}

namespace {

template <class T>
void expect_steps(DataType type, const OuterStep& step, std::size_t count, std::size_t misalignment,
                  Random& random) {
  auto outer = any_tensor<T>(misalignment, count, random);
  auto momentum = any_tensor<T>((misalignment * 3 + 1) % 8, count, random);
  clear_momentum(type, momentum.data(), count);
  std::vector<T> theta(count);
  std::vector<T> buffer;  // As in PyTorch: there is none before the first step.
  for (std::size_t i = 0; i < count; ++i) theta[i] = outer[i];
  const auto rate = static_cast<T>(step.learning_rate);
  const auto factor = static_cast<T>(step.momentum);
  for (int round = 0; round < 3; ++round) {
    auto delta = any_tensor<T>((misalignment * 5 + 2) % 8, count, random);
    outer_step(type, {.outer = outer.data(), .momentum = momentum.data(), .delta = delta.data()}, count,
               step);
    REQUIRE((delta.untouched() && outer.guards_hold() && momentum.guards_hold()));
    const bool is_first = buffer.empty();
    if (is_first) buffer.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      T direction = delta[i];
      if (step.momentum != 0) {
        const T kept = factor * buffer[i];
        buffer[i] = is_first ? delta[i] : kept + delta[i];
        const T ahead = factor * buffer[i];
        direction = step.nesterov ? delta[i] + ahead : buffer[i];
        REQUIRE(same(momentum[i], buffer[i]));
      }
      const T change = rate * direction;
      theta[i] = theta[i] - change;
      if (!same(outer[i], theta[i])) REQUIRE(outer[i] == theta[i]);
    }
  }
}

}  // namespace

TEST_CASE("outer steps are those of PyTorch's SGD without fused operations, the first one too") {
  Random random(4);
  for (const OuterStep& step :
       {OuterStep{}, OuterStep{.learning_rate = 0.3, .momentum = 0.8, .nesterov = false},
        OuterStep{.learning_rate = 0.1, .momentum = 0, .nesterov = false},
        OuterStep{.learning_rate = 0, .momentum = 1.5, .nesterov = true}})
    for_shapes([&](std::size_t count, std::size_t misalignment) {
      expect_steps<float>(DataType::float32, step, count, misalignment, random);
      expect_steps<double>(DataType::float64, step, count, misalignment, random);
    });
}

TEST_CASE("no multiply-add is fused") {
  // 0.1f * 0.1f is not a float: a fused operation would keep the part that is lost, and give it back here.
  const float tenth = 0.1F;
  const float rounded_product = tenth * tenth;
  std::vector<float> outer(19, rounded_product);
  const std::vector<float> delta(19, tenth);
  outer_step(DataType::float32,
             {.outer = reinterpret_cast<std::byte*>(outer.data()),
              .delta = reinterpret_cast<const std::byte*>(delta.data())},
             outer.size(), {.learning_rate = 0.1, .momentum = 0, .nesterov = false});
  CHECK(outer == std::vector<float>(19, 0.0F));
  CHECK(std::fma(-tenth, tenth, rounded_product) != 0.0F);
}

TEST_CASE("steps follow the exact recurrence closely") {
  Random random(5);
  constexpr std::size_t kCount = 100;
  std::vector<float> outer(kCount);
  for (float& value : outer) value = static_cast<float>(random.between(-1000, 1000)) / 1000;
  std::vector<float> momentum(kCount);
  std::vector<double> theta(outer.begin(), outer.end());
  std::vector<double> buffer(kCount, 0);
  clear_momentum(DataType::float32, reinterpret_cast<std::byte*>(momentum.data()), kCount);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> delta(kCount);
    for (float& value : delta) value = static_cast<float>(random.between(-1000, 1000)) / 10000;
    outer_step(DataType::float32,
               {.outer = reinterpret_cast<std::byte*>(outer.data()),
                .momentum = reinterpret_cast<std::byte*>(momentum.data()),
                .delta = reinterpret_cast<const std::byte*>(delta.data())},
               kCount, {});
    for (std::size_t i = 0; i < kCount; ++i) {
      const double gradient = static_cast<double>(delta[i]);
      buffer[i] = 0.9 * buffer[i] + gradient;
      theta[i] -= 0.7 * (gradient + 0.9 * buffer[i]);
      REQUIRE(std::fabs(static_cast<double>(outer[i]) - theta[i]) < 1e-5);
    }
  }
}

TEST_CASE("mixing weighs both sides, of all inner types") {
  Random random(6);
  for_inner_types([&]<class T>(DataType type, T) {
    using Outer = OuterOf<T>;
    for_shapes([&](std::size_t count, std::size_t misalignment) {
      auto global = any_tensor<Outer>((misalignment * 3 + 1) % 8, count, random);
      const double alpha = 0.9;  // In float32, 1 - alpha is not what 1 - (rounded alpha) rounds to.
      auto local = any_tensor<T>(misalignment, count, random);
      mix(type, local.data(), global.data(), count, alpha);
      for (std::size_t i = 0; i < count; ++i) {
        const Outer mine = static_cast<Outer>(alpha) * widened(local.before(i));
        const Outer everybodys = static_cast<Outer>(1 - alpha) * global[i];
        REQUIRE(same(local[i], narrowed<T>(mine + everybodys)));
      }
      auto taken_over = any_tensor<T>(misalignment, count, random);
      mix(type, taken_over.data(), global.data(), count, 0);
      for (std::size_t i = 0; i < count; ++i) REQUIRE(same(taken_over[i], narrowed<T>(global[i])));
      auto kept = any_tensor<T>(misalignment, count, random);
      mix(type, kept.data(), global.data(), count, 1);
      REQUIRE((kept.untouched() && global.untouched()));
      REQUIRE((local.guards_hold() && taken_over.guards_hold()));
    });
  });
}

TEST_CASE("a difference is made first, then added, of all inner types") {
  Random random(7);
  for_inner_types([&]<class T>(DataType type, T) {
    using Outer = OuterOf<T>;
    for_shapes([&](std::size_t count, std::size_t misalignment) {
      auto local = any_tensor<T>(misalignment, count, random);
      auto a = any_tensor<Outer>((misalignment * 3 + 1) % 8, count, random);
      auto b = any_tensor<Outer>((misalignment * 5 + 2) % 8, count, random);
      add_difference(type, local.data(), a.data(), b.data(), count);
      for (std::size_t i = 0; i < count; ++i) {
        const Outer apart = a[i] - b[i];
        REQUIRE(same(local[i], narrowed<T>(widened(local.before(i)) + apart)));
      }
      REQUIRE((a.untouched() && b.untouched() && local.guards_hold()));
    });
  });
}

TEST_CASE("numbers that make no sense are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const DataType f32 = DataType::float32;
  CHECK(check_step(f32, {}).ok());
  CHECK(check_step(f32, {.learning_rate = 0, .momentum = 0, .nesterov = false}).ok());
  CHECK(check_step(f32, {.learning_rate = -1}).status() == Status::invalid_argument);
  CHECK(check_step(f32, {.learning_rate = nan}).status() == Status::invalid_argument);
  CHECK(check_step(f32, {.momentum = -0.1}).status() == Status::invalid_argument);
  CHECK(check_step(f32, {.momentum = 0}).status() == Status::invalid_argument);
  CHECK(check_factor(f32, 1e39, "it").status() == Status::invalid_argument);
  CHECK(check_factor(DataType::float64, 1e39, "it").ok());
  CHECK(check_ratio(f32, {.divisor = 0}).status() == Status::invalid_argument);
  CHECK(check_ratio(f32, {.divisor = 1e-50}).status() == Status::invalid_argument);
  CHECK(check_ratio(f32, {.multiplier = nan}).status() == Status::invalid_argument);
  CHECK(check_alpha(0).ok());
  CHECK(check_alpha(1).ok());
  CHECK(check_alpha(nan).status() == Status::invalid_argument);
  CHECK(check_alpha(1.01).status() == Status::invalid_argument);
  CHECK_THROWS_AS(mix(f32, nullptr, nullptr, 0, 2), BugFound);
  CHECK_THROWS_AS(scale(DataType::bfloat16, nullptr, 0, {}), BugFound);
}

TEST_CASE("factors of a mix are rounded to the working type") {
  for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16}) {
    CHECK(mix_factors(type, 0.3).of_local == static_cast<double>(0.3F));
    CHECK(mix_factors(type, 0.3).of_global == static_cast<double>(0.7F));
    CHECK(mix_factors(type, 1e-60).of_local == 0);
  }
  CHECK(mix_factors(DataType::float64, 1e-60).of_local == 1e-60);
}

}  // namespace hawser
