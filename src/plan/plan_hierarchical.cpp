#include "plan/plan_hierarchical.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "plan/apportion.hpp"
#include "plan/plan_partial.hpp"

namespace hawser {
namespace {

/// Shares as whole numbers, so that taking turns needs no rounding.
constexpr std::uint32_t kTurns = 1 << 20;

/// Chooses local roots, chunk after chunk. Within a region it is the turn of those who are behind their share
/// (weighted round robin); among them the one whose link to the root has the most rate left over.
class LocalRoots {
 public:
  explicit LocalRoots(const Network& network) : network_(network), due_(network.estimates.world_size()) {
    for (const auto& region : regions().members) {
      Shares shares;
      for (const std::uint32_t rank : region) shares.push_back(network.regions.within_region[rank]);
      turns_.push_back(apportion(shares, kTurns));
    }
  }

  /// By region, for a chunk with this root.
  std::vector<std::uint32_t> take(std::uint32_t root) {
    std::vector<std::uint32_t> chosen;
    for (std::uint32_t region = 0; region < regions().members.size(); ++region)
      chosen.push_back(region == regions().of_rank[root] ? root : take_in(region, root));
    return chosen;
  }

 private:
  const topology::Regions& regions() const { return network_.estimates.regions(); }

  std::uint32_t take_in(std::uint32_t region, std::uint32_t root) {
    const auto& ranks = regions().members[region];
    for (std::size_t i = 0; i < ranks.size(); ++i) due_[ranks[i]] += turns_[region][i];
    std::vector<std::uint32_t> linked;
    if (network_.estimates.avoids_pairs())
      std::copy_if(ranks.begin(), ranks.end(), std::back_inserter(linked),
                   [&](std::uint32_t rank) { return network_.estimates.has_link(root, rank); });
    const auto& eligible = linked.empty() ? ranks : linked;
    // Where the root does not reach whose turn it is, the one that has waited longest of those it reaches.
    std::int64_t due_least = 1;
    if (!linked.empty())
      due_least = std::min(due_least, due_[*std::max_element(linked.begin(), linked.end(),
                                                             [&](auto a, auto b) { return due_[a] < due_[b]; })]);
    std::uint32_t best = kNoParent;
    double best_cost = 0;
    for (const std::uint32_t rank : eligible) {
      if (due_[rank] < due_least) continue;
      const auto used = used_.find({root, rank});
      const double times = used == used_.end() ? 1 : used->second + 1.0;
      const double cost =
          times / std::min(network_.estimates.rate(root, rank), network_.estimates.rate(rank, root));
      if (best == kNoParent || cost < best_cost || (cost == best_cost && due_[rank] > due_[best])) {
        best = rank;
        best_cost = cost;
      }
    }
    due_[best] -= kTurns;
    ++used_[{root, best}];
    ++used_[{best, root}];
    return best;
  }

  const Network& network_;
  std::vector<std::vector<std::uint32_t>> turns_;  ///< By region and place in it.
  std::vector<std::int64_t> due_;                  ///< By rank.
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> used_;
};

Trees hierarchical_relay_trees(std::uint32_t root, std::uint32_t relay,
                               const std::vector<std::uint32_t>& local_roots,
                               const topology::Regions& regions) {
  Trees trees = direct_trees(root, static_cast<std::uint32_t>(regions.of_rank.size()));
  trees.broadcast_parent = hierarchical_trees(relay, local_roots, regions).broadcast_parent;
  trees.broadcast_parent[root] = kNoParent;
  trees.broadcast_parent[relay] = root;
  return trees;
}

/// Equal trees are kept once.
class TreeCycleBuilder {
 public:
  TreeCycleBuilder(const Network& network, Collective collective) : network_(network), local_roots_(network) {
    if (network.estimates.avoids_pairs()) prices_.emplace(network.estimates, collective);
  }

  void add(std::uint32_t root) {
    add(root, [&](const std::vector<std::uint32_t>& local_roots) {
      if (prices_) return along_links({.root = root, .local_roots = local_roots});
      return hierarchical_trees(root, local_roots, network_.estimates.regions());
    });
  }
  void add_relay(std::uint32_t root, std::uint32_t relay) {
    add(relay, [&](const std::vector<std::uint32_t>& local_roots) {
      if (prices_) return along_links({.root = root, .relay = relay, .local_roots = local_roots});
      return hierarchical_relay_trees(root, relay, local_roots, network_.estimates.regions());
    });
  }
  TreeCycle take() { return std::move(made_); }

 private:
  template <class Make>
  void add(std::uint32_t root, const Make& make) {
    std::vector<std::uint32_t> local_roots = local_roots_.take(root);
    // The key also says which of the local roots is the root.
    local_roots.push_back(root);
    const auto [known, is_new] = known_.emplace(local_roots, static_cast<std::uint32_t>(made_.trees.size()));
    local_roots.pop_back();
    if (is_new) made_.trees.push_back(make(local_roots));
    made_.cycle.push_back(known->second);
  }
  Trees along_links(TreeWish wish) {
    wish.regions = &network_.estimates.regions();
    Trees trees = trees_along_links(wish, network_.estimates, *prices_);
    prices_->charge(trees.broadcast_parent);
    return trees;
  }

  const Network& network_;
  LocalRoots local_roots_;
  std::optional<LinkPrices> prices_;  ///< Where trees go along existing links.
  std::map<std::vector<std::uint32_t>, std::uint32_t> known_;
  TreeCycle made_;
};

/// By rank: how much of the buffer has its root there.
Shares root_shares(const Network& network) {
  Shares shares = network.regions.within_region;
  for (std::uint32_t rank = 0; rank < shares.size(); ++rank)
    shares[rank] *= network.regions.root_in[network.estimates.regions().of_rank[rank]];
  return shares;
}

}  // namespace

Trees hierarchical_trees(std::uint32_t root, const std::vector<std::uint32_t>& local_roots,
                         const topology::Regions& regions) {
  Trees trees{.root = root, .reduce_parent = {}, .broadcast_parent = {}};
  for (std::uint32_t rank = 0; rank < regions.of_rank.size(); ++rank) {
    const std::uint32_t local_root = local_roots[regions.of_rank[rank]];
    trees.reduce_parent.push_back(rank == local_root ? root : local_root);
  }
  trees.reduce_parent[root] = kNoParent;
  trees.broadcast_parent = trees.reduce_parent;
  return trees;
}

TreeCycle hierarchical_cycle(const Network& network, std::uint32_t slots) {
  TreeCycleBuilder builder(network, Collective::all_reduce);
  for (const std::uint32_t root : interleave(apportion(root_shares(network), slots))) builder.add(root);
  return builder.take();
}

TreeCycle hierarchical_cycle_of_ranks(const Network& network, Collective collective, std::uint32_t turns) {
  TreeCycleBuilder builder(network, collective);
  for (std::uint32_t turn = 0; turn < turns; ++turn)
    for (std::uint32_t root = 0; root < network.estimates.world_size(); ++root) builder.add(root);
  return builder.take();
}

TreeCycle hierarchical_broadcast_cycle(const Network& network, std::uint32_t root, std::uint32_t slots) {
  const topology::Regions& regions = network.estimates.regions();
  const std::uint32_t home = regions.of_rank[root];
  const bool alone = regions.members[home].size() == 1;
  const Shares fast = relay_shares(network.estimates, root);
  Shares shares(fast.size());
  double sum = 0;
  const auto is_relay = [&](std::uint32_t rank, bool at_home) {
    return rank != root && (!at_home || regions.of_rank[rank] == home) &&
           (!network.estimates.avoids_pairs() || network.estimates.has_link(root, rank));
  };
  // The root may reach nobody of its own region.
  for (const bool at_home : {!alone, false}) {
    if (sum > 0) break;
    for (std::uint32_t rank = 0; rank < shares.size(); ++rank) {
      if (!is_relay(rank, at_home)) continue;
      shares[rank] = fast[rank];
      sum += fast[rank];
    }
  }
  for (double& share : shares) share /= sum;
  TreeCycleBuilder builder(network, Collective::broadcast);
  for (const std::uint32_t relay : interleave(apportion(shares, slots))) builder.add_relay(root, relay);
  return builder.take();
}

}  // namespace hawser
