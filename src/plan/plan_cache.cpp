#include "plan/plan_cache.hpp"

#include "base/assert.hpp"

namespace hawser {
namespace {

std::size_t bytes_of(const Plan& plan) {
  std::size_t bytes = sizeof(Plan) + plan.reason.size() + plan.cycle.size() * sizeof(plan.cycle[0]);
  for (const Trees& trees : plan.trees)
    bytes += sizeof(Trees) +
             (trees.reduce_parent.size() + trees.broadcast_parent.size()) * sizeof(trees.reduce_parent[0]);
  return bytes;
}

}  // namespace

PlanCache::Key PlanCache::key_of(std::uint64_t network_version, const PlanInput& in) {
  return {network_version, in.kind,         in.world_size,    in.elements,  in.element_bytes, in.collective,
          in.root,         in.wire.leaf_up, in.wire.inner_up, in.wire.down, in.margin_percent,
          in.between_hosts, in.row_width,     in.relays};
}

std::shared_ptr<const Plan> PlanCache::plan(std::uint64_t network_version, const PlanInput& input) {
  const Key key = key_of(input.network == nullptr ? 0 : network_version, input);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    kept_.splice(kept_.begin(), kept_, found->second);
    return found->second->plan;
  }
  auto made = std::make_shared<const Plan>(make_plan(input));
  HAWSER_ASSERT(!made->along_links || plan_check(*made, *input.network).ok());
  ++made_;
  kept_.push_front({.key = key, .plan = made, .bytes = bytes_of(*made)});
  by_key_[key] = kept_.begin();
  bytes_ += kept_.front().bytes;
  while (kept_.size() > 1 && (kept_.size() > bounds_.plans || bytes_ > bounds_.bytes)) {
    bytes_ -= kept_.back().bytes;
    by_key_.erase(kept_.back().key);
    kept_.pop_back();
  }
  return made;
}

void PlanCache::clear() {
  kept_.clear();
  by_key_.clear();
  bytes_ = 0;
}

}  // namespace hawser
