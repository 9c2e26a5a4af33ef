#pragma once

#include <cstdint>
#include <vector>

#include "hawser.h"
#include "mixed_values.hpp"

namespace hawser::churn {

/// One collective of the mixed phase.
struct MixedCall {
  std::uint64_t key = 0;  ///< Mixed into the values.
  std::uint64_t tag = 0;
  std::uint64_t count = 1;
  hawserDataType_t type = hawserFloat32;
  hawserReduceOp_t op = hawserSum;
  hawserPlan_t plan = hawserPlanAuto;
  hawserQuantization_t quantization{};
  bool residual = false;  ///< With error feedback: count is kResidualElements then.
  bool in_place = false;
  bool compressible = false;  ///< About half of the members compress.

  ValueRule rule() const { return {.key = key, .type = type, .op = op, .count = count, .roster = {}}; }
  bool quantised() const { return quantization.scheme != hawserQuantizeNone; }
  /// Compression need not be the same on all members, so it isn't.
  bool compressed_by(std::uint64_t peer_id) const;
};

/// A list for hawserAllReduceMany. The calls share op, plan and quantisation (which floats alone have).
struct MixedList {
  std::vector<MixedCall> tensors;
  std::uint64_t first_tag = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t fuse_bytes = 0;
};

enum class GroupKind : std::uint8_t { broadcast, all_gather, reduce_scatter, barrier };

/// What all members do together after a step, besides the checked sums.
struct MixedRound {
  bool threads = false;         ///< Else all tags from one thread, with handles.
  std::vector<MixedCall> tags;  ///< All-reduces that are in flight at once.
  GroupKind group = GroupKind::barrier;
  MixedCall group_call;
  MixedList list;  ///< Empty in most rounds.
};

/// A tensor with error feedback has always so many elements.
inline constexpr std::uint64_t kResidualElements = 3001;

struct MixedRule {
  std::uint64_t lineage = 0;
  std::uint32_t step = 0;
  std::uint32_t tags = 8;
  std::uint64_t elements_max = 200'000;  ///< Five times as many now and then.
};

/// The same for all members that agree on lineage and step.
MixedRound choose_mixed_round(const MixedRule& rule);

}  // namespace hawser::churn
