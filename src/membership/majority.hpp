#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "membership/messages.hpp"

/// Where several masters may serve one run, one at a time: which of them may go on, and with whom. Members make the
/// majorities, masters keep nothing. docs/failures.md says why no two go on from one view.
namespace hawser {

/// Epochs of views that a master of this term starts are above it: a later term's epochs are all higher.
constexpr Epoch first_epoch_of(std::uint64_t term) { return {term << 32}; }
constexpr std::uint64_t term_of(Epoch epoch) { return epoch.value >> 32; }

/// What must be kept of one former view: more than half of so many, of whom those here are left.
struct Kept {
  std::set<PeerId> left;
  std::size_t of = 0;
  friend auto operator<=>(const Kept&, const Kept&) = default;
};

/// By rank of this view, as members are told. Without members that are not in it.
std::vector<Quorum> as_quorums(const std::vector<Kept>& kept, const View& view);
std::vector<Kept> as_kept(const std::vector<Quorum>& quorums, const View& view);

/// What a master knows of its view and the one that its members may go back to.
struct Footing {
  /// All members have started the view, so that nobody goes back behind it.
  bool is_held = true;
  /// This master has held the view before: another one takes over with more than half of it only, so half is enough.
  bool is_own = true;
  std::vector<Kept> kept{};  ///< Of a view that is not held.
};
/// What the next view must keep. `view`: the one before; `gone`: of it, those that said good-bye: they come back nowhere.
Footing footing_after(const Footing& footing, const View& view, const std::set<PeerId>& gone);
/// Whether these may go on.
bool may_go_on(const Footing& next, const std::vector<Member>& members);

/// A former member of a group says which view it was in last.
struct MajorityClaim {
  PeerId peer;
  ViewMark view;
  std::vector<Quorum> quorums;
};
struct MajorityChoice {
  std::optional<ViewMark> view;   ///< None: not enough of its members are here.
  std::vector<PeerId> survivors;  ///< Who goes on from it, in order of their claims.
  Footing footing{};              ///< Of the view that they start.
  std::string lacking{};          ///< Why there is none, in words that go after "it waits: ".
};
/// Decides from which view another master takes a group over. It needs more than half of each view that somebody here
/// has started, and of each former view that these must keep; save of views that some member of them here has not
/// started and now never will, and of views before one that is held. Of those that it has more than half of it takes the newest.
///
/// `claims`: of one run and group, in order of arrival, one for each peer. `views`: members of claimed views, as far as
/// they were presented: while one of them is not known nothing is chosen. `left`: were here and said good-bye.
/// `half_is_enough`: others of the view are here, too, and lack a result that these know as committed. With their
/// master at least half of the view has committed it, so that those who lack it are nowhere more than half.
MajorityChoice choose_by_majority(const std::vector<MajorityClaim>& claims, const std::map<ViewMark, View>& views,
                                  const std::set<PeerId>& left, bool half_is_enough = false);

}  // namespace hawser
