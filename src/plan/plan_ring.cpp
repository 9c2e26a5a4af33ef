#include "plan/plan.hpp"

namespace hawser {

Trees ring_trees(std::uint32_t root, std::uint32_t world_size) {
  Trees trees{.root = root, .reduce_parent = {}, .broadcast_parent = {}};
  trees.reduce_parent.resize(world_size);
  trees.broadcast_parent.resize(world_size);
  for (std::uint32_t rank = 0; rank < world_size; ++rank) {
    trees.reduce_parent[rank] = rank == root ? kNoParent : (rank + 1) % world_size;
    trees.broadcast_parent[rank] = rank == root ? kNoParent : (rank + world_size - 1) % world_size;
  }
  return trees;
}

}  // namespace hawser
