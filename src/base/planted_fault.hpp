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
  lingering_member,      ///< Of several members that go in one change of a view a peer keeps the last, and does not notice.
  // One for each rule of what strangers and bad members may cost (docs/simulator.md).
  unproven_newcomer,     ///< Whoever waits is admitted, with links or without.
  lost_connection,       ///< A member whose connection to the master breaks is lost at once.
  fatal_message,         ///< A message that does not fit is a bug of the master, and not of its sender.
  borrowed_name,         ///< Whoever comes back under a member's id is that member, whatever its token.
  crowded_source,        ///< As many newcomers as like visit from one address.
  trusted_payload,       ///< Whoever says that a payload needs no checksum is believed.
};

#if defined(HAWSER_PLANTED_FAULTS) && HAWSER_PLANTED_FAULTS
inline PlantedFault planted_fault = PlantedFault::none;
inline bool planted(PlantedFault fault) { return planted_fault == fault; }
#else
constexpr bool planted(PlantedFault) { return false; }
#endif

}  // namespace hawser
