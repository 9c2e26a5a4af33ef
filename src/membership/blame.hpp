#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/instant.hpp"
#include "membership/view.hpp"

namespace hawser {

/// One member's complaint about a collective that does not go on.
struct Grievance {
  Instant since;     ///< When it last saw progress.
  Instant heard_at;  ///< When it said so.
  std::vector<PeerId> waiting_for;
  std::vector<PeerId> unresponsive;
};

/// Decides which member holds up a stalled collective, if the grievances tell.
///
/// A member whose links are dead for most others is the cause. If links are alive, it is a member that others
/// wait for and that itself waits for nobody. If all those waited for
/// wait too (a ring stands still behind one broken link), it is the one that most others accuse and that
/// accuses them back, for between these nothing flows either way; among equals the one with most accusers;
/// then the one accused by who has been stuck longest; then the youngest. `grievances` are those of members
/// that have called the collective, and so must the accused have: who has not called is slow, not stuck. O(n log n) for
/// n entries of all lists and members.
std::optional<Member> blame(const View& view, const std::map<PeerId, Grievance>& grievances,
                            const std::vector<PeerId>& called);

/// Whether a view in which every two members have a link has fallen apart: into parts between which all links are dead,
/// by the word of both ends. Of the parts the largest one stays; among equals the one with the lowest rank, which is the
/// eldest member. These are the members of the others, by rank; nobody if the view hangs together. O(n^2).
std::vector<Member> cut_off(const View& view, const std::map<PeerId, Grievance>& grievances);

}  // namespace hawser
