#include "membership/recovery_choice.hpp"

#include <algorithm>
#include <tuple>

namespace hawser {
namespace {

/// Alone in its view a member can have committed nothing that the others lack.
constexpr std::size_t kClaimsThatSupersede = 2;

struct Candidate {
  ViewMark mark;
  const View* view = nullptr;       ///< Null: its members are not known.
  std::size_t order = 0;
  std::vector<PeerId> claimed_by;   ///< Members of it, if these are known.
  std::vector<PeerId> unheard;      ///< Members of it that claim older views.
  std::vector<PeerId> ahead;        ///< Members of it that claim newer views which contradict nobody here.
  std::vector<const View*> newer;   ///< These views.

  std::size_t behind_it() const { return claimed_by.size() + ahead.size(); }
  auto weight() const { return std::tuple(behind_it(), mark.epoch, -static_cast<std::ptrdiff_t>(order)); }
  bool counts() const {
    return view != nullptr && !claimed_by.empty() && 2 * (behind_it() + unheard.size()) >= view->members.size();
  }
};

bool is_in(const View& view, const std::vector<PeerId>& peers) {
  return std::all_of(peers.begin(), peers.end(), [&](PeerId peer) { return view.find(peer) != nullptr; });
}

std::vector<Candidate> candidates_of(const std::vector<ViewClaim>& claims, const std::map<ViewMark, View>& views) {
  std::vector<Candidate> candidates;
  for (const ViewClaim& claim : claims) {
    auto found = std::find_if(candidates.begin(), candidates.end(),
                              [&](const Candidate& one) { return one.mark == claim.view; });
    if (found == candidates.end()) {
      Candidate one;
      one.mark = claim.view;
      if (const auto known = views.find(claim.view); known != views.end()) one.view = &known->second;
      one.order = candidates.size();
      candidates.push_back(std::move(one));
      found = candidates.end() - 1;
    }
    // Who claims a view that it is not in says nothing.
    if (found->view == nullptr || found->view->find(claim.peer) != nullptr) found->claimed_by.push_back(claim.peer);
  }
  for (Candidate& one : candidates) {
    if (one.view == nullptr) continue;
    for (const ViewClaim& claim : claims)
      if (claim.view.epoch < one.mark.epoch && one.view->find(claim.peer) != nullptr) one.unheard.push_back(claim.peer);
    for (const Candidate& other : candidates) {
      if (other.view == nullptr || other.mark.epoch <= one.mark.epoch) continue;
      if (!is_in(*other.view, one.claimed_by) || !is_in(*other.view, one.unheard)) continue;
      const std::size_t ahead = one.ahead.size();
      for (const PeerId peer : other.claimed_by)
        if (one.view->find(peer) != nullptr) one.ahead.push_back(peer);
      // A stranger's word tells nothing of who was lost.
      if (one.ahead.size() > ahead) one.newer.push_back(other.view);
    }
  }
  return candidates;
}

bool supersedes(const Candidate& newer, const Candidate& older) {
  return newer.counts() && older.view != nullptr && newer.mark.epoch > older.mark.epoch &&
         newer.claimed_by.size() >= kClaimsThatSupersede && is_in(*older.view, newer.claimed_by) &&
         std::find(older.newer.begin(), older.newer.end(), newer.view) == older.newer.end();
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
  ViewChoice choice{.view = best->mark, .survivors = {}, .complete = true};
  for (const ViewClaim& claim : claims)
    for (const auto* const of : {&best->claimed_by, &best->unheard, &best->ahead})
      if (std::find(of->begin(), of->end(), claim.peer) != of->end()) choice.survivors.push_back(claim.peer);
  for (const Member& member : best->view->members) {
    const bool is_back =
        std::find(choice.survivors.begin(), choice.survivors.end(), member.id) != choice.survivors.end();
    // The former master was about to tell that it had lost it.
    const bool is_lost = std::any_of(best->newer.begin(), best->newer.end(),
                                     [&](const View* view) { return view->find(member.id) == nullptr; });
    choice.complete = choice.complete && (is_back || is_lost);
  }
  for (const Candidate& one : candidates)
    if (one.view == nullptr && one.claimed_by.size() >= kClaimsThatSupersede) choice.complete = false;
  return choice;
}

}  // namespace hawser
