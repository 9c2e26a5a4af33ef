#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/signature.hpp"
#include "plan/chunking.hpp"

namespace hawser {

inline constexpr std::uint32_t kNoParent = std::numeric_limits<std::uint32_t>::max();

/// The reduce tree and the broadcast tree of a chunk, as the parent of each rank. The root has none.
struct Trees {
  std::uint32_t root = 0;
  std::vector<std::uint32_t> reduce_parent;
  std::vector<std::uint32_t> broadcast_parent;
};

/// For every chunk: partial sums climb its reduce tree to the root (all-reduce, reduce-scatter), the result
/// descends its broadcast tree (all but reduce-scatter). Chunk c uses trees[c % trees.size()].
struct Plan {
  Collective collective = Collective::all_reduce;
  PlanKind kind = PlanKind::direct;
  std::string reason;  ///< Why this kind, for a person.
  std::uint32_t world_size = 0;
  Chunking chunking;
  std::vector<Trees> trees;  ///< None where there are no elements (a barrier).

  bool climbs() const { return reduces(collective); }
  bool descends() const { return collective != Collective::reduce_scatter; }
  const Trees& trees_of(std::uint64_t chunk) const {
    return trees[static_cast<std::size_t>(chunk % trees.size())];
  }
};

struct PlanInput {
  PlanKind kind = PlanKind::automatic;
  std::uint32_t world_size = 2;
  std::uint64_t elements = 0;       ///< As in Signature::count.
  std::uint32_t element_bytes = 4;  ///< Of what a chunk's size shall be reckoned in.
  Collective collective = Collective::all_reduce;
  std::uint32_t root = 0;  ///< Of a broadcast.
};

/// The plan of one call: the same on every member, since it depends on the arguments alone.
Plan make_plan(const PlanInput& input);

/// Both trees are chains around the ring (Patarasu and Yuan 2009): for root r the sum climbs
/// r+1, r+2, .., r and the result descends r, r+1, .., r-1.
Trees ring_trees(std::uint32_t root, std::uint32_t world_size);

/// Both trees are stars: everybody sends to the root, the root sends to everybody.
Trees direct_trees(std::uint32_t root, std::uint32_t world_size);

/// A broadcast's only root, and its chunk's way through one relay to everybody else: so the root sends each
/// chunk once, and the others share the spreading (van de Geijn's scatter and all-gather, per chunk). With
/// relay == root everybody gets it from the root.
Trees relay_trees(std::uint32_t root, std::uint32_t relay, std::uint32_t world_size);

/// Proves that each element of each member is counted exactly once and reaches every member: the chunks
/// tile the buffer, and both trees of every chunk span all ranks. Says what is wrong otherwise.
Result<void> plan_check(const Plan& plan);

}  // namespace hawser
