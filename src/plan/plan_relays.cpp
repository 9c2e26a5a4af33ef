#include "plan/plan_relays.hpp"

#include <algorithm>
#include <vector>

namespace hawser {
namespace {

bool reaches_all(const topology::Estimates& estimates, std::uint32_t node, std::uint32_t world_size) {
  for (std::uint32_t rank = 0; rank < world_size; ++rank)
    if (rank != node && !estimates.has_link(node, rank)) return false;
  return true;
}

}  // namespace

SharedTrees relayed_shares(const topology::Estimates& estimates, std::uint32_t world_size) {
  const std::uint32_t nodes = estimates.world_size();
  const auto members = static_cast<double>(world_size);
  const auto access = [&](std::uint32_t node) { return std::min(estimates.uplink(node), estimates.downlink(node)); };
  std::vector<std::uint32_t> relays;
  double relay_capacity = 0;
  for (std::uint32_t node = world_size; node < nodes; ++node) {
    if (!reaches_all(estimates, node, world_size)) continue;
    relays.push_back(node);
    relay_capacity += access(node) / members;
  }
  if (relays.empty()) return {};
  bool members_are_roots = world_size > 2;
  double member_capacity = 0;
  double slowest = access(0);
  for (std::uint32_t rank = 0; rank < world_size; ++rank) {
    members_are_roots = members_are_roots && reaches_all(estimates, rank, world_size);
    member_capacity += access(rank);
    slowest = std::min(slowest, access(rank));
  }
  // A byte of the buffer takes so long: members send and receive it once.
  double seconds = 1 / slowest;
  const double others = members - 2;
  if (seconds * relay_capacity < 1) {
    const double beside = members_are_roots ? (seconds * member_capacity - members) / others : 0;
    if (!members_are_roots)
      seconds = 1 / relay_capacity;
    else if (seconds * relay_capacity + beside < 1)
      seconds = (1 + members / others) / (relay_capacity + member_capacity / others);
  }
  SharedTrees made;
  const double of_relays = std::min(1.0, seconds * relay_capacity);
  for (const std::uint32_t relay : relays) {
    made.trees.push_back(relayed_trees(relay, world_size, nodes - world_size));
    made.shares.push_back(of_relays * (access(relay) / members) / relay_capacity);
  }
  if (!members_are_roots || of_relays >= 1) return made;
  // What is left to members, in proportion to what they could take.
  const double could_take = (seconds * member_capacity - members) / others;
  for (std::uint32_t rank = 0; rank < world_size; ++rank) {
    const double could = std::max(0.0, (seconds * access(rank) - 1) / others);
    if (could_take <= 0 || could <= 0) continue;
    made.trees.push_back(direct_trees_beside_relays(rank, world_size, nodes - world_size));
    made.shares.push_back((1 - of_relays) * could / could_take);
  }
  return made;
}

}  // namespace hawser
