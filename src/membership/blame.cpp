#include "membership/blame.hpp"

#include <algorithm>
#include <tuple>

namespace hawser {
namespace {

struct Suspect {
  bool complains = false;
  std::uint32_t mutual = 0;
  std::uint32_t accusers = 0;
  Instant since = Instant::max();
  std::uint32_t rank = 0;

  /// The greater, the more suspect.
  auto weight() const { return std::tuple(!complains, mutual, accusers, -since.time_since_epoch().count(), rank); }
};

bool accuses(const Grievance& grievance, PeerId whom) {
  return std::find(grievance.waiting_for.begin(), grievance.waiting_for.end(), whom) != grievance.waiting_for.end();
}

}  // namespace

std::optional<Member> blame(const View& view, const std::map<PeerId, Grievance>& grievances,
                            const std::vector<PeerId>& called) {
  std::map<PeerId, Suspect> suspects;
  for (const auto& [accuser, grievance] : grievances) {
    if (!view.find(accuser)) continue;
    for (const PeerId accused : grievance.waiting_for) {
      const auto rank = view.rank_of(accused);
      if (!rank || accused == accuser || std::find(called.begin(), called.end(), accused) == called.end())
        continue;
      Suspect& suspect = suspects[accused];
      const auto own = grievances.find(accused);
      suspect.complains = own != grievances.end() && !own->second.waiting_for.empty();
      ++suspect.accusers;
      if (suspect.complains && accuses(own->second, accuser)) ++suspect.mutual;
      suspect.since = std::min(suspect.since, grievance.since);
      suspect.rank = *rank;
    }
  }
  const auto worst = std::max_element(suspects.begin(), suspects.end(), [](const auto& a, const auto& b) {
    return a.second.weight() < b.second.weight();
  });
  if (worst == suspects.end()) return std::nullopt;
  return view.members[worst->second.rank];
}

}  // namespace hawser
