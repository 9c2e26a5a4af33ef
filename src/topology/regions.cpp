#include "topology/regions.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>

#include "topology/estimates.hpp"

namespace hawser::topology {
namespace {

constexpr double kNearSeconds = 1e-3;  ///< Delays below this do not part regions.
constexpr double kGap = 3;

struct Edge {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  double length = 0;
};

/// Prim's algorithm; equal lengths by the lower rank. Sorted by length.
template <class Length>
std::vector<Edge> shortest_spanning_tree(std::uint32_t world_size, const Length& length) {
  std::vector<Edge> reach(world_size);
  std::vector<bool> in_tree(world_size);
  std::vector<Edge> tree;
  in_tree[0] = true;
  for (std::uint32_t rank = 1; rank < world_size; ++rank) reach[rank] = {0, rank, length(0, rank)};
  while (tree.size() + 1 < world_size) {
    std::uint32_t next = 0;
    for (std::uint32_t rank = 1; rank < world_size; ++rank)
      if (!in_tree[rank] && (next == 0 || reach[rank].length < reach[next].length)) next = rank;
    in_tree[next] = true;
    tree.push_back(reach[next]);
    for (std::uint32_t rank = 1; rank < world_size; ++rank) {
      const double through = in_tree[rank] ? 0 : length(next, rank);
      if (!in_tree[rank] && through < reach[rank].length) reach[rank] = {next, rank, through};
    }
  }
  std::stable_sort(tree.begin(), tree.end(),
                   [](const Edge& a, const Edge& b) { return a.length < b.length; });
  return tree;
}

/// How many edges of the tree lie below the widest gap; all of them if there is no gap. `floor` counts as a
/// length that is always there, unless it is 0.
std::size_t edges_below_gap(const std::vector<Edge>& tree, double floor) {
  std::size_t below = tree.size();
  double widest = kGap;
  for (std::size_t i = floor > 0 ? 0 : 1; i < tree.size(); ++i) {
    const double shorter = i == 0 ? floor : std::max(tree[i - 1].length, floor);
    const double ratio = tree[i].length / shorter;
    if (ratio < widest || (below < tree.size() && ratio == widest)) continue;
    widest = ratio;
    below = i;
  }
  return below;
}

Regions joined_along(const std::vector<Edge>& tree, std::size_t edges) {
  const std::size_t world_size = tree.size() + 1;
  std::vector<std::uint32_t> smallest(world_size);
  std::iota(smallest.begin(), smallest.end(), 0U);
  const auto find = [&](std::uint32_t rank) {
    while (smallest[rank] != rank) rank = smallest[rank] = smallest[smallest[rank]];
    return rank;
  };
  for (std::size_t i = 0; i < edges; ++i) {
    const auto [low, high] = std::minmax({find(tree[i].from), find(tree[i].to)});
    smallest[high] = low;
  }
  Regions regions;
  regions.of_rank.resize(world_size);
  for (std::uint32_t rank = 0; rank < world_size; ++rank) {
    const std::uint32_t first = find(rank);
    if (first == rank) {
      regions.of_rank[rank] = static_cast<std::uint32_t>(regions.members.size());
      regions.members.emplace_back();
    } else {
      regions.of_rank[rank] = regions.of_rank[first];
    }
    regions.members[regions.of_rank[rank]].push_back(rank);
  }
  return regions;
}

std::string text(const char* format, double a, double b) {
  std::array<char, 96> out{};
  std::snprintf(out.data(), out.size(), format, a, b);
  return out.data();
}

}  // namespace

Regions find_regions(const Estimates& estimates) {
  const auto delay = [&](std::uint32_t a, std::uint32_t b) {
    return (estimates.delay(a, b) + estimates.delay(b, a)) / 2;
  };
  const std::vector<Edge> near = shortest_spanning_tree(estimates.world_size(), delay);
  std::size_t below = edges_below_gap(near, kNearSeconds);
  if (below < near.size()) {
    Regions regions = joined_along(near, below);
    regions.reason = below == 0 ? text("%.3g ms or more between any two", near[0].length * 1e3, 0)
                                : text("up to %.3g ms inside, %.3g ms or more between",
                                       near[below - 1].length * 1e3, near[below].length * 1e3);
    return regions;
  }
  // Seconds per byte, the slower direction: lengths again.
  const auto slowness = [&](std::uint32_t a, std::uint32_t b) {
    return 1 / std::min(estimates.rate(a, b), estimates.rate(b, a));
  };
  const std::vector<Edge> fast = shortest_spanning_tree(estimates.world_size(), slowness);
  below = edges_below_gap(fast, 0);
  Regions regions = joined_along(fast, below);
  regions.reason = below == fast.size()
                       ? "no gap in delays or rates"
                       : text("%.3g MB/s or more inside, up to %.3g MB/s between",
                              1 / fast[below - 1].length / 1e6, 1 / fast[below].length / 1e6);
  return regions;
}

}  // namespace hawser::topology
