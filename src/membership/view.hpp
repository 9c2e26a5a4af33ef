#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/key_id.hpp"

namespace hawser {

/// A peer as the others know it.
struct Member {
  PeerId id;
  std::string name;
  Address address;  ///< Where it listens for links.
  /// Equal for peers on one machine and in one network of it (its name space); 0: not known.
  std::uint64_t machine = 0;
  /// That it has proven to the master, and that its links must prove. All zero: the run has no keys.
  KeyId key{};
  /// It has no tensors: it adds and passes on what the others send it, and takes part in nothing else.
  bool is_relay = false;
  std::uint64_t relay_bytes_per_second = 0;  ///< That a relay offers in each direction; 0: it does not say.
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

/// An agreed, ordered list of a group's members. A member's position is its rank. Relays come after all members that
/// have tensors, and are counted where it says so only.
struct View {
  Epoch epoch;
  ViewId id;
  std::uint32_t group = 0;
  /// What links between members of this view show each other, so that a stranger cannot pose as a member.
  std::uint64_t link_secret = 0;
  std::vector<Member> members;  ///< Relays included.

  /// With relays.
  std::uint32_t nodes() const { return static_cast<std::uint32_t>(members.size()); }
  std::uint32_t relays() const {
    std::uint32_t relays = 0;
    while (relays < nodes() && members[nodes() - 1 - relays].is_relay) ++relays;
    return relays;
  }
  /// Without relays.
  std::uint32_t size() const { return nodes() - relays(); }
  /// Of relays, too.
  std::optional<std::uint32_t> rank_of(PeerId peer) const {
    for (std::uint32_t rank = 0; rank < nodes(); ++rank)
      if (members[rank].id == peer) return rank;
    return std::nullopt;
  }
  bool is_relay(PeerId peer) const {
    const Member* const member = find(peer);
    return member != nullptr && member->is_relay;
  }
  const Member* find(PeerId peer) const {
    const auto rank = rank_of(peer);
    return rank ? &members[*rank] : nullptr;
  }
  /// By what all members were told alike of their machines; of those not known, by their addresses.
  bool spans_hosts() const {
    return std::any_of(members.begin(), members.end(), [this](const Member& member) {
      const Member& first = members.front();
      if (member.machine != 0 && first.machine != 0) return member.machine != first.machine;
      return member.address.host != first.address.host;
    });
  }
  friend bool operator==(const View&, const View&) = default;
};

/// Relays stand behind all others.
bool relays_come_last(const std::vector<Member>& members);
/// Brings them there; those who have tensors, and those who have none, keep their order.
void put_relays_last(std::vector<Member>& members);

/// 64 bits that differ when anything in the view does. Finds views that are not alike, not forgers.
std::uint64_t fingerprint(const View& view);

/// What has become of a list of members since its receiver was last told: those that went, then those that came, at its
/// end. Grows with what has changed, not with the list.
struct MemberChange {
  bool whole = false;  ///< The list begins anew: these are all.
  std::vector<Member> came;
  std::vector<PeerId> gone;
  bool empty() const { return !whole && came.empty() && gone.empty(); }
  friend bool operator==(const MemberChange&, const MemberChange&) = default;
};
MemberChange whole_list(std::vector<Member> members);
/// For lists of which the later one begins with what is left of the former, in its order. Those `anew` have gone, and
/// are told as having come again where the later list has them.
MemberChange change_between(const std::vector<Member>& before, const std::vector<Member>& after,
                            const std::unordered_set<PeerId>& anew = {});
/// False if the change is not one of this list: somebody goes who is not in it, comes who is, or comes twice. The list
/// is then as it was.
bool apply(const MemberChange& change, std::vector<Member>& members);

/// Sizes over all groups.
struct World {
  std::uint32_t size = 0;
  std::uint32_t group_count = 0;
  std::uint32_t largest_group_size = 0;
  friend bool operator==(const World&, const World&) = default;
};

}  // namespace hawser
