#include "membership/recovery_choice.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_set>

namespace hawser {
namespace {

/// Alone in its view a member can have committed nothing that the others lack.
constexpr std::size_t kClaimsThatSupersede = 2;

using Peers = std::unordered_set<PeerId>;

struct Candidate {
  ViewMark mark;
  const View* view = nullptr;       ///< Null: its members are not known.
  Peers members;
  std::size_t order = 0;
  std::vector<PeerId> claimed_by;   ///< Members of it, if these are known.
  std::vector<PeerId> unheard;      ///< Members of it that claim older views.
  std::vector<PeerId> ahead;        ///< Members of it that claim newer views which contradict nobody here.
  std::vector<const Candidate*> newer;  ///< These views.

  std::size_t behind_it() const { return claimed_by.size() + ahead.size(); }
  auto weight() const { return std::tuple(behind_it(), mark.epoch, -static_cast<std::ptrdiff_t>(order)); }
  bool counts() const {
    return view != nullptr && !claimed_by.empty() && 2 * (behind_it() + unheard.size()) >= members.size();
  }
  /// Its members are known, and these are among them.
  bool has(const std::vector<PeerId>& peers) const {
    return std::all_of(peers.begin(), peers.end(), [this](PeerId peer) { return members.contains(peer); });
  }
};

std::vector<Candidate> candidates_of(const std::vector<ViewClaim>& claims, const std::map<ViewMark, View>& views) {
  std::vector<Candidate> candidates;
  std::map<ViewMark, std::size_t> places;
  for (const ViewClaim& claim : claims) {
    const auto [place, fresh] = places.try_emplace(claim.view, candidates.size());
    if (fresh) {
      Candidate& one = candidates.emplace_back();
      one.mark = claim.view;
      one.order = place->second;
      if (const auto known = views.find(claim.view); known != views.end()) {
        one.view = &known->second;
        for (const Member& member : one.view->members)
          if (!member.is_relay) one.members.insert(member.id);
      }
    }
    // Who claims a view that it is not in says nothing.
    Candidate& one = candidates[place->second];
    if (one.view == nullptr || one.members.contains(claim.peer)) one.claimed_by.push_back(claim.peer);
  }
  for (Candidate& one : candidates) {
    if (one.view == nullptr) continue;
    for (const ViewClaim& claim : claims)
      if (claim.view.epoch < one.mark.epoch && one.members.contains(claim.peer)) one.unheard.push_back(claim.peer);
    for (const Candidate& other : candidates) {
      if (other.view == nullptr || other.mark.epoch <= one.mark.epoch) continue;
      if (!other.has(one.claimed_by) || !other.has(one.unheard)) continue;
      const std::size_t ahead = one.ahead.size();
      for (const PeerId peer : other.claimed_by)
        if (one.members.contains(peer)) one.ahead.push_back(peer);
      // A stranger's word tells nothing of who was lost.
      if (one.ahead.size() > ahead) one.newer.push_back(&other);
    }
  }
  return candidates;
}

bool supersedes(const Candidate& newer, const Candidate& older) {
  return newer.counts() && older.view != nullptr && newer.mark.epoch > older.mark.epoch &&
         newer.claimed_by.size() >= kClaimsThatSupersede && older.has(newer.claimed_by) &&
         std::find(older.newer.begin(), older.newer.end(), &newer) == older.newer.end();
}

}  // namespace

ViewChoice choose_view(const std::vector<ViewClaim>& claims, const std::map<ViewMark, View>& views) {
  const std::vector<Candidate> candidates = candidates_of(claims, views);
  const Candidate* best = nullptr;
  for (const Candidate& one : candidates) {
    if (!one.counts()) continue;
    if (std::any_of(candidates.begin(), candidates.end(),
                    [&](const Candidate& other) { return supersedes(other, one); }))
      continue;
    if (best == nullptr || best->weight() < one.weight()) best = &one;
  }
  if (best == nullptr) return {};
  Peers going_on;
  for (const auto* const some : {&best->claimed_by, &best->unheard, &best->ahead})
    going_on.insert(some->begin(), some->end());
  ViewChoice choice{.view = best->mark, .survivors = {}, .complete = true};
  for (const ViewClaim& claim : claims)
    if (going_on.contains(claim.peer)) choice.survivors.push_back(claim.peer);
  for (const PeerId member : best->members) {
    // The former master was about to tell that it had lost it.
    const bool is_lost = std::any_of(best->newer.begin(), best->newer.end(),
                                     [&](const Candidate* newer) { return !newer->members.contains(member); });
    choice.complete = choice.complete && (going_on.contains(member) || is_lost);
  }
  for (const Candidate& one : candidates)
    if (one.view == nullptr && one.claimed_by.size() >= kClaimsThatSupersede) choice.complete = false;
  return choice;
}

ViewChoice choose_newest_view(const std::vector<ViewClaim>& claims, const std::map<ViewMark, View>& views) {
  ViewChoice choice;
  for (const ViewClaim& claim : claims) {
    const auto known = views.find(claim.view);
    if (known == views.end() || !known->second.find(claim.peer)) continue;
    if (!choice.view || claim.view > *choice.view) choice.view = claim.view;
  }
  if (!choice.view) return choice;
  const View& view = views.at(*choice.view);
  for (const ViewClaim& claim : claims)
    if (view.find(claim.peer)) choice.survivors.push_back(claim.peer);
  return choice;
}

}  // namespace hawser
