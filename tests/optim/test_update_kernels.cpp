#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "kernels/element_values.hpp"
#include "kernels/guarded_buffer.hpp"
#include "optim/update_scalar.hpp"
#include "optim/update_vector.hpp"

// Every kernel of every instruction set that this processor has, compared with the scalar oracle, bit by bit.

namespace hawser {
namespace {

const std::vector<std::size_t>& counts() {
  static const std::vector<std::size_t> sizes = [] {
    std::vector<std::size_t> found;
    for (std::size_t count = 0; count <= 70; ++count) found.push_back(count);
    found.insert(found.end(), {127, 128, 129, 255, 300, 1021});
    return found;
  }();
  return sizes;
}

/// Which of two NaNs an operation passes on is the processor's choice.
template <class T>
void expect_same(const std::vector<std::byte>& got, const std::vector<std::byte>& expected) {
  REQUIRE(got.size() == expected.size());
  if (got == expected) return;
  for (std::size_t i = 0; i < got.size() / sizeof(T); ++i) {
    T left;
    T right;
    std::memcpy(&left, got.data() + i * sizeof(T), sizeof(T));
    std::memcpy(&right, expected.data() + i * sizeof(T), sizeof(T));
    if (same_bits(left, right)) continue;
    CAPTURE(i, left, right);
    REQUIRE((std::isnan(left) && std::isnan(right)));
  }
}

/// What a kernel is called with: three tensors, of which it writes the first, and maybe the second.
using Ternary = std::function<void(std::byte* a, std::byte* b, std::byte* c, std::uint64_t count)>;

template <class T>
void compare(const Ternary& kernel, const Ternary& oracle, Random& random) {
  for (const std::size_t count : counts())
    for (std::size_t misalignment = 0; misalignment < 8; ++misalignment) {
      INFO("count " << count << ", misalignment " << misalignment);
      const auto values = [&] { return bytes_of(any_values<T>(count, random)); };
      GuardedBuffer a(misalignment, values());
      GuardedBuffer b((misalignment * 7 + count) % 8, values());
      GuardedBuffer c((misalignment * 3 + count / 8) % 8, values());
      auto expected_a = a.content();
      auto expected_b = b.content();
      auto expected_c = c.content();
      oracle(expected_a.data(), expected_b.data(), expected_c.data(), count);
      kernel(a.data(), b.data(), c.data(), count);
      expect_same<T>(a.content(), expected_a);
      expect_same<T>(b.content(), expected_b);
      REQUIRE(c.content() == expected_c);
      REQUIRE((a.guards_hold() && b.guards_hold() && c.guards_hold()));
    }
}

template <class T>
void compare_all(const UpdateKernels& kernels, const UpdateKernels& oracle, Random& random) {
  constexpr double kRate = 0.7;
  constexpr double kMomentum = 0.9;
  // One way to call either table's kernel, for all kernels.
  const auto both = [&](const char* what, auto call) {
    INFO(what);
    const auto with = [&call](const UpdateKernels& table) {
      return [&call, &table](std::byte* a, std::byte* b, std::byte* c, std::uint64_t n) {
        call(table, a, b, c, n);
      };
    };
    compare<T>(with(kernels), with(oracle), random);
  };
  using Table = UpdateKernels;
  both("step", [](const Table& table, auto* a, auto*, auto* c, auto n) { table.step(a, c, n, kRate); });
  both("heavy ball", [](const Table& table, auto* a, auto* b, auto* c, auto n) {
    table.heavy_ball(a, b, c, n, kRate, kMomentum);
  });
  both("nesterov", [](const Table& table, auto* a, auto* b, auto* c, auto n) {
    table.nesterov(a, b, c, n, kRate, kMomentum);
  });
  both("scale", [](const Table& table, auto* a, auto*, auto*, auto n) { table.scale(a, n, 0.3, 7); });
  both("mix", [](const Table& table, auto* a, auto*, auto* c, auto n) { table.mix(a, c, n, 0.3, 0.7); });
  both("add difference",
       [](const Table& table, auto* a, auto* b, auto* c, auto n) { table.add_difference(a, b, c, n); });
}

}  // namespace

TEST_CASE("vector kernels of updates give the oracle's bits at every size and misalignment") {
  for (const UpdateTable* table : update_vector()) {
    INFO(table->name);
    Random random(1);
    compare_all<float>(table->float32, update_scalar().float32, random);
    compare_all<double>(table->float64, update_scalar().float64, random);
  }
}

}  // namespace hawser
