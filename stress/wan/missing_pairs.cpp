#include "wan/missing_pairs.hpp"

#include <algorithm>
#include <utility>

#include "base/random.hpp"

namespace hawser::wan {

void cut_pairs(Spec& spec, std::uint32_t percent) {
  std::vector<std::pair<HostIndex, HostIndex>> pairs;
  for (HostIndex a = 1; a < spec.host_count(); ++a)
    for (HostIndex b = a + 1; b < spec.host_count(); ++b) pairs.emplace_back(a, b);
  const std::size_t all = std::size_t{spec.host_count()} * (spec.host_count() - 1) / 2;
  const std::size_t cut = std::min(pairs.size(), (all * percent + 50) / 100);
  Random random(spec.seed);
  PathChange change;
  change.outage = true;
  for (std::size_t i = 0; i < cut; ++i) {
    std::swap(pairs[i], pairs[i + random.below(pairs.size() - i)]);
    change.pairs.push_back(pairs[i]);
    change.pairs.emplace_back(pairs[i].second, pairs[i].first);
  }
  if (cut > 0) spec.events.insert(spec.events.begin(), {.at = {}, .change = std::move(change)});
}

bool is_cut(const Spec& spec, HostIndex a, HostIndex b) {
  for (const Event& event : spec.events) {
    if (event.at > Duration{}) break;
    const auto* const change = std::get_if<PathChange>(&event.change);
    if (change != nullptr && change->outage.value_or(false) &&
        std::ranges::find(change->pairs, std::pair(a, b)) != change->pairs.end())
      return true;
  }
  return false;
}

}  // namespace hawser::wan
