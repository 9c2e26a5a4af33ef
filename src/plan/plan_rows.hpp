#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.hpp"

/// Trees for groups in which members have links along rows of ranks and along columns only (base/link_layout.hpp).
/// There are two whole rows at least.
namespace hawser {

/// Sums go along each row to the member in the root's column, and from there along that column to the root: two hops,
/// or three from a last row that is not whole. Over all roots of N members each sends, and receives, about 2 (N-1)/N of
/// the payload.
Trees row_trees(std::uint32_t root, std::uint32_t world_size, std::uint32_t width);
/// First along the columns, then along the root's row, which is whole.
Trees column_trees(std::uint32_t root, std::uint32_t world_size, std::uint32_t width);
/// As relay_trees, with each of the root's neighbours in its row as the relay, or of those in its column where the row
/// is not whole.
std::vector<Trees> row_relay_trees(std::uint32_t root, std::uint32_t world_size, std::uint32_t width);
/// All ranks, each with a link to the next, and the last one to the first. For an even width.
std::vector<std::uint32_t> ring_of_rows(std::uint32_t world_size, std::uint32_t width);

}  // namespace hawser
