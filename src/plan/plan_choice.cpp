#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "base/assert.hpp"
#include "plan/plan.hpp"
#include "topology/cost.hpp"

namespace hawser {

namespace {

bool in_segments(Collective collective) {
  return collective == Collective::all_gather || collective == Collective::reduce_scatter;
}

std::vector<Trees> broadcast_trees(const PlanInput& in, PlanKind kind, std::uint64_t chunks) {
  if (kind == PlanKind::ring) return {ring_trees(in.root, in.world_size)};
  // So small that the second hop costs more than the root's sending it to everybody.
  if (chunks < in.world_size) return {direct_trees(in.root, in.world_size)};
  std::vector<Trees> trees;
  for (std::uint32_t relay = 0; relay < in.world_size; ++relay)
    if (relay != in.root) trees.push_back(relay_trees(in.root, relay, in.world_size));
  return trees;
}

std::string in_milliseconds(double duration_seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g ms", duration_seconds * 1e3);
  return text.data();
}

void choose(const PlanInput& in, Plan& plan) {
  if (plan.kind != PlanKind::automatic) {
    plan.reason = "asked for";
    return;
  }
  const Conditions conditions{.payload_bytes = in.elements * in.element_bytes, .world_size = in.world_size};
  const double direct = direct_seconds(conditions);
  const double ring = ring_seconds(conditions);
  plan.kind = direct <= ring ? PlanKind::direct : PlanKind::ring;
  plan.reason = "expected direct " + in_milliseconds(direct) + ", ring " + in_milliseconds(ring);
}

}  // namespace

Plan make_plan(const PlanInput& in) {
  HAWSER_ASSERT(in.world_size >= 2);
  Plan plan{.collective = in.collective,
            .kind = in.kind,
            .reason = {},
            .world_size = in.world_size,
            .chunking = cut({.elements = in.elements,
                             .element_bytes = in.element_bytes,
                             .world_size = in.world_size,
                             .segments = in_segments(in.collective) ? in.world_size : 1}),
            .trees = {}};
  choose(in, plan);
  const std::uint64_t chunks = plan.chunking.chunks();
  if (in.collective == Collective::broadcast) {
    plan.trees = broadcast_trees(in, plan.kind, chunks);
    return plan;
  }
  const std::uint64_t roots = std::min<std::uint64_t>(in.world_size, chunks);
  for (std::uint32_t root = 0; root < roots; ++root)
    plan.trees.push_back(plan.kind == PlanKind::ring ? ring_trees(root, in.world_size)
                                                     : direct_trees(root, in.world_size));
  return plan;
}

}  // namespace hawser
