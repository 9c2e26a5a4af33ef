#include "plan/plan.hpp"

namespace hawser {

Trees direct_trees(std::uint32_t root, std::uint32_t world_size) {
  Trees trees{.root = root, .reduce_parent = {}, .broadcast_parent = {}};
  trees.reduce_parent.assign(world_size, root);
  trees.reduce_parent[root] = kNoParent;
  trees.broadcast_parent = trees.reduce_parent;
  return trees;
}

Trees direct_trees_beside_relays(std::uint32_t root, std::uint32_t world_size, std::uint32_t relays) {
  Trees trees = direct_trees(root, world_size);
  trees.reduce_parent.resize(world_size + relays, kNoParent);
  trees.broadcast_parent.resize(world_size + relays, kNoParent);
  return trees;
}

Trees relayed_trees(std::uint32_t relay, std::uint32_t world_size, std::uint32_t relays) {
  Trees trees{.root = relay, .reduce_parent = std::vector<std::uint32_t>(world_size, relay), .broadcast_parent = {}};
  trees.reduce_parent.resize(world_size + relays, kNoParent);
  trees.broadcast_parent = trees.reduce_parent;
  return trees;
}

Trees relay_trees(std::uint32_t root, std::uint32_t relay, std::uint32_t world_size) {
  Trees trees = direct_trees(root, world_size);
  trees.broadcast_parent.assign(world_size, relay);
  trees.broadcast_parent[relay] = root;
  trees.broadcast_parent[root] = kNoParent;
  return trees;
}

}  // namespace hawser
