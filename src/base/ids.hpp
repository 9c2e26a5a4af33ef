#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace hawser {

/// A number that cannot be mistaken for another kind of number.
template <class Tag>
struct Id {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

/// Names one run of one communicator. Drawn at random by the peer, so that a master that lost its memory
/// cannot hand it out twice.
using PeerId = Id<struct PeerIdTag>;
/// Names a training run over restarts of its master.
using RunId = Id<struct RunIdTag>;
/// Orders the views of a run. Two views of one run that both were announced differ in it, save for views
/// that a dying master announced to nobody who lives; hence `ViewId`.
using Epoch = Id<struct EpochTag>;
/// Identifies a view beyond doubt: drawn at random by the master that made it.
using ViewId = Id<struct ViewIdTag>;
/// Peers that come and go together. Drawn at random by them.
using PartyId = Id<struct PartyIdTag>;
/// Names a blocking call of the application until its end.
using CallId = Id<struct CallIdTag>;
/// A control connection as the driver of a machine numbers it.
using ConnectionId = Id<struct ConnectionIdTag>;

}  // namespace hawser

template <class Tag>
struct std::hash<hawser::Id<Tag>> {
  std::size_t operator()(const hawser::Id<Tag>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};
