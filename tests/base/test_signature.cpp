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
  for (const auto op : {ReduceOp::sum, ReduceOp::avg})
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

TEST_CASE("elements have their sizes") { CHECK(element_bytes(DataType::float32) == 4); }

}  // namespace hawser
