#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "base/signature.hpp"
#include "membership/run_status.hpp"
#include "membership/view.hpp"

/// The control messages between peers and the master, as values. `src/wire` turns them into bytes.
namespace hawser {

/// Bumped when a message changes its meaning.
inline constexpr std::uint32_t kProtocolVersion = 2;

// ------------------------------------------------------------------------------------ peer to master

/// Who a peer is. `address.host` may be empty: the master fills in what it sees.
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

/// How much of what the plan counts on a link has delivered.
struct Flow {
  PeerId to;
  std::uint32_t percent = 0;
  friend bool operator==(const Flow&, const Flow&) = default;
};

/// "This collective makes no progress here; these are the peers that I wait for." With nobody in the lists:
/// "it goes on", said again and again while a long collective lasts, and which links deliver less than they were
/// expected to.
struct Complaint {
  OpKey key;
  std::uint64_t stalled_ms = 0;
  std::vector<PeerId> waiting_for;
  std::vector<PeerId> unresponsive;  ///< Nothing came over the links to these since they were probed.
  std::uint64_t period_ms = 0;       ///< That the flows are about.
  std::vector<Flow> flows{};         ///< Of links on which data of it waited all that time; below 100 %.
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

/// What a member has measured of its links, by data that flows anyway or by probes. By rank of the view; 0: unknown.
struct LinkRow {
  std::vector<std::uint64_t> bytes_per_second;  ///< Sent to each rank.
  std::vector<std::uint64_t> delay_ns;          ///< One way: half a round trip. As many.
  std::uint64_t uplink_bytes_per_second = 0;    ///< To all together.
  std::uint64_t downlink_bytes_per_second = 0;
  std::vector<std::uint32_t> probed{};        ///< Ranks, ascending: by a burst on that link alone, not by traffic.
  std::vector<std::uint32_t> lower_bounds{};  ///< Of these: the link carries at least so much.
  std::vector<std::uint32_t> together{};      ///< Ranks, ascending, to which traffic was last measured at one time.
  friend bool operator==(const LinkRow&, const LinkRow&) = default;
};

/// Something has changed in what this member knows of its links.
struct Measured {
  ViewId view;
  LinkRow row;
  friend bool operator==(const Measured&, const Measured&) = default;
};

/// "How does the run stand?" Instead of an introduction. The master answers with a RunStatus, or a Refused, and
/// closes the connection.
struct StatusRequest {
  std::uint32_t protocol_version = kProtocolVersion;
  bool matrix = false;  ///< Before the RunStatus, the newest Measures of each group.
  friend bool operator==(const StatusRequest&, const StatusRequest&) = default;
};

using PeerMessage = std::variant<Hello, Resume, Begun, Report, Complaint, UpdateCall, Prepared, Leave, Ping,
                                 PrefetchOver, Measured, StatusRequest>;

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
  /// Of the measures from which the next collective of its tag is planned. 0: nothing is known.
  std::uint64_t measures = 0;
  friend bool operator==(const Committed&, const Committed&) = default;
};

/// The update-topology call is over; the view in force is the newest that was started.
struct UpdateDone {
  Error error;  ///< Status success, or why it failed.
  std::uint64_t update_round = 0;  ///< Those of the group that have succeeded, this one included.
  std::uint64_t measures = 0;      ///< From which collectives of all tags are planned from now on.
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

/// What the members of a view have measured, by rank; an empty row: nothing yet. Sent before anything that names
/// the version, which grows by one each time.
struct Measures {
  ViewId view;
  std::uint64_t version = 0;
  std::vector<LinkRow> rows;
  friend bool operator==(const Measures&, const Measures&) = default;
};

/// To all members, once for each collective: this member holds it up.
struct Straggling {
  OpKey key;
  PeerId peer;
  std::uint32_t percent = 0;  ///< What its links deliver of what was expected; 0: it is the last without a result.
  std::string sentence;
  friend bool operator==(const Straggling&, const Straggling&) = default;
};

struct Pong {
  friend bool operator==(const Pong&, const Pong&) = default;
};

using MasterMessage = std::variant<Welcome, Refused, Prepare, StartView, Committed, UpdateDone, WorldNews,
                                   Expelled, Pong, Hosts, Guests, Measures, RunStatus, Straggling>;

}  // namespace hawser
