#include <algorithm>

#include "base/assert.hpp"
#include "plan/plan.hpp"
#include "topology/cost.hpp"

namespace hawser {

Plan make_plan(const PlanInput& in) {
  HAWSER_ASSERT(in.world_size >= 2);
  HAWSER_ASSERT(in.elements >= 1);
  Plan plan{.kind = in.kind,
            .world_size = in.world_size,
            .chunking = cut({.elements = in.elements,
                             .element_bytes = in.element_bytes,
                             .world_size = in.world_size}),
            .trees = {}};
  if (plan.kind == PlanKind::automatic) {
    const Conditions conditions{.payload_bytes = in.elements * in.element_bytes, .world_size = in.world_size};
    plan.kind = direct_seconds(conditions) <= ring_seconds(conditions) ? PlanKind::direct : PlanKind::ring;
  }
  const std::uint64_t roots = std::min<std::uint64_t>(in.world_size, plan.chunking.chunks());
  for (std::uint32_t root = 0; root < roots; ++root)
    plan.trees.push_back(plan.kind == PlanKind::ring ? ring_trees(root, in.world_size)
                                                     : direct_trees(root, in.world_size));
  return plan;
}

}  // namespace hawser
