#include "plan/plan.hpp"

namespace hawser {
namespace {

Error wrong(const std::string& what) { return {Status::internal, "the plan is wrong: " + what}; }

/// Every rank reaches the root by following parents, and only the root has none.
bool spans(const std::vector<std::uint32_t>& parent, std::uint32_t root, std::uint32_t world_size) {
  if (parent.size() != world_size || root >= world_size || parent[root] != kNoParent) return false;
  for (std::uint32_t rank = 0; rank < world_size; ++rank) {
    std::uint32_t at = rank;
    for (std::uint32_t steps = 0; at != root; ++steps) {
      if (steps == world_size || at >= world_size) return false;
      at = parent[at];
    }
  }
  return true;
}

}  // namespace

Result<void> plan_check(const Plan& plan) {
  if (plan.world_size < 2) return wrong("fewer than two ranks");
  if (plan.chunking.elements == 0) return wrong("no elements");
  if (plan.chunking.chunk_elements == 0) return wrong("empty chunks");
  if (plan.trees.empty()) return wrong("no trees");
  std::uint64_t next = 0;
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk) {
    if (plan.chunking.offset(chunk) != next || plan.chunking.count(chunk) == 0)
      return wrong("chunk " + std::to_string(chunk) + " leaves a gap or overlaps");
    next += plan.chunking.count(chunk);
  }
  if (next != plan.chunking.elements) return wrong("the chunks do not cover the buffer");
  for (const Trees& trees : plan.trees) {
    const std::string which = " tree of root " + std::to_string(trees.root) + " does not span all ranks";
    if (!spans(trees.reduce_parent, trees.root, plan.world_size)) return wrong("the reduce" + which);
    if (!spans(trees.broadcast_parent, trees.root, plan.world_size)) return wrong("the broadcast" + which);
  }
  return {};
}

}  // namespace hawser
