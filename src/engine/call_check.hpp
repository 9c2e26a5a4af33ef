#pragma once

#include <cstddef>

#include "base/result.hpp"
#include "engine/peer_engine.hpp"

/// Which collectives a peer begins, and which not. The engine judges by these rules when it comes to a call. Whoever
/// has to know earlier, before any other member hears of it, asks them too.
namespace hawser {

/// Elements, buffers, quantisation, residual and probes: usable, and buffers equal where that means in place, or
/// disjoint. Errors: invalid_argument, invalid_usage.
Result<void> check_arguments(const CollectiveStart& call, const View& view, PeerId self);

/// Of the buffers of a call whose arguments are fine; 0 for one that is not used.
struct BufferBytes {
  std::size_t send = 0;
  std::size_t receive = 0;
};
BufferBytes buffer_bytes(const CollectiveCall& call, const View& view, PeerId self);

/// Where a call finds a peer.
struct CallSituation {
  const Error& not_a_member;  ///< As EngineInfo::not_a_member.
  const View& view;
  Epoch calls_since;  ///< As EngineInfo::calls_since.
  PeerId self;
  bool updating = false;        ///< An update-topology is under way.
  std::size_t in_flight = 0;    ///< Collectives.
  bool probing = false;         ///< One of them is an optimize-topology.
  bool tag_in_flight = false;   ///< One of them has the tag of this call.
  LinkLayout links{};
};

/// Likewise, and the rest: whether it may begin now. Errors: these, peer_lost (its view is over), and why this peer is
/// no member.
Result<void> check_call(const CollectiveStart& call, const CallSituation& situation);

/// It begins again where nothing but relays has gone.
inline bool begins_again(const CollectiveStart& call) { return call.begins_again && !call.transfer && !call.probing; }

}  // namespace hawser
