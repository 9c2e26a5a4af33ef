#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hawser.h"

namespace hawser::churn {

/// A reduce whose right answer follows from the contributors.
struct SumCheck {
  std::uint64_t key = 0;  ///< Mixed into the values: another check, another round, another value.
  std::uint64_t count = 1;
  bool in_place = false;
  std::uint64_t tag = 0;
  hawserPlan_t plan = hawserPlanAuto;
};

/// The checks after a step. Groups run one after the other; the checks inside a group run at the same time
/// from as many threads, under different tags.
struct SumCheckPlan {
  std::vector<std::vector<SumCheck>> groups;
};

/// The same for all members that agree on lineage and step. Among the sizes are one element, fewer elements
/// than members, odd ones, and up to `elements_max`.
SumCheckPlan choose_sum_checks(std::uint64_t lineage, std::uint32_t step, std::uint64_t elements_max);

/// A member's input: small integers, so that sums of them are exact in any order.
void fill_sum_input(const SumCheck& check, std::uint64_t peer_id, std::span<float> out);

/// Compares a result with the sum of the contributors' inputs, bit for bit.
/// Returns "" or a sentence about the first wrong element and how many there are.
std::string verify_sum(const SumCheck& check, std::span<const std::uint64_t> members,
                       std::span<const float> result);

}  // namespace hawser::churn
