#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/signature.hpp"
#include "plan/chunking.hpp"

namespace hawser {

struct Network;

inline constexpr std::uint32_t kNoParent = std::numeric_limits<std::uint32_t>::max();

/// The reduce tree and the broadcast tree of a chunk, as the parent of each rank. The root has none, nor has a relay
/// that is not in the trees.
struct Trees {
  std::uint32_t root = 0;
  std::vector<std::uint32_t> reduce_parent;
  std::vector<std::uint32_t> broadcast_parent;
  friend bool operator==(const Trees&, const Trees&) = default;
};

/// For every chunk: partial sums climb its reduce tree to the root (all-reduce, reduce-scatter), the result
/// descends its broadcast tree (all but reduce-scatter).
struct Plan {
  Collective collective = Collective::all_reduce;
  PlanKind kind = PlanKind::direct;
  std::string reason;  ///< Why this kind, for a person.
  std::uint32_t world_size = 0;  ///< Ranks that have tensors.
  /// Of those behind them, which have none: relays that trees may have in them. 0: these trees have none.
  std::uint32_t relays = 0;
  Chunking chunking;
  std::vector<Trees> trees;  ///< None where there are no elements (a barrier).
  /// Which trees chunk c uses: trees[cycle[c % cycle.size()]], so that some can be used more than others. Empty:
  /// trees[c % trees.size()].
  std::vector<std::uint32_t> cycle;
  double predicted_seconds = 0;  ///< 0: nothing is known of the links.
  /// Some pairs have no way of their own, and no tree uses one of these.
  bool along_links = false;

  /// All that trees may have in them.
  std::uint32_t nodes() const { return world_size + relays; }
  bool climbs() const { return reduces(collective); }
  bool descends() const { return collective != Collective::reduce_scatter; }
  std::size_t tree_index(std::uint64_t chunk) const {
    return cycle.empty() ? static_cast<std::size_t>(chunk % trees.size())
                         : cycle[static_cast<std::size_t>(chunk % cycle.size())];
  }
  const Trees& trees_of(std::uint64_t chunk) const { return trees[tree_index(chunk)]; }
  friend bool operator==(const Plan&, const Plan&) = default;
};

/// What 1024 elements are on the wire, in bytes. 0: as many as in memory.
struct WireBytes {
  std::uint64_t leaf_up = 0;   ///< Values of a member that nobody sends to.
  std::uint64_t inner_up = 0;  ///< Partial sums.
  std::uint64_t down = 0;      ///< Results.
};

struct PlanInput {
  PlanKind kind = PlanKind::automatic;
  std::uint32_t world_size = 2;
  std::uint64_t elements = 0;       ///< As in Signature::count.
  std::uint32_t element_bytes = 4;  ///< Of what a chunk's size shall be reckoned in.
  Collective collective = Collective::all_reduce;
  std::uint32_t root = 0;  ///< Of a broadcast.
  WireBytes wire;
  const Network* network = nullptr;  ///< Of as many members; null: nothing is known of the links.
  bool between_hosts = false;        ///< As in ChunkingInput.
  /// Members have links along rows of so many ranks and along columns only, and nothing is known of them
  /// (base/link_layout.hpp). 0: all have links to each other.
  std::uint32_t row_width = 0;
  /// As many as the view has; they have the ranks behind the members'.
  std::uint32_t relays = 0;
  /// Where the choice is automatic: a plan must be predicted to be faster by more than this than a simpler one. The
  /// error of what is measured; so noise makes no plan, and none is chosen whose gain is in doubt.
  std::uint32_t margin_percent = 15;
};

/// The plan of one call: the same on every member, since it depends on the arguments alone (the network's
/// content included). Without a network: direct, unless a ring is asked for. Without all links: hierarchical by rows,
/// unless a ring is asked for. With a network: the simplest of the plans that no other beats by the margin in predicted
/// time, or the best plan of the kind that is asked for. O(N^2 + slots * N): see docs/planning.md.
Plan make_plan(const PlanInput& input);

/// Both trees are chains around the ring (Patarasu and Yuan 2009): for root r the sum climbs
/// r+1, r+2, .., r and the result descends r, r+1, .., r-1.
Trees ring_trees(std::uint32_t root, std::uint32_t world_size);
/// The same around a ring of ranks in this order.
Trees ring_trees(std::uint32_t root, const std::vector<std::uint32_t>& order);

/// Both trees are stars: everybody sends to the root, the root sends to everybody.
Trees direct_trees(std::uint32_t root, std::uint32_t world_size);

/// A broadcast's only root, and its chunk's way through one relay to everybody else: so the root sends each
/// chunk once, and the others share the spreading (van de Geijn's scatter and all-gather, per chunk). With
/// relay == root everybody gets it from the root.
Trees relay_trees(std::uint32_t root, std::uint32_t relay, std::uint32_t world_size);

/// Both trees are stars with a relay at the root: all members send to it, and it sends to them.
Trees relayed_trees(std::uint32_t relay, std::uint32_t world_size, std::uint32_t relays);
/// Stars with a member at the root, beside which others have relays in them.
Trees direct_trees_beside_relays(std::uint32_t root, std::uint32_t world_size, std::uint32_t relays);

/// Proves that each element of each member is counted exactly once and reaches every member: the chunks
/// tile the buffer, and both trees of every chunk span all ranks that have tensors. Says what is wrong otherwise.
Result<void> plan_check(const Plan& plan);

/// Beyond that, of a plan from this network: one that says so keeps to pairs that have a way of their own, and it says
/// so wherever these join all members.
Result<void> plan_check(const Plan& plan, const Network& network);

}  // namespace hawser
