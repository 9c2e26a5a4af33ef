#include "device_kernels/reduce_launches.hpp"

#include <functional>

#include "compared.hpp"
#include "run_launches.hpp"

// Every function gives the bits of its namesake in kernels/reduce.hpp.

namespace hawser::device_kernels {
namespace {

/// What one comparison is about. An array is empty where the function has no such argument.
struct Call {
  DataType out_type;      ///< In which NaNs are recognised.
  std::size_t out_bytes;  ///< Of all.
  std::vector<std::byte> a;
  std::vector<std::byte> b;
};
using Function = std::function<void(std::byte* out, const std::byte* a, const std::byte* b)>;

class Comparison {
 public:
  /// `launched` appends to the launches that it is given.
  template <class Launched>
  void check(const Call& call, const Function& expected, const Launched& launched, bool in_place) {
    const std::size_t misalignment = compared_ % 3 == 0 ? 0 : compared_ % 16;
    GuardedBuffer a(misalignment, call.a);
    GuardedBuffer b(compared_ % 3 == 0 ? 0 : (misalignment * 7 + 4) % 16, call.b);
    GuardedBuffer out(compared_ % 3 == 0 ? 0 : (misalignment * 5 + 2) % 16, call.out_bytes);
    std::vector<std::byte> want(call.out_bytes);
    expected(want.data(), a.data(), b.data());
    Launches launches;
    launched(launches, in_place ? a.data() : out.data(), a.data(), b.data());
    run_launches(launches);
    require_same(call.out_type, in_place ? a.content() : out.content(), want);
    REQUIRE((a.guards_hold() && b.guards_hold() && out.guards_hold()));
    ++compared_;
  }
  std::size_t compared() const { return compared_; }

 private:
  std::size_t compared_ = 0;
};

DataType format(AccumulatorType accumulator) {
  return accumulator >= AccumulatorType::int128 ? DataType::uint64 : static_cast<DataType>(accumulator);
}

std::vector<std::byte> any_accumulators(DataType type, ReduceOp op, std::size_t count, Random& random) {
  const DataType as = format(accumulator_type(type, op));
  return any_elements(as, count * accumulator_bytes(type, op) / element_bytes(as), random);
}

void compare_combinations(DataType type, ReduceOp op, std::size_t count, Random& random, Comparison& comparison) {
  const auto values = [&] { return any_elements(type, count, random); };
  const auto sums = [&] { return any_accumulators(type, op, count, random); };
  const DataType wide = format(accumulator_type(type, op));
  const std::size_t bytes = count * accumulator_bytes(type, op);
  comparison.check(
      {wide, bytes, sums(), sums()}, [&](auto* out, auto* a, auto* b) { hawser::combine(type, op, out, a, b, count); },
      [&](auto& to, auto* out, auto* a, auto* b) { combine(to, type, op, out, a, b, count); }, count % 2 == 0);
  comparison.check(
      {wide, bytes, sums(), values()},
      [&](auto* out, auto* a, auto* b) { hawser::combine_value(type, op, out, a, b, count); },
      [&](auto& to, auto* out, auto* a, auto* b) { combine_value(to, type, op, out, a, b, count); }, count % 2 == 1);
  comparison.check(
      {wide, bytes, values(), values()},
      [&](auto* out, auto* a, auto* b) { hawser::combine_values(type, op, out, a, b, count); },
      [&](auto& to, auto* out, auto* a, auto* b) { combine_values(to, type, op, out, a, b, count); }, false);
}

void compare_conversions(DataType type, ReduceOp op, std::size_t count, Random& random, Comparison& comparison) {
  const DataType wide = format(accumulator_type(type, op));
  const std::size_t bytes = count * accumulator_bytes(type, op);
  const auto sums = any_accumulators(type, op, count, random);
  comparison.check(
      {wide, bytes, any_elements(type, count, random), {}},
      [&](auto* out, auto* a, auto*) { hawser::widen(type, op, out, a, count); },
      [&](auto& to, auto* out, auto* a, auto*) { widen(to, type, op, out, a, count); }, false);
  comparison.check(
      {type, count * element_bytes(type), sums, {}},
      [&](auto* out, auto* a, auto*) { hawser::narrow(type, op, out, a, count); },
      [&](auto& to, auto* out, auto* a, auto*) { narrow(to, type, op, out, a, count); }, false);
  for (const std::uint32_t contributors : {1U, 3U, 64U, kContributorsMax})
    comparison.check(
        {wide, bytes, sums, {}},
        [&](auto* out, auto* a, auto*) {
          std::copy_n(a, bytes, out);
          hawser::finish(type, op, out, count, contributors);
        },
        [&](auto& to, auto* out, auto*, auto*) { finish(to, type, op, out, count, contributors); }, true);
}

void compare_floats(DataType type, std::size_t count, Random& random, Comparison& comparison) {
  const DataType working = working_type(type);
  const std::size_t bytes = count * element_bytes(working);
  const auto values = [&] { return any_elements(type, count, random); };
  const auto wide = [&] { return any_elements(working, count, random); };
  comparison.check(
      {working, bytes, values(), {}}, [&](auto* out, auto* a, auto*) { hawser::widen_float(type, out, a, count); },
      [&](auto& to, auto* out, auto* a, auto*) { widen_float(to, type, out, a, count); }, false);
  comparison.check(
      {type, count * element_bytes(type), wide(), {}},
      [&](auto* out, auto* a, auto*) { hawser::narrow_float(type, out, a, count); },
      [&](auto& to, auto* out, auto* a, auto*) { narrow_float(to, type, out, a, count); }, false);
  comparison.check(
      {working, bytes, wide(), values()},
      [&](auto* out, auto* a, auto* b) { hawser::add_residual(type, out, b, a, count); },
      [&](auto& to, auto* out, auto* a, auto* b) { add_residual(to, type, out, b, a, count); }, true);
  for (const double scale : {1.0, 0.3, -2e-30})
    comparison.check(
        {working, bytes, wide(), wide()},
        [&](auto* out, auto* a, auto* b) { hawser::difference(type, out, a, b, scale, count); },
        [&](auto& to, auto* out, auto* a, auto* b) { difference(to, type, out, a, b, scale, count); }, count % 2 == 0);
}

}  // namespace

TEST_CASE("reductions on devices have the host's bits, for every type, op, count and alignment") {
  Random random(1);
  Comparison comparison;
  for (const DataType type : kDataTypes)
    for (const std::size_t count : counts()) {
      INFO(to_string(type) << ", count " << count);
      for (const ReduceOp op : kReduceOps) {
        INFO(to_string(op));
        compare_combinations(type, op, count, random, comparison);
        compare_conversions(type, op, count, random, comparison);
      }
      if (is_float(type)) compare_floats(type, count, random, comparison);
    }
  CHECK(comparison.compared() >= 12 * 80 * 5 * 9 + 4 * 80 * 6);
}

}  // namespace hawser::device_kernels
