#pragma once

#include <set>
#include <vector>

#include "membership/view.hpp"

namespace hawser {

/// Who has said yes to something: to a commit, to update-topology, to a prepared view. Electors are given
/// when the vote is counted, since they may be lost meanwhile.
class Vote {
 public:
  void cast(PeerId peer) { cast_.insert(peer); }
  void withdraw(PeerId peer) { cast_.erase(peer); }
  void clear() { cast_.clear(); }
  bool has(PeerId peer) const { return cast_.contains(peer); }
  bool empty() const { return cast_.empty(); }

  /// Electors that have not voted.
  std::vector<Member> missing(const std::vector<Member>& electors) const {
    std::vector<Member> left;
    for (const Member& elector : electors)
      if (!has(elector.id)) left.push_back(elector);
    return left;
  }
  bool unanimous(const std::vector<Member>& electors) const {
    for (const Member& elector : electors)
      if (!has(elector.id)) return false;
    return true;
  }

 private:
  std::set<PeerId> cast_;
};

}  // namespace hawser
