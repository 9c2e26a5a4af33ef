#pragma once

#include <array>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "mixed_plan.hpp"
#include "mixed_tools.hpp"
#include "tag_reduction.hpp"

namespace hawser::churn {

/// The part of a round in which everything that the library can do is done: several all-reduces of different
/// types, operations and sizes at once, some quantised, then a broadcast, all-gather, reduce-scatter or
/// barrier, and now and then a list. See choose_mixed_round().
class MixedPhase {
 public:
  /// `seed`: of what members may do differently (the order of starts and waits).
  MixedPhase(const MixedTools& tools, std::uint64_t seed);
  ~MixedPhase();
  MixedPhase(const MixedPhase&) = delete;
  MixedPhase& operator=(const MixedPhase&) = delete;

  /// `roster`: the members at the start of the round. Blocks as the collectives do.
  Next run(const MixedRule& rule, std::span<const std::uint64_t> roster);

 private:
  using Reductions = std::vector<std::unique_ptr<TagReduction>>;
  Next run_with_handles(const Reductions& tags);
  std::vector<Outcome> fly(std::vector<TagReduction*>& tags);
  Next run_with_threads(const Reductions& tags);
  Next run_in_thread(TagReduction& tag, CallSlot slot);
  hawserResidual_t residual_of(const MixedCall& call);

  MixedTools tools_;
  std::mt19937_64 random_;
  std::array<hawserResidual_t, kDataTypes> residuals_{};  // made when first needed
};

}  // namespace hawser::churn
