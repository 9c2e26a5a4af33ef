#pragma once

#include <cstdint>
#include <vector>

#include "plan/network.hpp"
#include "plan/plan.hpp"

namespace hawser {

/// Some trees, and in which order chunks use them; as in Plan.
struct TreeCycle {
  std::vector<Trees> trees;
  std::vector<std::uint32_t> cycle;
};

/// Reduce inside each region to the chunk's local root, exchange between the local roots, spread inside: only
/// one partial sum and one result per chunk cross from region to region. The local roots differ from chunk to
/// chunk, so all members of a region take part in the exchange at once.
///
/// Where some pairs have no way of their own, the trees of a cycle keep to existing links (plan/plan_partial.hpp).
///
/// `local_roots`: by region; `root` is the one of its own region.
Trees hierarchical_trees(std::uint32_t root, const std::vector<std::uint32_t>& local_roots,
                         const topology::Regions& regions);

/// Trees for `slots` chunks in turn, roots and local roots by the network's shares. The pairs of a root and a
/// local root change so that all links between regions are used, fast ones more.
TreeCycle hierarchical_cycle(const Network& network, std::uint32_t slots);

/// Every rank is the root in its turn, `turns` times: for collectives whose segments belong to ranks.
TreeCycle hierarchical_cycle_of_ranks(const Network& network, Collective collective, std::uint32_t turns);

/// From `root` to a relay, which spreads the chunk in the root's region (in its own, if the root is alone in
/// its region) and to a local root in each other region. So the root sends each chunk once.
TreeCycle hierarchical_broadcast_cycle(const Network& network, std::uint32_t root, std::uint32_t slots);

}  // namespace hawser
