/// The arithmetic of DiLoCo through both faces: every argument that can be wrong, and the happy path.
#include <hawser_optim.h>
#include <hawser/optim.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "catch.hpp"

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr hawserResult_t kRefused = hawserErrorInvalidArgument;

hawserDataType_t type_number(int number) { return static_cast<hawserDataType_t>(number); }

struct Tensors {
  std::array<float, 4> outer{1, 2, 3, 4};
  std::array<float, 4> other{0.5F, 1, 1, 8};
  std::array<float, 4> delta{9, 9, 9, 9};
};

}  // namespace

TEST_CASE("pseudo-gradients: arguments") {
  Tensors t;
  float* const outer = t.outer.data();
  float* const inner = t.other.data();
  float* const delta = t.delta.data();
  const auto call = [](const void* from, const void* less, void* to, std::uint64_t count,
                       hawserDataType_t type = hawserFloat32,
                       double scale = 1) { return hawserPseudoGradient(from, less, to, count, type, scale); };
  CHECK(call(nullptr, inner, delta, 4) == kRefused);
  CHECK(call(outer, nullptr, delta, 4) == kRefused);
  CHECK(call(outer, inner, nullptr, 4) == kRefused);
  CHECK(call(outer, inner, delta, 4, hawserInt32) == kRefused);
  CHECK(std::string(hawserGetLastError()).find("int32") != std::string::npos);
  CHECK(call(outer, inner, delta, 4, type_number(12)) == kRefused);
  CHECK(call(outer, inner, delta, 4, type_number(-1)) == kRefused);
  CHECK(call(outer, inner, delta, 4, hawserFloat32, kNan) == kRefused);
  CHECK(call(outer, inner, delta, 4, hawserFloat32, 1e39) == kRefused);
  CHECK(call(outer, inner, delta, UINT64_MAX) == kRefused);
  CHECK(call(outer, inner, outer + 1, 3) == kRefused);
  CHECK(std::string(hawserGetLastError()).find("overlap") != std::string::npos);
  CHECK(call(outer, delta, delta, 4, hawserBfloat16) == kRefused);
  CHECK(t.delta == std::array<float, 4>{9, 9, 9, 9});
  CHECK(call(nullptr, nullptr, nullptr, 0) == hawserSuccess);
  CHECK(call(outer, inner, delta, 4) == hawserSuccess);
  CHECK(t.delta == std::array<float, 4>{0.5F, 1, 2, -4});
  CHECK(call(outer, outer, delta, 4) == hawserSuccess);
  CHECK(t.delta == std::array<float, 4>{});
  CHECK(call(outer, inner, inner, 4, hawserFloat32, 2) == hawserSuccess);
  CHECK(t.other == std::array<float, 4>{1, 2, 4, -8});
  CHECK(call(outer, inner, outer, 4) == hawserSuccess);
  CHECK(t.outer == std::array<float, 4>{0, 0, -1, 12});
}

TEST_CASE("outer steps: arguments") {
  Tensors t;
  std::array<float, 4> momentum{};
  hawserOuterStepOptions_t options = HAWSER_OUTER_STEP_OPTIONS_INIT;
  hawserDataType_t type = hawserFloat32;
  void* to = t.outer.data();
  void* buffer = momentum.data();
  const void* delta = t.other.data();
  std::uint64_t count = 4;
  SECTION("no parameters") { to = nullptr; }
  SECTION("no momentum") { buffer = nullptr; }
  SECTION("no delta") { delta = nullptr; }
  SECTION("16-bit outer parameters") { type = hawserBfloat16; }
  SECTION("integers") { type = hawserUint8; }
  SECTION("an unknown type") { type = type_number(99); }
  SECTION("no size") { options.size = 0; }
  SECTION("a negative rate") { options.learning_rate = -1; }
  SECTION("a rate that is no number") { options.learning_rate = kNan; }
  SECTION("a rate that is no float32") { options.learning_rate = 1e300; }
  SECTION("a negative momentum") { options.momentum = -0.9; }
  SECTION("Nesterov without momentum") { options.momentum = 0; }
  SECTION("Nesterov by half") { options.nesterov = 2; }
  SECTION("parameters in their own delta") { delta = to; }
  SECTION("momentum in the parameters") { buffer = t.outer.data() + 1; }
  SECTION("more than memory holds") { count = UINT64_MAX / 4; }
  CHECK(hawserOuterStep(to, buffer, delta, count, type, &options) == kRefused);
  CHECK(std::string(hawserGetLastError()).size() > 10);
  CHECK(t.outer == Tensors{}.outer);
  CHECK(momentum == std::array<float, 4>{});
}

TEST_CASE("outer steps: defaults, and no momentum") {
  Tensors t;
  std::array<float, 4> momentum{7, 7, 7, 7};
  REQUIRE(hawserClearMomentum(momentum.data(), 4, hawserFloat32) == hawserSuccess);
  for (const float value : momentum) CHECK((value == 0 && std::signbit(value)));
  REQUIRE(hawserOuterStep(t.outer.data(), momentum.data(), t.other.data(), 4, hawserFloat32, nullptr) ==
          hawserSuccess);
  CHECK(momentum == t.other);
  for (std::size_t i = 0; i < 4; ++i) {
    const float ahead = 0.9F * t.other[i];
    const float change = 0.7F * (t.other[i] + ahead);
    CHECK(t.outer[i] == Tensors{}.outer[i] - change);
  }
  hawserOuterStepOptions_t options = HAWSER_OUTER_STEP_OPTIONS_INIT;
  options.learning_rate = 0.5;
  options.momentum = 0;
  options.nesterov = 0;
  t = {};
  REQUIRE(hawserOuterStep(t.outer.data(), nullptr, t.other.data(), 4, hawserFloat32, &options) ==
          hawserSuccess);
  CHECK(t.outer == std::array<float, 4>{0.75F, 1.5F, 2.5F, 0});
  CHECK(hawserOuterStep(nullptr, nullptr, nullptr, 0, hawserFloat64, nullptr) == hawserSuccess);
  CHECK(hawserClearMomentum(nullptr, 4, hawserFloat32) == kRefused);
  CHECK(hawserClearMomentum(momentum.data(), 4, hawserFloat16) == kRefused);
}

TEST_CASE("scaling, mixing and differences: arguments and values") {
  Tensors t;
  float* const local = t.outer.data();
  float* const other = t.other.data();
  CHECK(hawserScale(nullptr, 4, hawserFloat32, 1, 1) == kRefused);
  CHECK(hawserScale(local, 4, hawserFloat16, 1, 1) == kRefused);
  CHECK(hawserScale(local, 4, hawserFloat32, kNan, 1) == kRefused);
  CHECK(hawserScale(local, 4, hawserFloat32, 1, 0) == kRefused);
  CHECK(hawserScale(local, 4, hawserFloat32, 1, 1e-60) == kRefused);
  CHECK(hawserMix(nullptr, other, 4, hawserFloat32, 0.5) == kRefused);
  CHECK(hawserMix(local, nullptr, 4, hawserFloat32, 0.5) == kRefused);
  CHECK(hawserMix(local, other, 4, hawserInt8, 0.5) == kRefused);
  CHECK(hawserMix(local, other, 4, hawserFloat32, 1.1) == kRefused);
  CHECK(hawserMix(local, other, 4, hawserFloat32, -0.1) == kRefused);
  CHECK(hawserMix(local, other, 4, hawserFloat32, kNan) == kRefused);
  CHECK(hawserMix(local, local, 4, hawserFloat32, 0.5) == kRefused);
  CHECK(hawserAddDifference(nullptr, other, other, 4, hawserFloat32) == kRefused);
  CHECK(hawserAddDifference(local, nullptr, other, 4, hawserFloat32) == kRefused);
  CHECK(hawserAddDifference(local, other, nullptr, 4, hawserFloat32) == kRefused);
  CHECK(hawserAddDifference(local, local, other, 4, hawserFloat32) == kRefused);
  CHECK(hawserAddDifference(local, other, other, 4, hawserUint64) == kRefused);
  CHECK(t.outer == Tensors{}.outer);

  CHECK(hawserScale(local, 4, hawserFloat32, 3, 2) == hawserSuccess);
  CHECK(t.outer == std::array<float, 4>{1.5F, 3, 4.5F, 6});
  t = {};
  CHECK(hawserMix(local, other, 4, hawserFloat32, 0.5) == hawserSuccess);
  CHECK(t.outer == std::array<float, 4>{0.75F, 1.5F, 2, 6});
  t = {};
  CHECK(hawserAddDifference(local, t.delta.data(), other, 4, hawserFloat32) == hawserSuccess);
  CHECK(t.outer == std::array<float, 4>{9.5F, 10, 11, 5});
}

TEST_CASE("a bfloat16 model with a float32 outer copy, through the C++ face") {
  using hawser::Bfloat16;
  const std::vector<Bfloat16> trained{{0x3f80}, {0xbf00}, {0x0000}};  // 1, -0.5, 0
  std::vector<Bfloat16> inner = trained;
  std::vector<float> outer{1.5F, 0.5F, 0.25F};
  std::vector<float> momentum(3);
  std::vector<float> delta(3);
  hawser::OuterOptimizer<float> optimizer("layer", outer, momentum,
                                          {.learning_rate = 0.5, .momentum = 0.5, .nesterov = false});
  REQUIRE(optimizer.clear_momentum());
  REQUIRE(hawser::pseudo_gradient(delta, outer, inner));
  CHECK(delta == std::vector<float>{0.5F, 1, 0.25F});
  REQUIRE(optimizer.step(delta));
  CHECK(outer == std::vector<float>{1.25F, 0, 0.125F});
  REQUIRE(optimizer.step(delta));
  CHECK(momentum == std::vector<float>{0.75F, 1.5F, 0.375F});
  CHECK(outer == std::vector<float>{0.875F, -0.75F, -0.0625F});
  REQUIRE(hawser::take_over(inner, outer));
  CHECK(inner == std::vector<Bfloat16>{{0x3f60}, {0xbf40}, {0xbd80}});
  REQUIRE(hawser::add_difference(inner, delta, outer));
  CHECK(inner == std::vector<Bfloat16>{{0x3f00}, {0x3f80}, {0x3e80}});  // delta, all exact
  REQUIRE(hawser::mix(inner, outer, 0.5));
  CHECK(inner == std::vector<Bfloat16>{{0x3f30}, {0x3e00}, {0x3dc0}});
  REQUIRE(hawser::scale(delta, {.divisor = 2}));
  CHECK(delta == std::vector<float>{0.25F, 0.5F, 0.125F});

  CHECK(optimizer.step(std::span(delta).first(2)).code() == kRefused);
  CHECK(hawser::mix(inner, std::vector<float>(4), 0.5).code() == kRefused);
  optimizer.set_learning_rate(-1);
  CHECK(optimizer.step(delta).code() == kRefused);
}

TEST_CASE("an optimiser's state is a shared state's tensors") {
  std::vector<double> outer(3, 1);
  std::vector<double> momentum(3);
  const hawser::OuterOptimizer<double> with_momentum("layer", outer, momentum);
  const auto tensors = with_momentum.tensors();
  REQUIRE(tensors.size() == 2);
  CHECK(std::string(tensors[0].c_tensor().name) == "outer/layer");
  CHECK(std::string(tensors[1].c_tensor().name) == "momentum/layer");
  CHECK(tensors[0].c_tensor().data == outer.data());
  CHECK(tensors[1].c_tensor().type == hawserFloat64);
  CHECK(hawser::SharedState::create(tensors));
  const hawser::OuterOptimizer<double> plain("layer", outer, {}, {.momentum = 0, .nesterov = false});
  CHECK(plain.tensors().size() == 1);
}
