#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "base/signature.hpp"
#include "membership/view.hpp"

/// The control messages between peers and the master, as values. `src/wire` turns them into bytes.
namespace hawser {

/// Bumped when a message changes its meaning.
inline constexpr std::uint32_t kProtocolVersion = 1;

// ------------------------------------------------------------------------------------ peer to master

/// Who a peer is. `address.host` may be empty: the master fills in what it sees.
/// Peers, often of different groups, of which each is of no use without the others: ranks that share one
/// replica of a sharded model. They are admitted together, and lost together. None if `size` is below 2.
struct Party {
  PartyId id;
  std::uint32_t size = 0;
  bool exists() const { return size > 1; }
  friend bool operator==(const Party&, const Party&) = default;
};

struct Introduction {
  std::uint32_t protocol_version = kProtocolVersion;
  PeerId id;
  std::uint64_t token = 0;  ///< Known to this peer and the master only; proves a resume.
  std::uint32_t group = 0;
  std::string name;
  Address address;
  Party party{};
  friend bool operator==(const Introduction&, const Introduction&) = default;
};

/// A newcomer asks to join.
struct Hello {
  Introduction who;
  /// It first fetches the state from the members, as their guest; not to be admitted before its PrefetchOver.
  bool prefetches = false;
  friend bool operator==(const Hello&, const Hello&) = default;
};

/// A collective whose outcome the peer does not know.
struct UndecidedOp {
  OpKey key;
  Signature signature;
  bool reported = false;  ///< Its result is whole here.
  friend bool operator==(const UndecidedOp&, const UndecidedOp&) = default;
};

/// A member comes back after its control connection broke: all that it knows.
struct Resume {
  Introduction who;
  RunId run;
  View view;
  std::vector<UndecidedOp> undecided;
  std::vector<OpKey> committed;  ///< Most recent ones, of any epoch.
  bool in_update = false;        ///< It waits in update-topology.
  /// Update-topology calls of its group that this peer saw succeed; tells a call that is over from a new one.
  std::uint64_t update_round = 0;
  friend bool operator==(const Resume&, const Resume&) = default;
};

/// "I have called this collective." Sent only for those that last: a short one is told by its report.
struct Begun {
  OpKey key;
  Signature signature;
  friend bool operator==(const Begun&, const Begun&) = default;
};

/// "My result of this collective is whole."
struct Report {
  OpKey key;
  Signature signature;
  friend bool operator==(const Report&, const Report&) = default;
};

/// "This collective makes no progress here; these are the peers that I wait for." With nobody in the lists:
/// "it goes on", said again and again while a long collective lasts.
struct Complaint {
  OpKey key;
  std::uint64_t stalled_ms = 0;
  std::vector<PeerId> waiting_for;
  std::vector<PeerId> unresponsive;  ///< Nothing came over the links to these since they were probed.
  friend bool operator==(const Complaint&, const Complaint&) = default;
};

/// "I have called update-topology."
struct UpdateCall {
  friend bool operator==(const UpdateCall&, const UpdateCall&) = default;
};

/// Links for the proposed view are open, or cannot be opened to `unreachable`.
struct Prepared {
  ViewId view;
  std::vector<PeerId> unreachable;
  friend bool operator==(const Prepared&, const Prepared&) = default;
};

/// "I may be admitted from now on": this guest has fetched what it wanted, or has given up.
struct PrefetchOver {
  friend bool operator==(const PrefetchOver&, const PrefetchOver&) = default;
};

struct Leave {
  friend bool operator==(const Leave&, const Leave&) = default;
};

struct Ping {
  friend bool operator==(const Ping&, const Ping&) = default;
};

using PeerMessage =
    std::variant<Hello, Resume, Begun, Report, Complaint, UpdateCall, Prepared, Leave, Ping, PrefetchOver>;

// ------------------------------------------------------------------------------------ master to peer

/// The hello or resume was taken up. A newcomer is pending now.
struct Welcome {
  RunId run;
  std::string seen_host;  ///< The peer's address as the master sees it.
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// Nothing will come of this connection.
struct Refused {
  Error error;
  friend bool operator==(const Refused&, const Refused&) = default;
};

/// Open links to the members of this view that you have none to, then answer Prepared.
struct Prepare {
  View view;
  friend bool operator==(const Prepare&, const Prepare&) = default;
};

/// From here on this view holds. Collectives of older views that no Committed was sent for are aborted
/// with `cause`.
struct StartView {
  View view;
  World world;
  Error cause;  ///< Status success where nothing was aborted (an admission).
  std::uint64_t update_round = 0;  ///< Where a newcomer starts to count.
  friend bool operator==(const StartView&, const StartView&) = default;
};

/// The collective is true for everybody.
struct Committed {
  OpKey key;
  friend bool operator==(const Committed&, const Committed&) = default;
};

/// The update-topology call is over; the view in force is the newest that was started.
struct UpdateDone {
  Error error;  ///< Status success, or why it failed.
  std::uint64_t update_round = 0;  ///< Those of the group that have succeeded, this one included.
  friend bool operator==(const UpdateDone&, const UpdateDone&) = default;
};

/// What a peer may like to know about the others, sent when it changes.
struct WorldNews {
  World world;
  std::uint32_t pending = 0;
  friend bool operator==(const WorldNews&, const WorldNews&) = default;
};

/// To a guest: the members of its group now, whom it may ask for state. Nobody if the group has no members,
/// or none that are known yet.
struct Hosts {
  std::vector<Member> members;
  std::uint64_t link_secret = 0;
  friend bool operator==(const Hosts&, const Hosts&) = default;
};

/// To a member: the guests of its group now. Links to them show the secret of the view.
struct Guests {
  std::vector<Member> guests;
  friend bool operator==(const Guests&, const Guests&) = default;
};

/// This peer is no longer in the run.
struct Expelled {
  Error error;
  friend bool operator==(const Expelled&, const Expelled&) = default;
};

struct Pong {
  friend bool operator==(const Pong&, const Pong&) = default;
};

using MasterMessage = std::variant<Welcome, Refused, Prepare, StartView, Committed, UpdateDone, WorldNews,
                                   Expelled, Pong, Hosts, Guests>;

}  // namespace hawser
