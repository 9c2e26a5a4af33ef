#include "device_kernels/quantize_launches.hpp"

#include "compared.hpp"
#include "kernels/gradient_values.hpp"
#include "kernels/quantize.hpp"
#include "kernels/quantize_scalar.hpp"
#include "run_launches.hpp"

// Quantisation on devices gives the scalar oracle's payload and values.

namespace hawser::device_kernels {
namespace {

class QuantizeComparison {
 public:
  explicit QuantizeComparison(std::uint64_t seed) : random_(seed) {}

  void check_all(Quantization q, DataType type) {
    for (const bool stochastic : {false, true}) {
      q.stochastic = stochastic;
      for (const std::size_t count : counts()) check(q, type, values_of(type, Spread::normal, count));
      for (const Spread spread : kSpreads)
        for (const std::size_t count : {1U, 63U, 64U, 65U, 129U, 1023U, 2777U, 5000U})
          check(q, type, values_of(type, spread, count));
      for (int i = 0; i < 8; ++i) check(q, type, any_elements(type, 700, random_));
    }
  }
  std::size_t compared() const { return compared_; }

 private:
  std::vector<std::byte> values_of(DataType type, Spread spread, std::size_t count) {
    if (type == DataType::float64) return bytes_of(spread_values<double>(spread, count, random_));
    const auto floats = bytes_of(spread_values<float>(spread, count, random_));
    std::vector<std::byte> values(count * element_bytes(type));
    hawser::narrow_float(type, values.data(), floats.data(), count);
    return values;
  }

  /// `given`: of the type itself.
  void check(const Quantization& q, DataType type, const std::vector<std::byte>& given) {
    const std::size_t count = given.size() / element_bytes(type);
    INFO(describe(q) << ", " << to_string(type) << ", count " << count);
    const DataType working = working_type(type);
    const std::size_t wide_bytes = count * element_bytes(working);
    std::vector<std::byte> wide(wide_bytes);
    hawser::widen_float(type, wide.data(), given.data(), count);
    const std::uint64_t seed = random_.next();
    std::vector<std::byte> payload(quantized_bytes(q, type, count));
    std::vector<std::byte> decoded(wide_bytes);
    quantize_with(quantize_scalar(), q, type, wide.data(), count, seed, payload.data(), decoded.data());

    check_encoding(q, type, wide, given, {seed, payload, decoded});
    check_decoding(q, type, payload, decoded, wide);
    ++compared_;
  }

  struct Expected {
    std::uint64_t seed;
    const std::vector<std::byte>& payload;
    const std::vector<std::byte>& decoded;
  };
  std::size_t misalignment() { return compared_ % 2 == 0 ? 0 : random_.below(16); }

  void check_encoding(const Quantization& q, DataType type, const std::vector<std::byte>& wide,
                      const std::vector<std::byte>& given, const Expected& expected) {
    const std::size_t count = given.size() / element_bytes(type);
    const DataType working = working_type(type);
    std::vector<std::byte> scratch(quantize_scratch_bytes(q, type, count));
    GuardedBuffer from(misalignment(), wide);
    GuardedBuffer payload(misalignment(), expected.payload.size());
    GuardedBuffer decoded(misalignment(), wide.size());
    std::vector<device::Launch> launches;
    quantize(launches, q, type, from.data(), count, expected.seed, payload.data(), nullptr, scratch.data());
    run_launches(launches);
    REQUIRE(payload.content() == expected.payload);

    payload.assign(std::vector<std::byte>(expected.payload.size()));
    launches.clear();
    quantize(launches, q, type, from.data(), count, expected.seed, payload.data(), from.data(), scratch.data());
    run_launches(launches);
    REQUIRE(payload.content() == expected.payload);
    require_same(working, from.content(), expected.decoded);

    GuardedBuffer narrow(misalignment(), given);
    launches.clear();
    quantize_values(launches, q, type, narrow.data(), count, expected.seed, payload.data(), decoded.data(),
                    scratch.data());
    run_launches(launches);
    REQUIRE(payload.content() == expected.payload);
    require_same(working, decoded.content(), expected.decoded);
    REQUIRE((from.guards_hold() && payload.guards_hold() && decoded.guards_hold()));
  }

  void check_decoding(const Quantization& q, DataType type, const std::vector<std::byte>& expected_payload,
                      const std::vector<std::byte>& decoded, const std::vector<std::byte>& own_values) {
    const DataType working = working_type(type);
    const std::size_t count = decoded.size() / element_bytes(working);
    GuardedBuffer payload(misalignment(), expected_payload);
    GuardedBuffer to(misalignment(), decoded.size());
    std::vector<device::Launch> launches;
    dequantize(launches, q, type, payload.data(), count, to.data());
    run_launches(launches);
    require_same(working, to.content(), decoded);

    std::vector<std::byte> narrow(count * element_bytes(type));
    hawser::narrow_float(type, narrow.data(), decoded.data(), count);
    GuardedBuffer to_narrow(misalignment(), narrow.size());
    launches.clear();
    dequantize_values(launches, q, type, payload.data(), count, to_narrow.data());
    run_launches(launches);
    require_same(type, to_narrow.content(), narrow);

    const ReduceOp op = kReduceOps[compared_ % kReduceOps.size()];
    std::vector<std::byte> combined(decoded.size());
    hawser::combine(working, op, combined.data(), own_values.data(), decoded.data(), count);
    GuardedBuffer own(misalignment(), own_values);
    launches.clear();
    dequantize_combine(launches, q, type, op, own.data(), own.data(), payload.data(), count);
    run_launches(launches);
    require_same(working, own.content(), combined);
    REQUIRE((to.guards_hold() && to_narrow.guards_hold() && own.guards_hold() && payload.guards_hold()));
  }

  Random random_;
  std::size_t compared_ = 0;
};

}  // namespace

TEST_CASE("quantisation on devices has the oracle's bits, for every scheme, type, count and alignment") {
  QuantizeComparison comparison(1);
  for (const Quantization& q : all_quantizations())
    for (const DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16})
      if (check(q, type).ok()) comparison.check_all(q, type);
  CHECK(comparison.compared() >= (10 * 4 + 2 * 2) * 2 * (82 + 11 * 8 + 8));
}

TEST_CASE("any bytes decode to what the oracle makes of them") {
  Random random(2);
  std::size_t compared = 0;
  for (const Quantization& q : all_quantizations())
    for (const DataType type : {DataType::float32, DataType::float64})
      for (std::size_t count = 1; count < 200; ++count) {
        const auto payload = any_elements(DataType::uint8, quantized_bytes(q, type, count), random);
        std::vector<std::byte> expected(count * element_bytes(type));
        dequantize_with(quantize_scalar(), q, type, payload.data(), count, expected.data());
        std::vector<std::byte> got(expected.size());
        std::vector<device::Launch> launches;
        dequantize(launches, q, type, payload.data(), count, got.data());
        run_launches(launches);
        require_same(type, got, expected);
        ++compared;
      }
  CHECK(compared >= 12 * 2 * 199);
}

}  // namespace hawser::device_kernels
