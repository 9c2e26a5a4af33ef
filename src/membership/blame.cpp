#include "membership/blame.hpp"

#include <algorithm>
#include <tuple>

namespace hawser {
namespace {

struct Suspect {
  std::uint32_t unresponsive = 0;  ///< For so many.
  bool complains = false;
  std::uint32_t mutual = 0;
  std::uint32_t accusers = 0;
  Instant since = Instant::max();
  std::uint32_t rank = 0;

  /// The greater, the more suspect.
  auto weight() const {
    return std::tuple(unresponsive, !complains, mutual, accusers, -since.time_since_epoch().count(), rank);
  }
};

bool contains(const std::vector<PeerId>& peers, PeerId whom) {
  return std::find(peers.begin(), peers.end(), whom) != peers.end();
}

}  // namespace

std::optional<Member> blame(const View& view, const std::map<PeerId, Grievance>& grievances,
                            const std::vector<PeerId>& called) {
  std::map<PeerId, Suspect> suspects;
  for (const auto& [accuser, grievance] : grievances) {
    if (!view.find(accuser)) continue;
    for (const Member& accused : view.members) {
      const bool waited_for = contains(grievance.waiting_for, accused.id);
      const bool unresponsive = contains(grievance.unresponsive, accused.id);
      if (accused.id == accuser || !contains(called, accused.id) || !(waited_for || unresponsive)) continue;
      Suspect& suspect = suspects[accused.id];
      suspect.rank = *view.rank_of(accused.id);
      suspect.unresponsive += unresponsive ? 1 : 0;
      suspect.since = std::min(suspect.since, grievance.since);
      if (!waited_for) continue;
      ++suspect.accusers;
      const auto own = grievances.find(accused.id);
      suspect.complains = own != grievances.end() && !own->second.waiting_for.empty();
      if (suspect.complains && contains(own->second.waiting_for, accuser)) ++suspect.mutual;
    }
  }
  const auto worst = std::max_element(suspects.begin(), suspects.end(), [](const auto& a, const auto& b) {
    return a.second.weight() < b.second.weight();
  });
  if (worst == suspects.end()) return std::nullopt;
  return view.members[worst->second.rank];
}

}  // namespace hawser
