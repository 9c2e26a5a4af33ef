#include "churn/mixed_plan.hpp"

#include <set>

#include "catch.hpp"

using namespace hawser::churn;

namespace {

constexpr std::uint32_t kSteps = 400;

MixedRule rule_of(std::uint32_t step) {
  return {.lineage = 7, .step = step, .tags = 8, .elements_max = 50'000};
}

}  // namespace

TEST_CASE("members choose the same mixed round") {
  for (std::uint32_t step = 0; step < 50; ++step) {
    const MixedRound a = choose_mixed_round(rule_of(step));
    const MixedRound b = choose_mixed_round(rule_of(step));
    REQUIRE(a.tags.size() == b.tags.size());
    CHECK(a.threads == b.threads);
    CHECK(a.group == b.group);
    CHECK(a.group_call.key == b.group_call.key);
    REQUIRE(a.list.tensors.size() == b.list.tensors.size());
    for (std::size_t i = 0; i < a.tags.size(); ++i) CHECK(a.tags[i].key == b.tags[i].key);
    for (std::size_t i = 0; i < a.list.tensors.size(); ++i)
      CHECK(a.list.tensors[i].key == b.list.tensors[i].key);
  }
}

TEST_CASE("all types, operations, plans, quantisations and collectives have their turn") {
  std::set<int> types, ops, plans, groups;
  std::set<std::string> quantizations;
  bool one = false, large = false, in_place = false, threads = false, handles = false, list = false;
  bool residual = false, compressed_by_some = false;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    const MixedRound round = choose_mixed_round(rule_of(step));
    (round.threads ? threads : handles) = true;
    groups.insert(static_cast<int>(round.group));
    list |= !round.list.tensors.empty();
    for (const MixedCall& call : round.tags) {
      types.insert(call.type);
      ops.insert(call.op);
      plans.insert(call.plan);
      quantizations.insert(name_of(call.quantization));
      one |= call.count == 1;
      large |= call.count > 50'000;
      in_place |= call.in_place;
      residual |= call.residual;
      compressed_by_some |= call.compressed_by(1) != call.compressed_by(2);
    }
  }
  CHECK(types.size() == kDataTypes);
  CHECK(ops.size() == kReduceOps);
  CHECK(plans.size() == 3);
  CHECK(groups.size() == 4);
  CHECK(quantizations.size() == 11);
  CHECK((one && large && in_place && threads && handles && list && residual && compressed_by_some));
}

TEST_CASE("what is chosen is what the library takes") {
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    const MixedRound round = choose_mixed_round(rule_of(step));
    std::set<std::uint64_t> tags;
    std::set<int> with_residual;
    for (const MixedCall& call : round.tags) {
      CHECK(tags.insert(call.tag).second);
      CHECK(call.count >= 1);
      if (call.quantised()) CHECK((is_float(call.type) && call.op != hawserProd));
      if (!call.residual) continue;
      CHECK((call.quantised() && call.op <= hawserAvg && call.count == kResidualElements));
      CHECK(with_residual.insert(call.type).second);
    }
    for (const MixedCall& tensor : round.list.tensors) {
      CHECK(tensor.op == round.list.tensors.front().op);
      if (tensor.quantised()) CHECK(is_float(tensor.type));
    }
  }
}
