#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// Former members that have not come back to a master, and what those that have say of their links to them: one that has
/// died meanwhile is not waited for as long as one that lives.
namespace hawser {
namespace {

/// Between two looks at what members say of those who are missing.
constexpr Duration kMissingLookedAt = milliseconds(50);

}  // namespace

/// In order of arrival, without those that came with another one's key.
std::map<RunId, std::vector<std::pair<PeerId, const MasterMachine::State::Claim*>>> MasterMachine::State::claims_by_run(
    const Recovery& recovery) const {
  std::map<RunId, std::vector<std::pair<PeerId, const Claim*>>> by_run;
  const auto add = [&](const std::map<PeerId, Claim>& claims, bool are_here) {
    for (const auto& [id, one] : claims) {
      const auto presented = recovery.views.find(one.resume.view);
      const Member* const as_presented = presented == recovery.views.end() ? nullptr : presented->second.find(id);
      if (are_here && as_presented != nullptr && as_presented->key != peers_.at(id).who.key) continue;
      if (are_here || !recovery.claims.contains(id)) by_run[one.resume.run].emplace_back(id, &one);
    }
  };
  add(recovery.claims, true);
  add(recovery.left, false);
  for (auto& [run, claims] : by_run)
    std::sort(claims.begin(), claims.end(),
              [](const auto& a, const auto& b) { return a.second->arrival < b.second->arrival; });
  return by_run;
}

void MasterMachine::State::links_of_claim(Instant now, Claim& claim, const Linked& message) {
  claim.told_links = true;
  if (message.all) {
    claim.up.clear();
    claim.down.clear();
  }
  for (const PeerId to : message.up) {
    if (claim.up.size() < limits::kGroupSizeMax) claim.up.insert(to);
    claim.down.erase(to);
  }
  const std::set<PeerId> refused(message.refused.begin(), message.refused.end());
  for (const PeerId to : message.down) {
    claim.up.erase(to);
    if (claim.down.size() < limits::kGroupSizeMax) claim.down[to] = {.at = now, .refused = refused.contains(to)};
  }
}

/// However much those who are back say of the others: that is looked at now and then.
bool MasterMachine::State::looks_at_missing(Instant now) {
  const Instant next = recovering_->looked_at ? *recovering_->looked_at + kMissingLookedAt : now;
  if (now < next) {
    recovering_->look_at = earlier(recovering_->look_at, next);
    return false;
  }
  recovering_->looked_at = now;
  return true;
}

/// When the last member of this view is waited for no longer that is not back; none: all are.
std::optional<Instant> MasterMachine::State::given_up_at(const Recovery& recovery, const View& view) const {
  std::optional<Instant> last;
  for (std::uint32_t rank = 0; rank < view.size(); ++rank) {
    const PeerId id = view.members[rank].id;
    if (recovery.claims.contains(id) || recovery.left.contains(id)) continue;
    const Instant due = given_up_at(recovery, view, rank);
    last = last ? std::max(*last, due) : due;
  }
  return last;
}

/// One that has died while there was no master has no links any more, and whoever dials it is refused. One whose links
/// are established lives, and has all the time that there is.
Instant MasterMachine::State::given_up_at(const Recovery& recovery, const View& view, std::uint32_t rank) const {
  const PeerId id = view.members[rank].id;
  std::uint32_t links = 0;
  std::uint32_t told = 0;
  std::uint32_t up = 0;
  std::uint32_t refused = 0;
  std::set<Instant> down;
  std::uint32_t downs = 0;
  for (std::uint32_t other = 0; other < view.size(); ++other) {
    if (other == rank || !config_.links.has_link(rank, other, view.size())) continue;
    ++links;
    const auto claim = recovery.claims.find(view.members[other].id);
    if (claim == recovery.claims.end() || !claim->second.told_links) continue;
    ++told;
    if (claim->second.up.contains(id)) ++up;
    const auto broken = claim->second.down.find(id);
    if (broken == claim->second.down.end()) continue;
    ++downs;
    refused += broken->second.refused ? 1 : 0;
    down.insert(broken->second.at);
  }
  const Instant latest = recovering_->began + config_.recovery;
  if (2 * told >= links && 2 * downs > told)
    return std::min(latest, *down.rbegin() + patience_with({.down = downs, .refused = refused}));
  if (2 * up > told) return latest;
  return recovering_->began + std::min(config_.silence, config_.recovery);
}

}  // namespace hawser
