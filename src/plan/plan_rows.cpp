#include "plan/plan_rows.hpp"

#include "base/assert.hpp"

namespace hawser {

Trees row_trees(std::uint32_t root, std::uint32_t world_size, std::uint32_t width) {
  Trees trees{.root = root, .reduce_parent = {}, .broadcast_parent = {}};
  const std::uint32_t row = root - root % width;
  const std::uint32_t column = root % width;
  for (std::uint32_t rank = 0; rank < world_size; ++rank) {
    const std::uint32_t own_row = rank - rank % width;
    // Where the last row does not reach that far, another one of it has a link to the root's row.
    const std::uint32_t local_column = own_row + column < world_size ? column : column % (world_size - own_row);
    const std::uint32_t local_root = own_row + local_column;
    std::uint32_t parent = local_root;
    if (own_row == row)
      parent = root;
    else if (rank == local_root)
      parent = row + local_column;
    trees.reduce_parent.push_back(rank == root ? kNoParent : parent);
  }
  trees.broadcast_parent = trees.reduce_parent;
  return trees;
}

Trees column_trees(std::uint32_t root, std::uint32_t world_size, std::uint32_t width) {
  Trees trees{.root = root, .reduce_parent = {}, .broadcast_parent = {}};
  const std::uint32_t row = root - root % width;
  const std::uint32_t column = root % width;
  HAWSER_ASSERT(row + width <= world_size);
  for (std::uint32_t rank = 0; rank < world_size; ++rank) {
    const std::uint32_t local_root = row + rank % width;
    const std::uint32_t parent = rank % width == column || rank == local_root ? root : local_root;
    trees.reduce_parent.push_back(rank == root ? kNoParent : parent);
  }
  trees.broadcast_parent = trees.reduce_parent;
  return trees;
}

std::vector<Trees> row_relay_trees(std::uint32_t root, std::uint32_t world_size, std::uint32_t width) {
  // A whole row has enough relays, each of which the root is a child of. So has a column.
  const std::uint32_t row = root - root % width;
  const bool along_row = row + width <= world_size;
  std::vector<Trees> all;
  for (std::uint32_t relay = along_row ? row : root % width; relay < (along_row ? row + width : world_size);
       relay += along_row ? 1 : width) {
    if (relay == root) continue;
    Trees trees = along_row ? row_trees(relay, world_size, width) : column_trees(relay, world_size, width);
    trees.root = root;
    trees.broadcast_parent[relay] = root;
    trees.broadcast_parent[root] = kNoParent;
    trees.reduce_parent = trees.broadcast_parent;
    all.push_back(std::move(trees));
  }
  return all;
}

std::vector<std::uint32_t> ring_of_rows(std::uint32_t world_size, std::uint32_t width) {
  HAWSER_ASSERT(width % 2 == 0 && world_size >= 2 * width);
  std::vector<std::uint32_t> order;
  for (std::uint32_t column = 0; column < width; ++column) {
    // In at one of the first two rows, out at the other one, which begins the next column.
    const std::uint32_t in = column % 2;
    order.push_back(in * width + column);
    for (std::uint32_t rank = 2 * width + column; rank < world_size; rank += width) order.push_back(rank);
    order.push_back((1 - in) * width + column);
  }
  return order;
}

}  // namespace hawser
