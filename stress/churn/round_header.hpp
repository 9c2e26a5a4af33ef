#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hawser::churn {

/// Floats in a header: so many for each possible rank.
inline constexpr std::size_t kHeaderSlotFloats = 18;

/// What a member says about itself at the start of a round.
struct HeaderEntry {
  std::uint64_t peer_id = 0;
  bool synced = false;        ///< Holds the run's weights; the rest counts only if so.
  std::uint64_t lineage = 0;  ///< Which beginning the weights descend from.
  std::uint32_t step = 0;
  std::uint64_t digest = 0;  ///< Of the weights.

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
  bool sync_needed = false;    ///< Some member lacks the weights (or they disagree).
  std::uint64_t donor_id = 0;  ///< Whose weights everybody gets then.
  bool donor_synced = false;   ///< Else nobody had any, and the donor makes new ones.
  std::uint64_t lineage = 0;
  std::uint32_t step = 0;
  std::uint64_t digest = 0;  ///< Of the donor's weights, if it is synced.
  /// Not empty: synced members disagree, which can never happen legally, and how.
  std::string disagreement;
};
RoundStart decide_round_start(std::span<const HeaderEntry> entries, std::uint64_t epoch);

}  // namespace hawser::churn
