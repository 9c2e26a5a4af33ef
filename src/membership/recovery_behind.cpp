#include <algorithm>
#include <iterator>
#include <utility>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// Who cannot go on with the rest of a run that is taken up, by the outcomes that its members tell.
namespace hawser {

/// Members that lack the result of a collective which others know as committed: the former master had lost them when it
/// committed that, and nobody lived to tell.
MasterMachine::State::Behind MasterMachine::State::members_behind(const View& base, const Recovery& recovery) const {
  std::set<OpKey> committed;
  for (const auto& [peer, claim] : recovery.claims)
    if (base.find(peer) && claim.outcomes)
      committed.insert(claim.outcomes->committed.begin(), claim.outcomes->committed.end());
  Behind behind;
  for (const auto& [peer, claim] : recovery.claims)
    if (claim.outcomes)
      for (const UndecidedOp& op : claim.outcomes->undecided)
        if (!op.reported && committed.contains(op.key)) behind.lacking.insert(peer);
  if (!config_.has_others) return behind;
  std::map<ViewId, const View*> presented;
  for (const auto& [mark, view] : recovery.views) presented[view.id] = &view;
  std::map<ViewId, Epoch> decided_in;
  for (const auto& [peer, claim] : recovery.claims) {
    if (!claim.outcomes) continue;
    // Each view is compared among all: a member that makes up thousands of commits shall add few of them.
    const std::set<ViewId> started(claim.outcomes->views.begin(), claim.outcomes->views.end());
    for (const OpKey& key : claim.outcomes->committed)
      if (started.contains(key.view) || presented.contains(key.view)) decided_in.emplace(key.view, key.epoch);
  }
  for (const auto& [id, epoch] : decided_in) {
    const auto known = presented.find(id);
    if (known != presented.end())
      find_contradictions(id, known->second->epoch, known->second, recovery, behind);
    else
      find_contradictions(id, epoch, nullptr, recovery, behind);
  }
  return behind;
}

/// Two masters may have gone on from one view, and one has committed what the other one ended with an error. Those who
/// were told the one cannot go on with those who were told the other. The fewer of them go, so that one alone decides
/// nothing; of as many the ones with the error, since a commit needs more members than an error.
/// Of a view that nobody is in any more the members are not known: those count that say that they have started it.
void MasterMachine::State::find_contradictions(const ViewId& id, Epoch epoch, const View* view,
                                               const Recovery& recovery, Behind& behind) {
  /// What one knows of collectives of the view, in order.
  struct Known {
    PeerId peer;
    bool knows_all = false;  ///< That were committed: the view is over for it, and it has forgotten none.
    std::vector<OpKey> committed;
    std::vector<OpKey> reported;
  };
  std::vector<Known> members;
  bool some_know_all = false;
  for (const auto& [peer, claim] : recovery.claims) {
    if (!claim.outcomes) continue;
    const std::vector<ViewId>& started = claim.outcomes->views;
    const bool was_in = view != nullptr ? view->find(peer) != nullptr
                                        : std::find(started.begin(), started.end(), id) != started.end();
    if (!was_in) continue;
    Known known{.peer = peer};
    const std::vector<OpKey>& committed = claim.outcomes->committed;
    std::copy_if(committed.begin(), committed.end(), std::back_inserter(known.committed),
                 [&](const OpKey& key) { return key.view == id; });
    std::sort(known.committed.begin(), known.committed.end());
    for (const UndecidedOp& op : claim.outcomes->undecided)
      if (op.reported && op.key.view == id) known.reported.push_back(op.key);
    const bool may_have_forgotten =
        committed.size() >= limits::kOutcomesRememberedMax &&
        std::none_of(committed.begin(), committed.end(), [&](const OpKey& key) { return key.epoch < epoch; });
    known.knows_all = claim.resume.view.epoch > epoch && !may_have_forgotten;
    some_know_all = some_know_all || known.knows_all;
    members.push_back(std::move(known));
  }
  if (!some_know_all) return;
  const auto has = [](const std::vector<OpKey>& keys, const OpKey& key) {
    return std::binary_search(keys.begin(), keys.end(), key);
  };
  std::vector<OpKey> committed;
  for (const Known& one : members) committed.insert(committed.end(), one.committed.begin(), one.committed.end());
  std::sort(committed.begin(), committed.end());
  committed.erase(std::unique(committed.begin(), committed.end()), committed.end());
  std::set<OpKey> disputed;
  for (const Known& one : members)
    if (one.knows_all)
      std::set_difference(committed.begin(), committed.end(), one.committed.begin(), one.committed.end(),
                          std::inserter(disputed, disputed.end()));
  for (const OpKey& key : disputed) {
    std::set<PeerId> with_commit;
    std::set<PeerId> with_error;
    std::size_t reported = 0;
    for (const Known& one : members) {
      if (has(one.committed, key))
        with_commit.insert(one.peer);
      else if (one.knows_all)
        with_error.insert(one.peer);
      else if (std::find(one.reported.begin(), one.reported.end(), key) != one.reported.end())
        ++reported;
    }
    if (with_commit.size() + reported >= with_error.size())
      behind.lacking.merge(with_error);
    else
      behind.outvoted.merge(with_commit);
  }
}

}  // namespace hawser
