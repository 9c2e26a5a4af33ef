#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"

namespace hawser {

/// A peer as the others know it.
struct Member {
  PeerId id;
  std::string name;
  Address address;  ///< Where it listens for links.
  friend bool operator==(const Member&, const Member&) = default;
};

/// Peers, often of different groups, of which each is of no use without the others: ranks that share one
/// replica of a sharded model. They are admitted together, and lost together. None if `size` is below 2.
struct Party {
  PartyId id;
  std::uint32_t size = 0;
  bool exists() const { return size > 1; }
  friend bool operator==(const Party&, const Party&) = default;
};

/// An agreed, ordered list of a group's members. A member's position is its rank.
struct View {
  Epoch epoch;
  ViewId id;
  std::uint32_t group = 0;
  /// What links between members of this view show each other, so that a stranger cannot pose as a member.
  std::uint64_t link_secret = 0;
  std::vector<Member> members;

  std::uint32_t size() const { return static_cast<std::uint32_t>(members.size()); }
  std::optional<std::uint32_t> rank_of(PeerId peer) const {
    for (std::uint32_t rank = 0; rank < size(); ++rank)
      if (members[rank].id == peer) return rank;
    return std::nullopt;
  }
  const Member* find(PeerId peer) const {
    const auto rank = rank_of(peer);
    return rank ? &members[*rank] : nullptr;
  }
  /// By the addresses that all members were told alike.
  bool spans_hosts() const {
    return std::any_of(members.begin(), members.end(),
                       [this](const Member& member) { return member.address.host != members.front().address.host; });
  }
  friend bool operator==(const View&, const View&) = default;
};

/// Sizes over all groups.
struct World {
  std::uint32_t size = 0;
  std::uint32_t group_count = 0;
  std::uint32_t largest_group_size = 0;
  friend bool operator==(const World&, const World&) = default;
};

}  // namespace hawser
