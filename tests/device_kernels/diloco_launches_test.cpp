#include "device_kernels/diloco_launches.hpp"

#include "compared.hpp"
#include "run_launches.hpp"

// Every function gives the bits of its namesake in optim/diloco.hpp.

namespace hawser::device_kernels {
namespace {

using Launches = std::vector<device::Launch>;

/// Three tensors, of which a function may change each.
class DilocoComparison {
 public:
  explicit DilocoComparison(std::uint64_t seed) : random_(seed) {}

  /// expected(a, b, c) and launched(launches, a, b, c), where the tensors have elements of these types.
  template <class Expected, class Launched>
  void check(const std::vector<DataType>& types, std::size_t count, const Expected& expected,
             const Launched& launched) {
    std::vector<std::vector<std::byte>> want;
    for (const DataType type : types) want.push_back(any_elements(type, count, random_));
    want.resize(3);
    GuardedBuffer a(misalignment(), want[0]);
    GuardedBuffer b(misalignment(), want[1]);
    GuardedBuffer c(misalignment(), want[2]);
    expected(want[0].data(), want[1].data(), want[2].data());
    Launches launches;
    launched(launches, a.data(), b.data(), c.data());
    run_launches(launches);
    const std::vector<std::byte> got[] = {a.content(), b.content(), c.content()};
    for (std::size_t i = 0; i < types.size(); ++i) require_same(types[i], got[i], want[i]);
    REQUIRE((a.guards_hold() && b.guards_hold() && c.guards_hold()));
    ++compared_;
  }
  std::size_t compared() const { return compared_; }

 private:
  std::size_t misalignment() { return compared_ % 2 == 0 ? 0 : random_.below(16); }

  Random random_;
  std::size_t compared_ = 0;
};

void compare_inner(DataType type, std::size_t count, DilocoComparison& comparison) {
  const DataType working = working_type(type);
  for (const double scale : {1.0, 0.25, -3e-20})
    comparison.check(
        {working, working, type}, count,
        [&](auto* a, auto* b, auto* c) { hawser::pseudo_gradient(type, a, b, c, count, scale); },
        [&](auto& out, auto* a, auto* b, auto* c) { pseudo_gradient(out, type, a, b, c, count, scale); });
  for (const double alpha : {0.0, 1e-60, 0.3, 0.5, 1 - 1e-12, 1.0}) {
    CAPTURE(to_string(type), alpha);
    comparison.check(
        {type, working}, count, [&](auto* a, auto* b, auto*) { hawser::mix(type, a, b, count, alpha); },
        [&](auto& out, auto* a, auto* b, auto*) { mix(out, type, a, b, count, alpha); });
  }
  comparison.check(
      {type, working, working}, count,
      [&](auto* a, auto* b, auto* c) { hawser::add_difference(type, a, b, c, count); },
      [&](auto& out, auto* a, auto* b, auto* c) { add_difference(out, type, a, b, c, count); });
}

void compare_outer(DataType type, std::size_t count, DilocoComparison& comparison) {
  for (const OuterStep& step : {OuterStep{}, OuterStep{.learning_rate = 0.1, .momentum = 0.5, .nesterov = false},
                                OuterStep{.learning_rate = 1, .momentum = 0, .nesterov = false}})
    comparison.check(
        {type, type, type}, count,
        [&](auto* a, auto* b, auto* c) { hawser::outer_step(type, {a, b, c}, count, step); },
        [&](auto& out, auto* a, auto* b, auto* c) { outer_step(out, type, {a, b, c}, count, step); });
  for (const Ratio& by : {Ratio{}, Ratio{.multiplier = 0.3, .divisor = 7}, Ratio{.multiplier = 1, .divisor = -1e30}})
    comparison.check(
        {type}, count, [&](auto* a, auto*, auto*) { hawser::scale(type, a, count, by); },
        [&](auto& out, auto* a, auto*, auto*) { scale(out, type, a, count, by); });
  comparison.check(
      {type}, count, [&](auto* a, auto*, auto*) { hawser::clear_momentum(type, a, count); },
      [&](auto& out, auto* a, auto*, auto*) { clear_momentum(out, type, a, count); });
}

}  // namespace

TEST_CASE("the DiLoCo family on devices has the host's bits, for every type, count and alignment") {
  DilocoComparison comparison(1);
  for (const std::size_t count : counts()) {
    INFO("count " << count);
    for (const DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16})
      compare_inner(type, count, comparison);
    for (const DataType type : {DataType::float32, DataType::float64}) compare_outer(type, count, comparison);
  }
  CHECK(comparison.compared() >= 80 * (4 * 10 + 2 * 7));
}

}  // namespace hawser::device_kernels
