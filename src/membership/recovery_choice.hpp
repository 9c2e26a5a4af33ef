#pragma once

#include <map>
#include <optional>
#include <vector>

#include "membership/messages.hpp"

namespace hawser {

/// A former member of a group says which view it was in last.
struct ViewClaim {
  PeerId peer;
  ViewMark view;
};

struct ViewChoice {
  std::optional<ViewMark> view;   ///< None: no view has enough of its members back.
  std::vector<PeerId> survivors;  ///< Who goes on from it, in order of their claims.
  bool complete = false;          ///< Nobody is missed, and no claim that is still open could change the choice.
};

/// Decides from which view a group goes on that lost its master, by what its former members claim. What one claims
/// decides nothing that others contradict.
///
/// Behind a view stand those who claim it, and those of its members who claim a newer one, if that has all the others
/// in it who have come back and had not heard of it: the former master was about to tell them. A newer view that leaves
/// some of them out contradicts theirs: its members went on without them, and only one of the two can go on. A view
/// counts if at least half of its members are back, in it or in older ones. It is out if two members of it or more
/// claim one newer view that counts and contradicts it. Of the rest the one that most stand behind is taken, then the
/// newest, then the first.
///
/// From a view go on those behind it, and its members who claim older ones.
///
/// `claims`: of one run and group, in order of arrival, one for each peer. `views`: the members of claimed views, as
/// far as they were presented; a view whose members are not known is not taken.
ViewChoice choose_view(const std::vector<ViewClaim>& claims, const std::map<ViewMark, View>& views);

/// The newest view of those that a member of it claims here, however few these are: for a master that knows that no other
/// one goes on with the rest.
ViewChoice choose_newest_view(const std::vector<ViewClaim>& claims, const std::map<ViewMark, View>& views);

}  // namespace hawser
