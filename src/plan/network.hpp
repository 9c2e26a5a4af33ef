#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "plan/plan.hpp"
#include "plan/root_shares.hpp"
#include "topology/estimates.hpp"

namespace hawser {

/// Trees, and how much of a buffer each of them carries: together 1.
struct SharedTrees {
  std::vector<Trees> trees;
  Shares shares;
};

/// What plans are made from: a matrix of measured links, and what follows from it for any payload.
struct Network {
  topology::Estimates estimates;
  std::vector<std::uint32_t> ring;  ///< Ranks in the order of the best ring.
  bool ring_is_whole = true;        ///< Each has a link to the next.
  Shares direct;
  RegionShares regions;
  /// Of an all-reduce, where some pairs have no way of their own; else none.
  SharedTrees flat_along_links;
  SharedTrees deep_along_links;
  /// Members, and relays behind them; none where there are no relays, or nothing is known of the members' rates.
  std::optional<topology::Estimates> with_relays{};
  SharedTrees relayed{};  ///< Of an all-reduce, with relays at some roots; none where they are of no use.
};

/// Surveys a matrix, once per version of it: O(N^2), and the search for a ring with a bound on its work. Null
/// where no rate is known and no pair is missing: one plans as without a matrix. Error: invalid_argument,
/// where check() refuses it.
///
/// `with_relays`: the same members, and behind them relays; null where there are none.
Result<std::shared_ptr<const Network>> make_network(const topology::Matrix& matrix,
                                                    const topology::Matrix* with_relays = nullptr);

}  // namespace hawser
