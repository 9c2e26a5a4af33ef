#include "membership/majority.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"

namespace hawser {
namespace {

bool is_enough(std::size_t here, std::size_t of) { return 2 * here > of || planted(PlantedFault::eager_standby); }

struct Claimed {
  ViewMark mark;
  const View* view = nullptr;
  std::set<PeerId> members;
  std::size_t of = 0;           ///< Members, without those that said good-bye.
  std::size_t here = 0;         ///< Members with any claim.
  std::size_t claimed_by = 0;
  std::size_t held_by = 0;      ///< Of these, those who say that it is held.
  std::vector<Kept> kept{};     ///< What it must keep, as the others say.
  bool never_held = false;      ///< A member of it here claims an older one.
  bool has_majority(bool half_is_enough = false) const {
    return is_enough(here, of) || (half_is_enough && 2 * here >= of);
  }
};

std::size_t count_of(const std::set<PeerId>& some, const std::set<PeerId>& all) {
  return static_cast<std::size_t>(
      std::count_if(some.begin(), some.end(), [&](PeerId peer) { return all.contains(peer); }));
}

std::string so_many_of(std::size_t here, std::size_t of, Epoch epoch) {
  return std::to_string(here) + " of " + std::to_string(of) + " members of the view at epoch " +
         std::to_string(epoch.value) + " are here, and more than half are needed";
}

void add(std::vector<Kept>& all, const Kept& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

std::vector<Claimed> views_of(const std::vector<MajorityClaim>& claims, const std::map<ViewMark, View>& views,
                              const std::set<PeerId>& left) {
  std::vector<Claimed> claimed;
  for (const auto& [mark, view] : views) {
    Claimed one{.mark = mark, .view = &view, .members = {}};
    for (const Member& member : view.members)
      if (!member.is_relay) one.members.insert(member.id);
    one.of = one.members.size() - count_of(left, one.members);
    for (const MajorityClaim& claim : claims) {
      if (!one.members.contains(claim.peer)) continue;
      ++one.here;
      one.never_held = one.never_held || claim.view.epoch < mark.epoch;
      if (claim.view != mark) continue;
      ++one.claimed_by;
      one.held_by += claim.quorums.empty() ? 1 : 0;
      for (Kept& kept : as_kept(claim.quorums, view)) {
        kept.of -= std::min(kept.of, count_of(left, kept.left));
        add(one.kept, kept);
      }
    }
    // What most of them say: one that says so alone could be wrong.
    if (2 * one.held_by > one.claimed_by && !one.never_held) one.kept.clear();
    if (one.claimed_by > 0) claimed.push_back(std::move(one));
  }
  // The newest first.
  std::sort(claimed.begin(), claimed.end(), [](const Claimed& a, const Claimed& b) { return a.mark > b.mark; });
  return claimed;
}

/// Of those here who have started this view or a later one: as many as are surely not one and the same.
std::size_t backers_of(const Claimed& one, const std::vector<MajorityClaim>& claims) {
  std::set<KeyId> keys;
  std::size_t without_key = 0;
  for (const MajorityClaim& claim : claims) {
    const Member* const member = one.view->find(claim.peer);
    if (member == nullptr || claim.view.epoch < one.mark.epoch) continue;
    if (member->key == KeyId{})
      ++without_key;
    else
      keys.insert(member->key);
  }
  return without_key + keys.size();
}

/// Once a view is held, nobody goes on from one before it: a member that still claims one was left behind, and keeps
/// nobody from going on. That this is so more of them say than half of that view: no few make it up.
void forget_left_behind(std::vector<Claimed>& claimed, const std::vector<MajorityClaim>& claims) {
  const auto held = std::find_if(claimed.begin(), claimed.end(), [](const Claimed& one) {
    return one.kept.empty() && !one.never_held && one.has_majority();
  });
  if (held == claimed.end()) return;
  const std::size_t backers = backers_of(*held, claims);
  const Epoch newest = held->mark.epoch;
  std::erase_if(claimed, [&](const Claimed& one) { return one.mark.epoch < newest && 2 * backers > one.members.size(); });
}

/// Of the view with those members of this one who are here: none, if it does not keep enough of all that it must.
std::optional<Footing> footing_from(const Claimed& base, std::vector<Kept> kept, const std::set<PeerId>& here,
                                    bool half_is_enough) {
  const Kept of_base{.left = base.members, .of = base.of};
  add(kept, of_base);
  for (const Kept& former : base.kept) add(kept, former);
  Footing footing{.is_held = false, .is_own = false};
  for (const Kept& one : kept) {
    Kept rest{.left = {}, .of = one.of};
    for (const PeerId peer : one.left)
      if (base.members.contains(peer) && here.contains(peer)) rest.left.insert(peer);
    const bool is_half = half_is_enough && one == of_base && 2 * rest.left.size() >= rest.of;
    if (!is_half && !is_enough(rest.left.size(), rest.of)) return std::nullopt;
    add(footing.kept, rest);
  }
  if (footing.kept.size() > limits::kQuorumsMax) return std::nullopt;
  return footing;
}

}  // namespace

std::vector<Quorum> as_quorums(const std::vector<Kept>& kept, const View& view) {
  std::vector<Quorum> quorums;
  for (const Kept& one : kept) {
    Quorum quorum{.ranks = {}, .of = static_cast<std::uint32_t>(one.of)};
    for (std::uint32_t rank = 0; rank < view.size(); ++rank)
      if (one.left.contains(view.members[rank].id)) quorum.ranks.push_back(rank);
    quorums.push_back(std::move(quorum));
  }
  return quorums;
}

std::vector<Kept> as_kept(const std::vector<Quorum>& quorums, const View& view) {
  std::vector<Kept> kept;
  for (const Quorum& quorum : quorums) {
    Kept one{.left = {}, .of = quorum.of};
    for (const std::uint32_t rank : quorum.ranks)
      if (rank < view.size()) one.left.insert(view.members[rank].id);
    kept.push_back(std::move(one));
  }
  return kept;
}

Footing footing_after(const Footing& footing, const View& view, const std::set<PeerId>& gone) {
  Footing next{.is_held = false, .is_own = footing.is_own, .kept = footing.kept};
  if (footing.is_held) {
    next.is_own = true;
    Kept all{.left = {}, .of = view.size()};
    for (const Member& member : view.members)
      if (!member.is_relay) all.left.insert(member.id);
    next.kept = {std::move(all)};
  }
  for (Kept& kept : next.kept) {
    const std::size_t said_goodbye = count_of(gone, kept.left);
    kept.of -= std::min(said_goodbye, kept.of);
    for (const PeerId peer : gone) kept.left.erase(peer);
  }
  return next;
}

bool may_go_on(const Footing& next, const std::vector<Member>& members) {
  return std::all_of(next.kept.begin(), next.kept.end(), [&](const Kept& kept) {
    const auto here = static_cast<std::size_t>(std::count_if(
        members.begin(), members.end(), [&](const Member& member) { return kept.left.contains(member.id); }));
    return next.is_own ? 2 * here >= kept.of : 2 * here > kept.of;
  });
}

MajorityChoice choose_by_majority(const std::vector<MajorityClaim>& claims, const std::map<ViewMark, View>& views,
                                  const std::set<PeerId>& left, bool half_is_enough) {
  MajorityChoice choice;
  const auto wait = [&](std::string why) {
    choice.lacking = std::move(why);
    return choice;
  };
  std::set<PeerId> here;
  for (const MajorityClaim& claim : claims) {
    if (!views.contains(claim.view)) return wait("a member has not told its view yet");
    here.insert(claim.peer);
  }
  std::vector<Claimed> claimed = views_of(claims, views, left);
  forget_left_behind(claimed, claims);
  if (claimed.empty()) return wait("no member of a view is here");
  std::vector<Kept> kept;
  for (const Claimed& one : claimed) {
    if (!one.has_majority(half_is_enough) && !one.never_held) return wait(so_many_of(one.here, one.of, one.mark.epoch));
    // Of one that was never held they count only where it is gone on from: an older one is claimed then.
    if (one.never_held) continue;
    for (const Kept& former : one.kept) {
      const std::size_t back = count_of(former.left, here);
      if (!is_enough(back, former.of))
        return wait(so_many_of(back, former.of, one.mark.epoch) + ", of the members that the run had before");
      add(kept, former);
    }
    add(kept, {.left = one.members, .of = one.of});
  }
  for (const Claimed& base : claimed) {
    if (!base.has_majority(half_is_enough)) continue;
    if (auto footing = footing_from(base, kept, here, half_is_enough)) {
      choice.view = base.mark;
      choice.footing = std::move(*footing);
      for (const MajorityClaim& claim : claims)
        if (base.members.contains(claim.peer)) choice.survivors.push_back(claim.peer);
      return choice;
    }
  }
  return wait("those who are here are too few of one view that all of them were in");
}

}  // namespace hawser
