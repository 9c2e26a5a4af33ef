#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/signature.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

std::vector<Signature> many_signatures() {
  std::vector<Signature> signatures;
  for (const DataType type : kDataTypes) signatures.push_back({.type = type, .count = 1077});
  for (const std::uint32_t root : {0U, 1U, 2U})
    signatures.push_back({.collective = Collective::broadcast, .count = 5, .root = root});
  for (const auto type : {QuantizedType::uint8, QuantizedType::int8})
    for (const bool stochastic : {false, true})
      signatures.push_back({.count = 5,
                            .quantization = {.scheme = QuantizationScheme::min_max,
                                             .type = type,
                                             .stochastic = stochastic}});
  for (const auto op : kReduceOps)
    for (const auto plan : {PlanKind::automatic, PlanKind::ring, PlanKind::direct})
      for (std::uint64_t count = 1; count < 1000; ++count)
        signatures.push_back({.op = op, .plan = plan, .count = count});
  for (unsigned bit = 10; bit < 64; ++bit) signatures.push_back({.count = std::uint64_t{1} << bit});
  return signatures;
}

}  // namespace

TEST_CASE("a signature is described for a person") {
  CHECK(describe({.op = ReduceOp::sum, .count = 100}) == "all-reduce of 100 float32, sum");
  CHECK(describe({.op = ReduceOp::avg, .plan = PlanKind::ring, .count = 1}) ==
        "all-reduce of 1 float32, avg, ring plan");
  CHECK(describe({.plan = PlanKind::direct, .count = 2}) == "all-reduce of 2 float32, sum, direct plan");
}

TEST_CASE("different signatures have different descriptions and fingerprints") {
  const auto signatures = many_signatures();
  std::set<std::uint64_t> fingerprints;
  std::set<std::string> descriptions;
  for (const Signature& signature : signatures) {
    fingerprints.insert(fingerprint(signature));
    descriptions.insert(describe(signature));
  }
  CHECK(fingerprints.size() == signatures.size());
  CHECK(descriptions.size() == signatures.size());
  CHECK(fingerprint({.count = 5}) == fingerprint({.count = 5}));
}

TEST_CASE("other collectives and quantisation are described too") {
  CHECK(describe({.collective = Collective::barrier}) == "barrier");
  CHECK(describe({.collective = Collective::broadcast, .type = DataType::int8, .count = 3, .root = 2}) ==
        "broadcast of 3 int8 from rank 2");
  CHECK(describe({.collective = Collective::all_gather, .type = DataType::bfloat16, .count = 4}) ==
        "all-gather of 4 bfloat16");
  CHECK(describe({.op = ReduceOp::avg,
                  .count = 9,
                  .quantization = {.scheme = QuantizationScheme::blockwise,
                                   .type = QuantizedType::int4,
                                   .block = 256,
                                   .stochastic = true}}) ==
        "all-reduce of 9 float32, avg, blockwise (256) to int4, stochastic");
}

TEST_CASE("elements have their sizes") {
  CHECK(element_bytes(DataType::float32) == 4);
  CHECK(element_bytes(DataType::bfloat16) == 2);
  CHECK(element_bytes(DataType::uint8) == 1);
  CHECK(element_bytes(DataType::int64) == 8);
}

TEST_CASE("quantisations that make no sense are refused in words") {
  const auto refused = [](const Quantization& quantization, DataType type = DataType::float32) {
    const auto result = check(quantization, type);
    return result.ok() ? std::string() : result.error().sentence;
  };
  CHECK(refused({}).empty());
  CHECK(refused({.scheme = QuantizationScheme::min_max, .type = QuantizedType::int8}).empty());
  CHECK(refused({.block = 64}) == "a quantised type, block or rounding needs a quantisation scheme");
  CHECK(refused({.scheme = QuantizationScheme::min_max}, DataType::int32) ==
        "quantisation is for floats, not for int32");
  CHECK(refused({.scheme = QuantizationScheme::min_max, .type = QuantizedType::int4}) ==
        "min_max quantises to uint8, int8 or uint16, not to int4");
  CHECK(refused({.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 100}) ==
        "a block is a power of two from 64 to 1024 values, not 100");
  CHECK(refused({.scheme = QuantizationScheme::cast, .type = QuantizedType::float16, .block = 64}) ==
        "only blockwise quantisation has blocks; leave the block 0");
  CHECK(refused({.scheme = QuantizationScheme::cast, .type = QuantizedType::float16}, DataType::bfloat16) ==
        "a cast of bfloat16 to float16 saves nothing");
}

}  // namespace hawser
