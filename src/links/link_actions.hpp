#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/key_id.hpp"
#include "base/log_event.hpp"
#include "links/connection_name.hpp"

/// What a LinkTable asks of whoever drives it, in the order in which it is to be done.
namespace hawser::links {

/// A TCP connection, from the accept or the dial to its end. A table never uses a number twice; 0 is none.
using SocketId = Id<struct SocketIdTag>;

/// Who answers at the address is a go-between. It is to be told this greeting first; when it has accepted, what lies
/// beyond is the peer itself, with a key of its own.
struct Through {
  std::vector<std::byte> greeting;
  std::optional<KeyId> key{};
};
/// Connect to this address. Answered by dialled() or dial_failed(), unless Close comes before.
struct Dial {
  SocketId socket;
  PeerId peer;  ///< Who gave the address.
  Address to;
  std::optional<KeyId> key{};  ///< Whose key the other side must have; none: any.
  std::optional<Through> through{};
};
/// Another peer wants to be connected to this one by a go-between: go there, and take what comes of it as a connection
/// that was accepted. Not answered.
struct Come {
  PeerId peer;  ///< The go-between.
  Address to;
  std::optional<KeyId> key{};
  Through through;
};
/// Ask the master that both sides of this link dial each other at once. Answered by dial_at_once(), or not.
struct AskBothDial {
  PeerId peer;
  std::string why;  ///< Why the other side's address was not reached; empty: not known yet.
};
/// Dial all of these addresses from the port that this side listens on, while the other side does the same. Answered by
/// punched() or dial_failed(), unless Close comes before; or by yielded(), where the dials have crossed and the other
/// side is to greet.
struct Punch {
  SocketId socket;
  PeerId peer;  ///< Who gave the addresses.
  std::vector<Address> to;
  std::optional<KeyId> key{};
  bool greets_if_crossed = false;
};
/// Write these bytes, a greeting or its answer, without waiting. Answered by sent(), or by broke() if not all of them
/// were taken; a Close of the same socket may follow, and then neither is asked for.
struct Send {
  SocketId socket;
  std::vector<std::byte> bytes;
};
/// Close it, whatever its state. It is heard of no more.
struct Close {
  SocketId socket;
};
/// Greeting and answer are exchanged: it carries frames from now on, once Up was passed on.
struct Establish {
  SocketId socket;
  ConnectionName name;
  bool same_machine = false;  ///< Both ends have proven it.
};
/// To the engine: this connection is established.
struct Up {
  ConnectionName name;
  std::uint64_t incarnation = 0;  ///< Tells it from earlier and later connections of this number.
  Duration round_trip{};          ///< As its handshake showed; 0: the system does not tell.
  bool same_machine = false;
  PeerId by{};                    ///< The go-between that it goes by; none: it has a way of its own.
};
/// To the engine: the connection of this incarnation is established no more.
struct Down {
  ConnectionName name;
  std::uint64_t incarnation = 0;
  std::string reason;
};
/// To the engine: no connection of the link is established, and nobody listens where this side had got through before.
struct Refused {
  PeerId peer;
};
/// To the engine: why the straight way to this peer does not stand, as this side's last try of it ended. Told when that
/// changes, as long as there is no straight connection.
struct StraightFailed {
  PeerId peer;
  std::string why;
};
/// To the engine: how long round trips on a link have taken of late, the mean of its connections, and at least.
struct RoundTrips {
  PeerId peer;
  Duration round_trip{};
  Duration round_trip_least{};
};
/// Look at these connections. Answered by sampled().
struct TakeSamples {
  std::vector<SocketId> sockets;
};
/// So many bytes may wait in the system for the network, beyond what this connection is writing.
struct LimitQueue {
  SocketId socket;
  std::size_t bytes = 0;
};
/// From now on let its congestion control be BBR, if the system lets this process choose that.
struct UseBbr {
  SocketId socket;
};
/// Tell the other side how many connections the link should have.
struct AskConnections {
  SocketId socket;
  std::uint32_t connections = 0;
};

/// Tell the other side of this established connection that a peer waits for it here.
struct Invite {
  SocketId socket;
  PeerId who;
};
/// Answer both so, and join these two connections end to end: what one brings goes to the other. That ends with broke()
/// of the first, or with Close of it.
struct Join {
  SocketId first;
  SocketId second;
  std::vector<std::byte> answer;
};

using Action = std::variant<Dial, Come, AskBothDial, Punch, Send, Close, Establish, Up, Down, Refused, StraightFailed,
                            RoundTrips, TakeSamples, LimitQueue, UseBbr, AskConnections, Invite, Join, LogEvent>;
using Actions = std::vector<Action>;

}  // namespace hawser::links
