#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.hpp"
#include "plan/root_shares.hpp"
#include "topology/estimates.hpp"

namespace hawser {

/// What plans are made from: a matrix of measured links, and what follows from it for any payload.
struct Network {
  topology::Estimates estimates;
  std::vector<std::uint32_t> ring;  ///< Ranks in the order of the best ring.
  Shares direct;
  RegionShares regions;
};

/// Surveys a matrix, once per version of it: O(N^2), and the search for a ring with a bound on its work. Null
/// where no rate is known: one plans as without a matrix. Error: invalid_argument, where check() refuses it.
Result<std::shared_ptr<const Network>> make_network(const topology::Matrix& matrix);

}  // namespace hawser
