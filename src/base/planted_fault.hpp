#pragma once

namespace hawser {

/// Bugs planted on purpose, to prove that the simulator finds them. They exist only in builds with
/// HAWSER_PLANTED_FAULTS; elsewhere planted() is a constant false.
enum class PlantedFault {
  none,
  lost_abort,            ///< A peer forgets to abort a collective when a view starts.
  double_counted_chunk,  ///< A repeated chunk is added again.
  stale_commit,          ///< A report of an older view counts towards a commit in the view in force.
  torn_slice,            ///< A slice that was half received when a transfer broke off counts as untouched.
};

#if defined(HAWSER_PLANTED_FAULTS) && HAWSER_PLANTED_FAULTS
inline PlantedFault planted_fault = PlantedFault::none;
inline bool planted(PlantedFault fault) { return planted_fault == fault; }
#else
constexpr bool planted(PlantedFault) { return false; }
#endif

}  // namespace hawser
