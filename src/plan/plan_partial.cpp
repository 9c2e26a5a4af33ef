#include "plan/plan_partial.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/assert.hpp"
#include "plan/packing_lp.hpp"
#include "plan/root_shares.hpp"

namespace hawser {
namespace {

using topology::Estimates;

/// How much dearer what a tree fills becomes.
constexpr double kRise = 0.2;
constexpr std::uint32_t kTreeProgramMax = 32;  ///< Members.
constexpr double kShareLeast = 1e-6;             ///< What is less is error of rounding.
constexpr std::size_t kTreesMax = 96;            ///< In a linear program, and in a cycle.
/// Trees that are tried for shares: so many rounds, each of the trees of so many roots.
constexpr int kRootHalvings = 60;
constexpr std::uint32_t kRoundsMin = 96;
constexpr std::uint32_t kRoundsMax = 384;
constexpr std::uint32_t kRootsMax = 32;
constexpr std::uint32_t kRootsOfManyMax = 8;

}  // namespace

// ------------------------------------------------------------------------------------------- prices

LinkPrices::LinkPrices(const Estimates& estimates, Collective collective)
    : estimates_(estimates),
      climbs_(reduces(collective)),
      descends_(collective != Collective::reduce_scatter) {
  const std::uint32_t members = estimates.world_size();
  resources_.reserve(cable_at(0) + estimates.cable_rates().size() + std::size_t{members} * members);
  for (std::uint32_t rank = 0; rank < members; ++rank) resources_.push_back({.rate = estimates.uplink(rank)});
  for (std::uint32_t rank = 0; rank < members; ++rank) resources_.push_back({.rate = estimates.downlink(rank)});
  for (const double rate : estimates.cable_rates()) resources_.push_back({.rate = rate});
  for (std::uint32_t from = 0; from < members; ++from)
    for (std::uint32_t to = 0; to < members; ++to)
      resources_.push_back({.rate = from == to ? 1 : estimates.rate(from, to)});
}

std::size_t LinkPrices::pair_at(std::uint32_t from, std::uint32_t to) const {
  return cable_at(static_cast<std::uint32_t>(estimates_.cable_rates().size())) +
         static_cast<std::size_t>(from) * estimates_.world_size() + to;
}

/// Else its ends are what limits it.
bool LinkPrices::is_narrow(std::uint32_t from, std::uint32_t to) const {
  return estimates_.rate(from, to) < std::min(estimates_.uplink(from), estimates_.downlink(to));
}

double LinkPrices::way(std::uint32_t from, std::uint32_t to) const {
  double cost = resources_[from].cost() + resources_[down_of(to)].cost();
  if (const std::uint32_t cable = estimates_.cable(from, to); cable != topology::kNoCable)
    cost += resources_[cable_at(cable)].cost();
  if (is_narrow(from, to)) cost += resources_[pair_at(from, to)].cost();
  return cost;
}

double LinkPrices::hop(std::uint32_t child, std::uint32_t parent) const {
  return (climbs_ ? way(child, parent) : 0) + (descends_ ? way(parent, child) : 0);
}

std::vector<LinkPrices::Use> LinkPrices::uses(const std::vector<std::uint32_t>& parent) const {
  const std::uint32_t members = estimates_.world_size();
  std::vector<double> shared(cable_at(static_cast<std::uint32_t>(estimates_.cable_rates().size())));
  std::vector<Use> uses;
  const auto go = [&](std::uint32_t from, std::uint32_t to) {
    shared[from] += 1;
    shared[down_of(to)] += 1;
    if (const std::uint32_t cable = estimates_.cable(from, to); cable != topology::kNoCable)
      shared[cable_at(cable)] += 1;
    if (is_narrow(from, to)) uses.push_back({.resource = pair_at(from, to), .times = 1});
  };
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    if (parent[rank] == kNoParent) continue;
    if (climbs_) go(rank, parent[rank]);
    if (descends_) go(parent[rank], rank);
  }
  for (std::size_t resource = 0; resource < shared.size(); ++resource)
    if (shared[resource] > 0) uses.push_back({.resource = resource, .times = shared[resource]});
  return uses;
}

double LinkPrices::capacity(const std::vector<std::uint32_t>& parent) const {
  double least = 0;
  for (const Use& use : uses(parent)) {
    const double carried = rate(use.resource) / use.times;
    if (least == 0 || carried < least) least = carried;
  }
  return least;
}

void LinkPrices::charge(const std::vector<std::uint32_t>& parent) {
  const double carried = capacity(parent);
  for (const Use& use : uses(parent)) {
    Resource& used = resources_[use.resource];
    used.price *= 1 + kRise * carried * use.times / used.rate;
  }
}

// --------------------------------------------------------------------------------------------- trees

namespace {

/// Grows both trees from the root (Prim's algorithm): of the members that have a link to one that is reached, the one
/// with the best hop is next.
class Growth {
 public:
  Growth(const TreeWish& wish, const Estimates& estimates, const LinkPrices& prices)
      : wish_(wish),
        estimates_(estimates),
        prices_(prices),
        parent_(estimates.world_size(), kNoParent),
        depth_(estimates.world_size(), 0),
        is_reached_(estimates.world_size()),
        offers_(estimates.world_size()) {}

  std::vector<std::uint32_t> grow() {
    reach(wish_.root, kNoParent);
    const std::uint32_t hub = wish_.relay == kNoParent ? wish_.root : wish_.relay;
    if (hub != wish_.root) reach(hub, wish_.root);
    for (const std::uint32_t local_root : wish_.local_roots)
      if (!is_reached_[local_root] && estimates_.has_link(local_root, hub)) reach(local_root, hub);
    while (reached_ < estimates_.world_size()) {
      std::uint32_t best = kNoParent;
      for (std::uint32_t rank = 0; rank < estimates_.world_size(); ++rank)
        if (!is_reached_[rank] && offers_[rank].parent != kNoParent &&
            (best == kNoParent || offers_[rank] < offers_[best]))
          best = rank;
      HAWSER_ASSERT(best != kNoParent);
      reach(best, offers_[best].parent);
    }
    return std::move(parent_);
  }

 private:
  struct Offer {
    std::uint32_t parent = kNoParent;
    bool burdens_root = false;  ///< A broadcast's root sends a chunk once, if it can.
    bool crosses = false;       ///< From one region to another.
    std::uint32_t depth = 0;    ///< 0 where it does not matter.
    double price = 0;

    bool operator<(const Offer& other) const {
      return std::tie(burdens_root, crosses, depth, price) <
             std::tie(other.burdens_root, other.crosses, other.depth, other.price);
    }
  };

  void reach(std::uint32_t rank, std::uint32_t parent) {
    parent_[rank] = parent;
    depth_[rank] = parent == kNoParent ? 0 : depth_[parent] + 1;
    is_reached_[rank] = true;
    ++reached_;
    for (std::uint32_t child = 0; child < estimates_.world_size(); ++child) {
      if (is_reached_[child] || !estimates_.has_link(child, rank)) continue;
      const Offer offer{.parent = rank,
                        .burdens_root = wish_.relay != kNoParent && rank == wish_.root,
                        .crosses = wish_.regions != nullptr &&
                                   wish_.regions->of_rank[child] != wish_.regions->of_rank[rank],
                        .depth = wish_.is_cheapest ? 0 : depth_[rank],
                        .price = prices_.hop(child, rank)};
      if (offers_[child].parent == kNoParent || offer < offers_[child]) offers_[child] = offer;
    }
  }

  const TreeWish& wish_;
  const Estimates& estimates_;
  const LinkPrices& prices_;
  std::vector<std::uint32_t> parent_;
  std::vector<std::uint32_t> depth_;
  std::vector<bool> is_reached_;
  std::vector<Offer> offers_;
  std::uint32_t reached_ = 0;
};

/// The shares of trees that together carry the most.
Shares best_shares(const std::vector<Trees>& trees, const LinkPrices& prices) {
  PackingProblem problem{.variables = trees.size(), .rows = {}, .limits = {}};
  std::map<std::size_t, std::vector<double>> rows;
  double fastest = 0;
  for (std::size_t i = 0; i < trees.size(); ++i)
    for (const LinkPrices::Use& use : prices.uses(trees[i].broadcast_parent)) {
      const auto row = rows.try_emplace(use.resource, trees.size()).first;
      row->second[i] = use.times;
      fastest = std::max(fastest, prices.rate(use.resource));
    }
  for (auto& [resource, row] : rows) {
    problem.rows.push_back(std::move(row));
    problem.limits.push_back(prices.rate(resource) / fastest);
  }
  return evened_solution(std::move(problem));
}

/// Without those that have no share.
SharedTrees used_ones(std::vector<Trees> trees, const Shares& shares) {
  SharedTrees used;
  for (std::size_t i = 0; i < trees.size(); ++i) {
    if (shares[i] < kShareLeast) continue;
    used.trees.push_back(std::move(trees[i]));
    used.shares.push_back(shares[i]);
  }
  return used;
}

/// Members to whom all others would be nearest, at the prices of now.
std::vector<std::uint32_t> cheapest_roots(const Estimates& estimates, const LinkPrices& prices) {
  const std::uint32_t members = estimates.world_size();
  const std::uint32_t wanted = members <= kRootsMax ? members : kRootsOfManyMax;
  std::vector<std::pair<double, std::uint32_t>> costs;
  for (std::uint32_t root = 0; root < members; ++root) {
    double cost = 0;
    for (std::uint32_t other = 0; wanted < members && other < members; ++other)
      if (other != root) cost += (estimates.has_link(root, other) ? 1 : 2) * prices.hop(other, root);
    costs.emplace_back(cost, root);
  }
  std::sort(costs.begin(), costs.end());
  std::vector<std::uint32_t> roots;
  for (std::uint32_t i = 0; i < wanted; ++i) roots.push_back(costs[i].second);
  return roots;
}

double cost_of(const std::vector<std::uint32_t>& parent, const LinkPrices& prices) {
  double cost = 0;
  for (std::uint32_t rank = 0; rank < parent.size(); ++rank)
    if (parent[rank] != kNoParent) cost += prices.hop(rank, parent[rank]);
  return cost;
}

/// The trees that `cheapest` finds while prices rise, and their shares.
template <class Cheapest>
SharedTrees shared_trees(const Estimates& estimates, const Cheapest& cheapest) {
  LinkPrices prices(estimates, Collective::all_reduce);
  std::vector<Trees> found;
  Shares carried;
  std::map<std::vector<std::uint32_t>, std::size_t> known;
  const std::uint32_t rounds = std::clamp(16 * estimates.world_size(), kRoundsMin, kRoundsMax);
  for (std::uint32_t round = 0; round < rounds; ++round) {
    Trees trees = cheapest(prices);
    const auto [at, is_new] = known.try_emplace(trees.reduce_parent, found.size());
    if (is_new && found.size() == kTreesMax) break;
    prices.charge(trees.reduce_parent);
    if (is_new) carried.push_back(0);
    carried[at->second] += prices.capacity(trees.reduce_parent);
    if (is_new) found.push_back(std::move(trees));
  }
  if (estimates.world_size() <= kTreeProgramMax) {
    const Shares shares = best_shares(found, prices);
    return used_ones(std::move(found), shares);
  }
  const double sum = std::accumulate(carried.begin(), carried.end(), 0.0);
  for (double& share : carried) share /= sum;
  return {.trees = std::move(found), .shares = std::move(carried)};
}

/// Of a tree: how many hops to whoever is farthest, from each rank.
std::vector<std::uint32_t> hops_to_farthest(const std::vector<std::uint32_t>& parent) {
  const auto members = static_cast<std::uint32_t>(parent.size());
  std::vector<std::vector<std::uint32_t>> neighbours(members);
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    if (parent[rank] == kNoParent) continue;
    neighbours[rank].push_back(parent[rank]);
    neighbours[parent[rank]].push_back(rank);
  }
  std::vector<std::uint32_t> farthest(members);
  for (std::uint32_t from = 0; from < members; ++from) {
    std::vector<std::uint32_t> hops(members, kNoParent);
    std::vector<std::uint32_t> reached{from};
    hops[from] = 0;
    for (std::size_t i = 0; i < reached.size(); ++i)
      for (const std::uint32_t next : neighbours[reached[i]])
        if (hops[next] == kNoParent) {
          hops[next] = hops[reached[i]] + 1;
          reached.push_back(next);
        }
    farthest[from] = hops[reached.back()];
  }
  return farthest;
}

/// The same hops with another root: the way to the one so far turns round.
Trees rooted_at(Trees trees, std::uint32_t root) {
  std::uint32_t below = kNoParent;
  for (std::uint32_t rank = root; rank != kNoParent;) {
    const std::uint32_t above = std::exchange(trees.reduce_parent[rank], below);
    below = rank;
    rank = above;
  }
  trees.root = root;
  trees.broadcast_parent = trees.reduce_parent;
  return trees;
}

/// By rank: how much of the buffer should have its root there. A member that has d neighbours in the trees, and w of
/// the roots, receives (d - 1 + w) S of sums and sends as much of results. Filled to one level of its access.
Shares balanced_roots(const SharedTrees& shared, const Estimates& estimates) {
  const std::uint32_t members = estimates.world_size();
  std::vector<double> children(members, -1);
  std::vector<double> access(members);
  for (std::size_t i = 0; i < shared.trees.size(); ++i)
    for (std::uint32_t rank = 0; rank < members; ++rank) {
      if (rank == shared.trees[i].root) continue;
      children[rank] += shared.shares[i];
      children[shared.trees[i].reduce_parent[rank]] += shared.shares[i];
    }
  double high = 0;
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    access[rank] = std::min(estimates.uplink(rank), estimates.downlink(rank));
    high = std::max(high, (children[rank] + 1) / access[rank]);
  }
  const auto filled = [&](double level) {
    Shares roots;
    for (std::uint32_t rank = 0; rank < members; ++rank)
      roots.push_back(std::max(0.0, level * access[rank] - children[rank]));
    return roots;
  };
  double low = 0;
  for (int i = 0; i < kRootHalvings; ++i) {
    const double middle = (low + high) / 2;
    const Shares roots = filled(middle);
    (std::accumulate(roots.begin(), roots.end(), 0.0) < 1 ? low : high) = middle;
  }
  return filled(high);
}

/// Any member can be the root of a tree without a difference to what it loads in all; but sums go first, and results
/// after them. So roots are spread until both take each access evenly, among members that are about in the middle.
SharedTrees with_balanced_roots(const SharedTrees& shared, const Estimates& estimates) {
  Shares wanted = balanced_roots(shared, estimates);
  SharedTrees balanced;
  for (std::size_t i = 0; i < shared.trees.size(); ++i) {
    const std::vector<std::uint32_t> farthest = hops_to_farthest(shared.trees[i].reduce_parent);
    const std::uint32_t least = *std::min_element(farthest.begin(), farthest.end());
    double left = shared.shares[i];
    while (left > kShareLeast) {
      std::uint32_t best = kNoParent;
      for (std::uint32_t rank = 0; rank < farthest.size(); ++rank)
        if (farthest[rank] <= least + 1 && (best == kNoParent || wanted[rank] > wanted[best])) best = rank;
      const double given = wanted[best] > kShareLeast ? std::min(left, wanted[best]) : left;
      wanted[best] -= given;
      left -= given;
      balanced.trees.push_back(rooted_at(shared.trees[i], best));
      balanced.shares.push_back(given);
    }
  }
  return balanced;
}

}  // namespace

Trees trees_along_links(const TreeWish& wish, const Estimates& estimates, const LinkPrices& prices) {
  Trees trees{.root = wish.root, .reduce_parent = Growth(wish, estimates, prices).grow(), .broadcast_parent = {}};
  trees.broadcast_parent = trees.reduce_parent;
  return trees;
}

SharedTrees flat_trees_along_links(const Estimates& estimates) {
  return shared_trees(estimates, [&](const LinkPrices& prices) {
    Trees best;
    double least = 0;
    for (const std::uint32_t root : cheapest_roots(estimates, prices)) {
      Trees trees = trees_along_links({.root = root}, estimates, prices);
      const double cost = cost_of(trees.reduce_parent, prices);
      if (!best.reduce_parent.empty() && cost >= least) continue;
      best = std::move(trees);
      least = cost;
    }
    return best;
  });
}

SharedTrees deep_trees_along_links(const Estimates& estimates) {
  const SharedTrees shared = shared_trees(estimates, [&](const LinkPrices& prices) {
    return trees_along_links({.root = 0, .is_cheapest = true}, estimates, prices);
  });
  return with_balanced_roots(shared, estimates);
}

TreeCycle direct_cycle_along_links(const Estimates& estimates, Collective collective, std::uint32_t turns) {
  LinkPrices prices(estimates, collective);
  TreeCycle made;
  std::map<std::vector<std::uint32_t>, std::uint32_t> known;
  for (std::uint32_t turn = 0; turn < turns; ++turn)
    for (std::uint32_t root = 0; root < estimates.world_size(); ++root) {
      Trees trees = trees_along_links({.root = root}, estimates, prices);
      prices.charge(trees.reduce_parent);
      const auto [at, is_new] =
          known.try_emplace(trees.reduce_parent, static_cast<std::uint32_t>(made.trees.size()));
      if (is_new) made.trees.push_back(std::move(trees));
      made.cycle.push_back(at->second);
    }
  return made;
}

SharedTrees relay_trees_along_links(const Estimates& estimates, std::uint32_t root) {
  LinkPrices prices(estimates, Collective::broadcast);
  std::vector<Trees> found;
  for (std::uint32_t relay = 0; relay < estimates.world_size() && found.size() < kTreesMax; ++relay) {
    if (relay == root || !estimates.has_link(root, relay)) continue;
    found.push_back(trees_along_links({.root = root, .relay = relay}, estimates, prices));
    prices.charge(found.back().broadcast_parent);
  }
  const Shares shares = best_shares(found, prices);
  return used_ones(std::move(found), shares);
}

}  // namespace hawser
