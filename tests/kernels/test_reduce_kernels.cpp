#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "element_values.hpp"
#include "guarded_buffer.hpp"
#include "kernels/reduce_scalar.hpp"
#include "kernels/reduce_vector.hpp"

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

struct Bytes128 {
  std::uint64_t low;
  std::uint64_t high;
};

/// Calls visit(T{}) with the C++ type of the accumulators.
template <class Visit>
void with_accumulator_type(std::size_t accumulator, Visit visit) {
  if (accumulator >= kDataTypes.size()) return visit(Bytes128{});
  with_element_type(kDataTypes[accumulator], visit);
}

template <class T>
std::vector<std::byte> any_bytes(std::size_t count, Random& random) {
  if constexpr (std::is_same_v<T, Bytes128>)
    return bytes_of(any_values<std::uint64_t>(2 * count, random));
  else
    return bytes_of(any_values<T>(count, random));
}

/// Which of two NaNs an operation passes on is the processor's choice.
template <class T>
void expect_same(const std::vector<std::byte>& got, const std::vector<std::byte>& expected,
                 bool nans_differ) {
  REQUIRE(got.size() == expected.size());
  if (got == expected) return;
  for (std::size_t i = 0; i < got.size() / sizeof(T); ++i) {
    if (std::memcmp(got.data() + i * sizeof(T), expected.data() + i * sizeof(T), sizeof(T)) == 0) continue;
    INFO("element " << i);
    if constexpr (std::is_floating_point_v<T>) {
      T left;
      T right;
      std::memcpy(&left, got.data() + i * sizeof(T), sizeof(T));
      std::memcpy(&right, expected.data() + i * sizeof(T), sizeof(T));
      CAPTURE(left, right);
      REQUIRE((nans_differ && std::isnan(left) && std::isnan(right)));
    } else {
      (void)nans_differ;
      FAIL("differs");
    }
  }
}

using Binary =
    std::function<void(std::byte* out, const std::byte* a, const std::byte* b, std::uint64_t count)>;

template <class T>
void compare_binary(const Binary& kernel, const Binary& oracle, bool nans_differ, Random& random) {
  for (const std::size_t count : counts())
    for (std::size_t misalignment = 0; misalignment < 8; ++misalignment) {
      INFO("count " << count << ", misalignment " << misalignment);
      // Three different misalignments at a time; over all values of one, every pair of two comes up.
      GuardedBuffer a(misalignment, any_bytes<T>(count, random));
      GuardedBuffer b((misalignment * 7 + count) % 8, any_bytes<T>(count, random));
      GuardedBuffer out((misalignment * 3 + count / 8) % 8, count * sizeof(T));
      const auto a_before = a.content();
      const auto b_before = b.content();
      std::vector<std::byte> expected(count * sizeof(T));
      oracle(expected.data(), a.data(), b.data(), count);

      kernel(out.data(), a.data(), b.data(), count);
      expect_same<T>(out.content(), expected, nans_differ);
      REQUIRE(a.content() == a_before);
      REQUIRE(b.content() == b_before);
      kernel(a.data(), a.data(), b.data(), count);
      expect_same<T>(a.content(), expected, nans_differ);
      a.assign(a_before);
      kernel(b.data(), a.data(), b.data(), count);
      expect_same<T>(b.content(), expected, nans_differ);
      REQUIRE((a.guards_hold() && b.guards_hold() && out.guards_hold()));
    }
}

template <class From, class To>
void compare_conversion(ConvertKernels::Convert* kernel, ConvertKernels::Convert* oracle, Random& random) {
  for (const std::size_t count : counts())
    for (std::size_t misalignment = 0; misalignment < 8; ++misalignment) {
      GuardedBuffer from(misalignment, any_bytes<From>(count, random));
      GuardedBuffer out((misalignment * 3 + count) % 8, count * sizeof(To));
      const auto before = from.content();
      std::vector<std::byte> expected(count * sizeof(To));
      oracle(expected.data(), from.data(), count);
      kernel(out.data(), from.data(), count);
      expect_same<To>(out.content(), expected, false);
      REQUIRE(from.content() == before);
      REQUIRE((from.guards_hold() && out.guards_hold()));
    }
}

template <class T>
void compare_accumulator(const AccumulatorKernels& kernels, const AccumulatorKernels& oracle,
                         Random& random) {
  const auto compare = [&](AccumulatorKernels::Combine* kernel, AccumulatorKernels::Combine* expected,
                           bool nans_differ) {
    REQUIRE((kernel == nullptr) == (expected == nullptr));
    if (kernel != nullptr) compare_binary<T>(kernel, expected, nans_differ, random);
  };
  compare(kernels.sum, oracle.sum, true);
  compare(kernels.prod, oracle.prod, true);
  compare(kernels.max, oracle.max, false);
  compare(kernels.min, oracle.min, false);
  REQUIRE((kernels.divide == nullptr) == (oracle.divide == nullptr));
  REQUIRE((kernels.difference == nullptr) == (oracle.difference == nullptr));
  if (kernels.divide != nullptr)
    for (const std::size_t count : counts()) {
      GuardedBuffer values(count % 8, any_bytes<T>(count, random));
      auto expected = values.content();
      const auto divisor = static_cast<std::uint32_t>(1 + random.below(1024));
      oracle.divide(expected.data(), count, divisor);
      kernels.divide(values.data(), count, divisor);
      expect_same<T>(values.content(), expected, true);
      REQUIRE(values.guards_hold());
    }
  if (kernels.difference != nullptr) {
    const auto scaled = [](auto* difference) {
      return [difference](std::byte* out, const std::byte* a, const std::byte* b, std::uint64_t count) {
        difference(out, a, b, 0.7, count);
      };
    };
    compare_binary<T>(scaled(kernels.difference), scaled(oracle.difference), true, random);
  }
}

/// Calls visit(T{}) with the type that a conversion widens to.
template <class T, class Visit>
void with_wide(Visit visit) {
  if constexpr (kIsHalf<T>)
    visit(float{});
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 8)
    visit(Bytes128{});
  else if constexpr (std::is_integral_v<T>)
    visit(std::uint64_t{});
}

}  // namespace

TEST_CASE("vector kernels give the oracle's bits at every size and misalignment") {
  for (const ReduceTable* table : reduce_vector()) {
    Random random(1);
    for (std::size_t i = 0; i < kAccumulatorTypes; ++i) {
      INFO(table->name << ", accumulator " << i);
      with_accumulator_type(i, [&]<class T>(T) {
        compare_accumulator<T>(table->by_accumulator[i], reduce_scalar().by_accumulator[i], random);
      });
    }
    for (const DataType type : kDataTypes) {
      INFO(table->name << ", conversions of " << to_string(type));
      const ConvertKernels& kernels = table->of(type);
      const ConvertKernels& oracle = reduce_scalar().of(type);
      REQUIRE((kernels.widen == nullptr) == (type <= DataType::float64));
      REQUIRE((kernels.narrow == nullptr) == (type <= DataType::float64));
      with_element_type(type, [&]<class T>(T) {
        with_wide<T>([&]<class Wide>(Wide) {
          compare_conversion<T, Wide>(kernels.widen, oracle.widen, random);
          compare_conversion<Wide, T>(kernels.narrow, oracle.narrow, random);
        });
      });
    }
  }
}

TEST_CASE("all 16-bit floats widen to their value, and come back") {
  std::vector<const ReduceTable*> tables(reduce_vector().begin(), reduce_vector().end());
  tables.push_back(&reduce_scalar());
  std::vector<std::uint16_t> all(1 << 16);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  for (const DataType type : {DataType::float16, DataType::bfloat16})
    for (const ReduceTable* table : tables) {
      INFO(table->name);
      std::vector<float> wide(all.size());
      std::vector<std::uint16_t> back(all.size());
      table->of(type).widen(reinterpret_cast<std::byte*>(wide.data()),
                            reinterpret_cast<const std::byte*>(all.data()), all.size());
      table->of(type).narrow(reinterpret_cast<std::byte*>(back.data()),
                             reinterpret_cast<const std::byte*>(wide.data()), all.size());
      with_element_type(type, [&]<class T>(T) {
        if constexpr (kIsHalf<T>)
          for (std::size_t i = 0; i < all.size(); ++i) {
            const T half{all[i]};
            if (half.is_nan()) {
              REQUIRE(std::isnan(wide[i]));
              REQUIRE(back[i] == T::kQuietNan);
            } else {
              REQUIRE(static_cast<double>(wide[i]) == half.value());
              REQUIRE(std::signbit(wide[i]) == std::signbit(half.value()));
              REQUIRE(back[i] == all[i]);
            }
          }
      });
    }
}

TEST_CASE("floats narrow to the nearest 16-bit float, ties to even") {
  std::vector<const ReduceTable*> tables(reduce_vector().begin(), reduce_vector().end());
  tables.push_back(&reduce_scalar());
  for (const DataType type : {DataType::float16, DataType::bfloat16})
    with_element_type(type, [&]<class T>(T) {
      if constexpr (kIsHalf<T>) {
        // Every half, the ties between neighbours, and the floats right beside them.
        std::vector<float> values;
        for (std::uint16_t bits = 0; bits < T::kInfinity; ++bits) {
          const auto half = static_cast<float>(T{bits}.value());
          const double next = T{static_cast<std::uint16_t>(bits + 1)}.value();
          const double above = std::isinf(next) ? std::ldexp(1.0, T::kBias + 1) : next;
          const auto tie = static_cast<float>((static_cast<double>(half) + above) / 2);
          for (const float value : {half, tie, std::nextafter(tie, 0.0F), std::nextafter(tie, 1e38F)})
            values.push_back(bits % 2 == 0 ? value : -value);
        }
        std::vector<std::uint16_t> narrowed(values.size());
        for (const ReduceTable* table : tables) {
          INFO(table->name << ", " << to_string(type));
          table->of(type).narrow(reinterpret_cast<std::byte*>(narrowed.data()),
                                 reinterpret_cast<const std::byte*>(values.data()), values.size());
          for (std::size_t i = 0; i < values.size(); ++i) {
            INFO(values[i]);
            const std::uint16_t expected = T::nearest(static_cast<double>(values[i])).bits;
            if (narrowed[i] != expected) REQUIRE(narrowed[i] == expected);
          }
        }
      }
    });
}

}  // namespace hawser
