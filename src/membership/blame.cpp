#include "membership/blame.hpp"

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <unordered_map>

namespace hawser {
namespace {

/// One member's grievance by ranks, in order and each once.
struct RankedGrievance {
  Instant since;
  bool waits = false;  ///< For anybody, be it nobody of the view.
  std::vector<std::uint32_t> waiting_for;
  std::vector<std::uint32_t> unresponsive;
};

struct Suspect {
  std::uint32_t unresponsive = 0;  ///< For so many.
  bool complains = false;
  std::uint32_t mutual = 0;
  std::uint32_t accusers = 0;
  Instant since = Instant::max();
  std::uint32_t rank = 0;

  bool is_accused() const { return accusers + unresponsive > 0; }
  /// The greater, the more suspect.
  auto weight() const {
    return std::tuple(unresponsive, !complains, mutual, accusers, -since.time_since_epoch().count(), rank);
  }
};

using Ranks = std::unordered_map<PeerId, std::uint32_t>;

std::vector<std::uint32_t> in_order(const Ranks& ranks, const std::vector<PeerId>& peers) {
  std::vector<std::uint32_t> those;
  for (const PeerId peer : peers)
    if (const auto rank = ranks.find(peer); rank != ranks.end()) those.push_back(rank->second);
  std::sort(those.begin(), those.end());
  those.erase(std::unique(those.begin(), those.end()), those.end());
  return those;
}

bool contains(const std::vector<std::uint32_t>& in_order, std::uint32_t rank) {
  return std::binary_search(in_order.begin(), in_order.end(), rank);
}

std::map<std::uint32_t, RankedGrievance> by_rank(const Ranks& ranks, const std::map<PeerId, Grievance>& grievances) {
  std::map<std::uint32_t, RankedGrievance> ranked;
  for (const auto& [accuser, grievance] : grievances)
    if (const auto rank = ranks.find(accuser); rank != ranks.end())
      ranked[rank->second] = {.since = grievance.since,
                             .waits = !grievance.waiting_for.empty(),
                             .waiting_for = in_order(ranks, grievance.waiting_for),
                             .unresponsive = in_order(ranks, grievance.unresponsive)};
  return ranked;
}

}  // namespace

std::optional<Member> blame(const View& view, const std::map<PeerId, Grievance>& grievances,
                            const std::vector<PeerId>& called) {
  if (grievances.empty()) return std::nullopt;
  Ranks ranks;
  for (std::uint32_t rank = 0; rank < view.nodes(); ++rank) ranks.emplace(view.members[rank].id, rank);
  std::vector<bool> has_called(view.nodes());
  for (const std::uint32_t rank : in_order(ranks, called)) has_called[rank] = true;
  const std::map<std::uint32_t, RankedGrievance> ranked = by_rank(ranks, grievances);
  std::vector<Suspect> suspects(view.nodes());
  for (const auto& [accuser, grievance] : ranked) {
    const auto accused_by = [&, accuser = accuser, since = grievance.since](std::uint32_t rank) -> Suspect* {
      if (rank == accuser || !has_called[rank]) return nullptr;
      Suspect& suspect = suspects[rank];
      suspect.rank = rank;
      suspect.since = std::min(suspect.since, since);
      return &suspect;
    };
    for (const std::uint32_t rank : grievance.unresponsive)
      if (Suspect* const suspect = accused_by(rank)) ++suspect->unresponsive;
    for (const std::uint32_t rank : grievance.waiting_for)
      if (Suspect* const suspect = accused_by(rank)) {
        ++suspect->accusers;
        const auto own = ranked.find(rank);
        suspect->complains = own != ranked.end() && own->second.waits;
        if (suspect->complains && contains(own->second.waiting_for, accuser)) ++suspect->mutual;
      }
  }
  const Suspect* worst = nullptr;
  for (const Suspect& suspect : suspects)
    if (suspect.is_accused() && (worst == nullptr || worst->weight() < suspect.weight())) worst = &suspect;
  if (worst == nullptr) return std::nullopt;
  return view.members[worst->rank];
}

std::vector<Member> cut_off(const View& view, const std::map<PeerId, Grievance>& grievances) {
  Ranks ranks;
  for (std::uint32_t rank = 0; rank < view.size(); ++rank) ranks.emplace(view.members[rank].id, rank);
  const std::map<std::uint32_t, RankedGrievance> ranked = by_rank(ranks, grievances);
  const auto says_dead = [&](std::uint32_t from, std::uint32_t to) {
    const auto own = ranked.find(from);
    return own != ranked.end() && contains(own->second.unresponsive, to);
  };
  constexpr std::uint32_t kNone = 0xffffffff;
  std::vector<std::uint32_t> part_of(view.size(), kNone);
  std::vector<std::uint32_t> sizes;
  for (std::uint32_t first = 0; first < view.size(); ++first) {
    if (part_of[first] != kNone) continue;
    const auto part = static_cast<std::uint32_t>(sizes.size());
    std::vector<std::uint32_t> found{first};
    part_of[first] = part;
    for (std::size_t at = 0; at < found.size(); ++at)
      for (std::uint32_t other = 0; other < view.size(); ++other) {
        if (part_of[other] != kNone || (says_dead(found[at], other) && says_dead(other, found[at]))) continue;
        part_of[other] = part;
        found.push_back(other);
      }
    sizes.push_back(static_cast<std::uint32_t>(found.size()));
  }
  // The first of the largest: parts are in the order of their lowest ranks.
  const auto stays = static_cast<std::uint32_t>(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
  std::vector<Member> others;
  for (std::uint32_t rank = 0; rank < view.size(); ++rank)
    if (part_of[rank] != stays) others.push_back(view.members[rank]);
  return others;
}

}  // namespace hawser
