#pragma once

#include <cstdint>

#include "guarded_bytes.hpp"
#include "mixed_plan.hpp"
#include "mixed_tools.hpp"

namespace hawser::churn {

/// One all-reduce of any type and kind with its buffers, to be made until it succeeds, either in one blocking
/// call or with a handle; checks all that can be checked after each.
class TagReduction {
 public:
  /// `residual`: for a call with error feedback, else null; not owned.
  TagReduction(const MixedTools& tools, const MixedCall& call, hawserResidual_t residual);
  ~TagReduction();
  TagReduction(const TagReduction&) = delete;
  TagReduction& operator=(const TagReduction&) = delete;

  /// hawserAllReduce.
  hawserResult_t run(hawserComm_t comm);
  /// hawserAllReduceAsync. After success wait() must follow.
  hawserResult_t start(hawserComm_t comm);
  bool ended() const;
  /// What it came to. `impatient`: with many short waits instead of one.
  hawserResult_t wait(bool impatient);

  /// Checks buffers, info, result and residual after a call, and reports the collective if it was a success.
  void check_after(const Outcome& outcome);

 private:
  hawserAllReduceOptions_t options();
  void check_input(bool success, const Outcome& outcome);
  double owed() const;

  MixedTools tools_;
  MixedCall call_;
  hawserResidual_t residual_;
  Pattern input_;
  GuardedBytes send_;
  GuardedBytes apart_;  // empty if in place
  GuardedBytes& receive_;
  InfoRoom room_;
  hawserOp_t op_ = nullptr;
  double owed_before_ = 0;
};

}  // namespace hawser::churn
