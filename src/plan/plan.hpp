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

/// For every chunk: partial sums climb its reduce tree to the root, the result descends its broadcast tree.
/// Chunk c uses trees[c % trees.size()].
struct Plan {
  PlanKind kind = PlanKind::direct;
  std::uint32_t world_size = 0;
  Chunking chunking;
  std::vector<Trees> trees;

  const Trees& trees_of(std::uint64_t chunk) const {
    return trees[static_cast<std::size_t>(chunk % trees.size())];
  }
};

struct PlanInput {
  PlanKind kind = PlanKind::automatic;
  std::uint32_t world_size = 2;
  std::uint64_t elements = 0;
  std::uint32_t element_bytes = 4;
};

/// The plan of one call: the same on every member, since it depends on the arguments alone.
Plan make_plan(const PlanInput& input);

/// Both trees are chains around the ring (Patarasu and Yuan 2009): for root r the sum climbs
/// r+1, r+2, .., r and the result descends r, r+1, .., r-1.
Trees ring_trees(std::uint32_t root, std::uint32_t world_size);

/// Both trees are stars: everybody sends to the root, the root sends to everybody.
Trees direct_trees(std::uint32_t root, std::uint32_t world_size);

/// Proves that each element of each member is counted exactly once and reaches every member: the chunks
/// tile the buffer, and both trees of every chunk span all ranks. Says what is wrong otherwise.
Result<void> plan_check(const Plan& plan);

}  // namespace hawser
