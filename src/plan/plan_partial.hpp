#pragma once

#include <cstdint>
#include <vector>

#include "base/signature.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "plan/plan_hierarchical.hpp"

/// Trees where some pairs have no way of their own, made of the links that there are. Whoever has no link to the root
/// sends to a member that has, which adds: no byte goes a way twice, as it would by a go-between that only passes on.
///
/// Trees are chosen by prices, as in fractional packing (Garg and Koenemann 2007): what trees use of an access, a pair
/// or a cable makes it dearer, and the next tree takes the cheapest that is left. So detours are spread over all
/// members that can serve them.
namespace hawser {

/// The prices of accesses, pairs and cables for one kind of collective. Only + - * / and comparisons, in a fixed order.
class LinkPrices {
 public:
  LinkPrices(const topology::Estimates& estimates, Collective collective);

  /// Of a chunk between a member and its parent, there and back as the collective goes.
  double hop(std::uint32_t child, std::uint32_t parent) const;
  /// How many bytes of a buffer the trees could carry in a second if nothing else was under way.
  double capacity(const std::vector<std::uint32_t>& parent) const;
  /// Trees carry as much as they can.
  void charge(const std::vector<std::uint32_t>& parent);

  /// How often trees use a resource for each chunk. A pair that is as fast as its ends is none.
  struct Use {
    std::size_t resource = 0;
    double times = 0;
  };
  std::vector<Use> uses(const std::vector<std::uint32_t>& parent) const;
  double rate(std::size_t resource) const { return resources_[resource].rate; }

 private:
  struct Resource {
    double rate = 0;
    double price = 1;
    double cost() const { return price / rate; }
  };
  std::size_t down_of(std::uint32_t rank) const { return estimates_.world_size() + rank; }
  std::size_t cable_at(std::uint32_t cable) const { return 2 * std::size_t{estimates_.world_size()} + cable; }
  std::size_t pair_at(std::uint32_t from, std::uint32_t to) const;
  bool is_narrow(std::uint32_t from, std::uint32_t to) const;
  double way(std::uint32_t from, std::uint32_t to) const;

  const topology::Estimates& estimates_;
  bool climbs_;
  bool descends_;
  std::vector<Resource> resources_;  ///< Uplinks, downlinks, cables, pairs.
};

/// What trees are to look like where links allow it.
struct TreeWish {
  std::uint32_t root = 0;
  std::uint32_t relay = kNoParent;  ///< Of a broadcast: gets each chunk from the root and spreads it.
  /// Null: as flat as can be. Else as few hops between regions as can be, and by these members of each region.
  const topology::Regions* regions = nullptr;
  std::vector<std::uint32_t> local_roots{};
  /// By price alone, and as deep as that leads. Else breadth first, and among equals by price.
  bool is_cheapest = false;
};

/// Both trees alike, along existing links alone. The links join all members. O(N^2).
Trees trees_along_links(const TreeWish& wish, const topology::Estimates& estimates, const LinkPrices& prices);

/// Trees of any roots with their shares, all as flat as links allow, that end an all-reduce soonest. Up to 32 members
/// the shares are those of a linear program over all trees that the prices have led to.
SharedTrees flat_trees_along_links(const topology::Estimates& estimates);

/// The same of trees of any depth: more hops, and they divide what is to be sent best.
SharedTrees deep_trees_along_links(const topology::Estimates& estimates);

/// Every rank is a root in its turn, `turns` times, by other ways each time.
TreeCycle direct_cycle_along_links(const topology::Estimates& estimates, Collective collective, std::uint32_t turns);

/// Of a broadcast, with each of the root's neighbours as the relay of a share.
SharedTrees relay_trees_along_links(const topology::Estimates& estimates, std::uint32_t root);

}  // namespace hawser
