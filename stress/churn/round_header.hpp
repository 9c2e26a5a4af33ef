#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hawser::churn {

/// Floats in a header: so many for each possible rank.
inline constexpr std::size_t kHeaderSlotFloats = 22;

/// What a member says about itself at the start of a round.
struct HeaderEntry {
  std::uint64_t peer_id = 0;
  bool synced = false;        ///< Holds the run's state; the rest counts only if so.
  std::uint64_t lineage = 0;  ///< Which beginning the weights descend from.
  std::uint32_t step = 0;
  std::uint64_t digest = 0;  ///< Of the weights.
  /// The view of the last synchronisation; 0: the last one failed.
  std::uint64_t synced_epoch = 0;

  bool operator==(const HeaderEntry&) const = default;
};

/// Writes the entry into the slot of a rank; the other slots become zero. Each float is an integer below
/// 2^24, so that a sum over members is exact. `floats` holds kMembersMax slots.
void write_header(const HeaderEntry& entry, std::uint32_t rank, std::span<float> floats);

/// Reads the summed header of a view with these members (in rank order).
/// Returns one entry per member, or none if the slots don't belong to the members: then someone's rank had
/// changed between asking for it and the reduce, which all members see alike, as they read the same bits.
std::vector<HeaderEntry> read_header(std::span<const float> floats, std::span<const std::uint64_t> members);

/// What a round starts from. A pure function of what all members read, so that all come to the same.
struct RoundStart {
  /// Some member lacks the state, or it was synchronised in another view, or they disagree.
  bool sync_needed = false;
  bool any_newcomer = false;           ///< Some member lacks the state.
  std::vector<std::uint64_t> holders;  ///< Who holds it, by rank; if empty, the rest says nothing.
  std::uint64_t lineage = 0;
  std::uint32_t step = 0;
  std::uint64_t digest = 0;  ///< Of the weights.
  std::uint64_t epoch = 0;   ///< Of the header.
  /// Not empty: synced members disagree, which can never happen legally, and how.
  std::string disagreement;
};
RoundStart decide_round_start(std::span<const HeaderEntry> entries, std::uint64_t epoch);

}  // namespace hawser::churn
