#include <utility>

#include "membership/master_state.hpp"

/// Peers that do not reach each other: both are told, at one time, to dial. A dial from inside opens a NAT for the other
/// one's, so one of the two gets through, or they cross. The master sees by which port a NAT shows a peer, if its
/// control connection comes from the port that it listens on.
namespace hawser {

void MasterMachine::State::said(Instant, PeerId id, const Ways& message, MasterActions&) {
  const auto found = peers_.find(id);
  if (found != peers_.end()) found->second.ways = message;
}

DialEachOther MasterMachine::State::introduced(const Peer& peer) {
  DialEachOther message{.peer = peer.who.id, .seen = {.host = peer.seen_host}, .ways = peer.ways};
  if (peer.ways.is_from_port) message.seen.port = peer.seen_port;
  return message;
}

void MasterMachine::State::said(Instant now, PeerId id, const BothDial& message, MasterActions& out) {
  const auto found = peers_.find(id);
  const auto other = peers_.find(message.to);
  if (found == peers_.end() || other == peers_.end() || found == other) return;
  Peer& from = found->second;
  Peer& to = other->second;
  if (from.who.group != to.who.group || from.role == Role::recovering || to.role == Role::recovering) return;
  if (!from.connection || !to.connection || !from.both_dial.take(now)) return;
  tell(from, introduced(to), out);
  tell(to, introduced(from), out);
  if (message.why.empty() || !std::exchange(to.advertises, false)) return;
  tell(to,
       Notice{name_of(from) + " does not reach the advertise_address " + to_string(to.who.address) + ": " + message.why +
              "; correct it, or give none where the master sees this peer at the right address"},
       out);
}

}  // namespace hawser
