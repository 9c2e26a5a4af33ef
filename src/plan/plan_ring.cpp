#include <numeric>

#include "plan/plan.hpp"

namespace hawser {

Trees ring_trees(std::uint32_t root, const std::vector<std::uint32_t>& order) {
  Trees trees{.root = root, .reduce_parent = {}, .broadcast_parent = {}};
  trees.reduce_parent.resize(order.size());
  trees.broadcast_parent.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t rank = order[i];
    trees.reduce_parent[rank] = rank == root ? kNoParent : order[(i + 1) % order.size()];
    trees.broadcast_parent[rank] = rank == root ? kNoParent : order[(i + order.size() - 1) % order.size()];
  }
  return trees;
}

Trees ring_trees(std::uint32_t root, std::uint32_t world_size) {
  std::vector<std::uint32_t> order(world_size);
  std::iota(order.begin(), order.end(), 0U);
  return ring_trees(root, order);
}

}  // namespace hawser
