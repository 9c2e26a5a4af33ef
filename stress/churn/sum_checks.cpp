#include "sum_checks.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "digest.hpp"

namespace hawser::churn {
namespace {

// -8..7. The 32-bit arithmetic lets the compiler use vectors.
inline float value_of(std::uint32_t base, std::uint32_t index) {
  std::uint32_t v = base + index * 0x9e3779b1u;
  v ^= v >> 15;
  v *= 0x85ebca77u;
  return static_cast<float>(static_cast<std::int32_t>(v >> 28) - 8);
}

std::uint32_t base_of(const SumCheck& check, std::uint64_t peer_id) {
  return static_cast<std::uint32_t>(mix64(peer_id ^ mix64(check.key)));
}

std::uint64_t choose_count(std::mt19937_64& random, std::uint64_t elements_max) {
  switch (random() % 8) {
    case 0: return 1;
    case 1: return std::min<std::uint64_t>(elements_max, 2 + random() % 6);
    case 2: return elements_max;
    default: {
      // Uniform in the logarithm: small and large sizes are equally often tried.
      const double exponent =
          std::uniform_real_distribution<double>(0, std::log(static_cast<double>(elements_max)))(random);
      return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::exp(exponent)) | 1, 1, elements_max);
    }
  }
}

hawserPlan_t choose_plan(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: return hawserPlanRing;
    case 1: return hawserPlanDirect;
    default: return hawserPlanAuto;
  }
}

}  // namespace

SumCheckPlan choose_sum_checks(std::uint64_t lineage, std::uint32_t step, std::uint64_t elements_max) {
  std::mt19937_64 random(mix64(lineage ^ mix64(step)));
  const auto check = [&](std::uint64_t tag) {
    return SumCheck{.key = random(),
                    .count = choose_count(random, elements_max),
                    .in_place = random() % 2 == 0,
                    .tag = tag,
                    .plan = choose_plan(random)};
  };
  SumCheckPlan plan;
  plan.groups.push_back({check(0)});
  if (step % 3 == 0) plan.groups.push_back({check(1), check(2)});
  return plan;
}

void fill_sum_input(const SumCheck& check, std::uint64_t peer_id, std::span<float> out) {
  const std::uint32_t base = base_of(check, peer_id);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = value_of(base, static_cast<std::uint32_t>(i));
}

std::string verify_sum(const SumCheck& check, std::span<const std::uint64_t> members,
                       std::span<const float> result) {
  std::vector<std::uint32_t> bases;
  for (const std::uint64_t id : members) bases.push_back(base_of(check, id));
  std::uint64_t wrong = 0;
  std::string sentence;
  for (std::size_t i = 0; i < result.size(); ++i) {
    float expected = 0;
    for (const std::uint32_t base : bases) expected += value_of(base, static_cast<std::uint32_t>(i));
    if (result[i] == expected) continue;
    if (wrong++ == 0) {
      sentence = "element " + std::to_string(i) + " is " + std::to_string(result[i]) + " instead of " +
                 std::to_string(expected);
    }
  }
  if (wrong == 0) return {};
  return sentence + "; " + std::to_string(wrong) + " of " + std::to_string(result.size()) +
         " are wrong, with " + std::to_string(members.size()) + " contributors";
}

}  // namespace hawser::churn
