#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "checked_collective.hpp"
#include "comm_session.hpp"
#include "reporter.hpp"

namespace hawser::churn {

/// What every part of the mixed phase works with. References: the worker's, which outlive it.
struct MixedTools {
  CommSession& session;
  Reporter& reporter;
  CheckedCollectives& collectives;

  std::uint64_t peer_id() const { return collectives.peer_id(); }
  /// Reports a wrong value, if the sentence is not empty.
  void check(const char* phase, const std::string& wrong) const {
    if (!wrong.empty()) reporter.violation("wrong_sum", std::string(phase) + ": " + wrong);
  }
};

/// Room for a collective's contributors, and its info.
struct InfoRoom {
  std::vector<std::uint64_t> members;
  hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;

  /// Before each call.
  void clear() {
    members.assign(kMembersMax, 0);
    info = HAWSER_REDUCE_INFO_INIT;
    info.contributors = members.data();
    info.contributor_capacity = kMembersMax;
  }
  /// After success: the contributors alone.
  void cut() { members.resize(std::min(info.world_size, kMembersMax)); }
};

}  // namespace hawser::churn
