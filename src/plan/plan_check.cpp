#include <string>

#include "plan/network.hpp"
#include "plan/plan.hpp"

namespace hawser {
namespace {

Error wrong(const std::string& what) { return {Status::internal, "the plan is wrong: " + what}; }

/// Every rank that has tensors reaches the root by following parents, and only the root has none. A relay that is in no
/// tree has none either.
bool spans(const std::vector<std::uint32_t>& parent, std::uint32_t root, const Plan& plan) {
  const std::uint32_t nodes = plan.nodes();
  if (parent.size() != nodes || root >= nodes || parent[root] != kNoParent) return false;
  // From whom the root has been reached, so that each rank is passed once.
  std::vector<bool> reaches(nodes);
  reaches[root] = true;
  for (std::uint32_t rank = 0; rank < nodes; ++rank) {
    if (rank >= plan.world_size && parent[rank] == kNoParent) continue;
    std::uint32_t at = rank;
    for (std::uint32_t steps = 0; !reaches[at]; ++steps) {
      if (steps == nodes || parent[at] >= nodes) return false;
      at = parent[at];
    }
    for (at = rank; !reaches[at]; at = parent[at]) reaches[at] = true;
  }
  return true;
}

}  // namespace

Result<void> plan_check(const Plan& plan) {
  if (plan.world_size < 2) return wrong("fewer than two ranks");
  if (plan.chunking.elements == 0) return wrong("no elements");
  if (plan.chunking.chunk_elements == 0) return wrong("empty chunks");
  if (plan.chunking.segments == 0) return wrong("no segments");
  if (plan.trees.empty()) return wrong("no trees");
  for (const std::uint32_t index : plan.cycle)
    if (index >= plan.trees.size()) return wrong("the cycle names trees that are not there");
  std::vector<std::uint64_t> next(plan.chunking.segments, 0);
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk) {
    const std::uint32_t segment = plan.chunking.segment(chunk);
    if (plan.chunking.offset(chunk) != segment * plan.chunking.elements + next[segment] ||
        plan.chunking.count(chunk) == 0)
      return wrong("chunk " + std::to_string(chunk) + " leaves a gap or overlaps");
    next[segment] += plan.chunking.count(chunk);
    if (plan.chunking.segments > 1 && plan.trees_of(chunk).root != segment)
      return wrong("chunk " + std::to_string(chunk) + " has its root at another rank than its own");
  }
  for (const std::uint64_t covered : next)
    if (covered != plan.chunking.elements) return wrong("the chunks do not cover the buffer");
  for (const Trees& trees : plan.trees) {
    const std::string which = " tree of root " + std::to_string(trees.root) + " does not span all ranks";
    if (!spans(trees.reduce_parent, trees.root, plan)) return wrong("the reduce" + which);
    if (!spans(trees.broadcast_parent, trees.root, plan)) return wrong("the broadcast" + which);
  }
  return {};
}

Result<void> plan_check(const Plan& plan, const Network& network) {
  if (auto whole = plan_check(plan); !whole.ok()) return whole;
  if (network.estimates.world_size() != plan.world_size) return wrong("the network is that of other members");
  if (plan.relays != 0 && (!network.with_relays || network.with_relays->world_size() != plan.nodes()))
    return wrong("the network is that of other relays");
  const topology::Estimates& links = plan.relays == 0 ? network.estimates : *network.with_relays;
  if (plan.along_links != network.estimates.avoids_pairs())
    return wrong(plan.along_links ? "it avoids pairs, and has no need to"
                                  : "it does not avoid pairs that it can avoid");
  if (!plan.along_links) return {};
  for (const Trees& trees : plan.trees)
    for (std::uint32_t rank = 0; rank < plan.nodes(); ++rank)
      for (const std::uint32_t parent : {trees.reduce_parent[rank], trees.broadcast_parent[rank]})
        if (parent != kNoParent && !links.has_link(rank, parent))
          return wrong("rank " + std::to_string(rank) + " and rank " + std::to_string(parent) +
                       " have no way of their own, and a tree of root " + std::to_string(trees.root) + " uses it");
  return {};
}

}  // namespace hawser
