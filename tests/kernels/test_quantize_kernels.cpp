#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "element_values.hpp"
#include "gradient_values.hpp"
#include "guarded_buffer.hpp"
#include "kernels/quantize_scalar.hpp"
#include "kernels/quantize_vector.hpp"

// Every instruction set that this processor has gives the scalar oracle's payload and its values, bit by bit.

namespace hawser {
namespace {

template <class T>
void compare(const QuantizeTable& table, const Quantization& q, std::vector<T> values,
             std::size_t misalignment, std::uint64_t seed) {
  constexpr DataType kType = sizeof(T) == 8 ? DataType::float64 : DataType::float32;
  const std::size_t count = values.size();
  const std::size_t bytes = quantized_bytes(q, kType, count);
  INFO(table.name << ", " << describe(q) << ", " << to_string(kType) << ", count " << count);
  GuardedBuffer from(misalignment, bytes_of(values));
  std::vector<std::byte> expected(bytes);
  std::vector<T> expected_values(count);
  quantize_with(quantize_scalar(), q, kType, from.data(), count, seed, expected.data(),
                reinterpret_cast<std::byte*>(expected_values.data()));

  GuardedBuffer payload((misalignment * 3 + count) % 8, bytes);
  quantize_with(table, q, kType, from.data(), count, seed, payload.data(), nullptr);
  REQUIRE(payload.content() == expected);
  GuardedBuffer decoded((misalignment * 5 + 1) % 8, count * sizeof(T));
  dequantize_with(table, q, kType, payload.data(), count, decoded.data());
  const auto got = decoded.content();
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, got.data() + i * sizeof(T), sizeof(T));
    // Which NaN comes of one is the processor's choice.
    if (std::isnan(value) && std::isnan(expected_values[i])) continue;
    if (!same_bits(value, expected_values[i])) REQUIRE(value == expected_values[i]);
  }
  quantize_with(table, q, kType, from.data(), count, seed, payload.data(), from.data());
  REQUIRE(payload.content() == expected);
  REQUIRE((std::isnan(expected_values.empty() ? T{0} : expected_values[0]) || from.content() == got));
  REQUIRE((from.guards_hold() && payload.guards_hold() && decoded.guards_hold()));
}

template <class T>
void compare_all(const QuantizeTable& table, Quantization q, Random& random) {
  for (const bool stochastic : {false, true}) {
    q.stochastic = stochastic;
    for (std::size_t count = 0; count <= 70; ++count)
      for (const std::size_t misalignment : {count % 8, (count * 3 + 5) % 8})
        compare(table, q, spread_values<T>(Spread::normal, count, random), misalignment, random.next());
    for (const Spread spread : kSpreads)
      for (const std::size_t count : {1U, 63U, 64U, 65U, 129U, 1023U, 1024U, 1025U, 2777U})
        compare(table, q, spread_values<T>(spread, count, random), (count * 3) % 8, random.next());
    for (const T broken : {std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                           std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN()}) {
      auto values = spread_values<T>(Spread::normal, 333, random);
      values[random.below(values.size())] = broken;
      compare(table, q, values, 3, random.next());
    }
  }
}

}  // namespace

TEST_CASE("vector codecs give the oracle's bits at every size and misalignment") {
  for (const QuantizeTable* table : quantize_vector()) {
    Random random(1);
    for (const Quantization& q : all_quantizations()) {
      compare_all<float>(*table, q, random);
      compare_all<double>(*table, q, random);
    }
  }
}

}  // namespace hawser
