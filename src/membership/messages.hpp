#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/attestation.hpp"
#include "base/result.hpp"
#include "base/signature.hpp"
#include "membership/run_status.hpp"
#include "membership/view.hpp"

/// The control messages between peers and the master, as values. `src/wire` turns them into bytes.
namespace hawser {

/// Bumped when a message changes its meaning.
inline constexpr std::uint32_t kProtocolVersion = 8;

// ------------------------------------------------------------------------------------ peer to master

/// Something that all members of a group have alike.
struct Term {
  std::string name;
  std::string value;
  friend bool operator==(const Term&, const Term&) = default;
};

/// Who a peer is. `address.host` may be empty: the master fills in what it sees.
struct Introduction {
  std::uint32_t protocol_version = kProtocolVersion;
  PeerId id;
  std::uint64_t token = 0;  ///< Known to this peer and the master only; proves a resume.
  std::uint64_t connection = 0;  ///< Grows with each one that it opens: a master that slept finds several.
  std::uint32_t group = 0;
  std::string name;
  Address address;
  Party party{};
  std::uint64_t machine = 0;  ///< As Member::machine.
  /// What the members of a group must have alike beyond their calls, such as the hyperparameters of an optimiser: by
  /// name, in order of the names.
  std::vector<Term> terms{};
  std::uint32_t min_peers = 0;  ///< The first members of a group shall be so many, if most of them wish that.
  bool is_relay = false;        ///< As Member::is_relay,
  std::uint64_t relay_bytes_per_second = 0;  ///< and likewise.
  /// That its connection has proven, as the master fills it in. It does not travel.
  KeyId key{};
  /// Both come from one peer: only that knows the token, and has the key.
  bool is_same_peer(const Introduction& other) const { return token == other.token && key == other.key; }
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

/// Names a view without its members.
struct ViewMark {
  Epoch epoch;
  ViewId id;
  std::uint32_t size = 0;
  std::uint64_t fingerprint = 0;  ///< Of the view with its members.
  friend auto operator<=>(const ViewMark&, const ViewMark&) = default;
};

/// What a view that not all of its members have been seen to take must keep, beside more than half of itself: more than
/// half of a former view of so many members, of whom those of these ranks are left (majority.hpp).
struct Quorum {
  std::vector<std::uint32_t> ranks;  ///< Ascending.
  std::uint32_t of = 0;
  friend bool operator==(const Quorum&, const Quorum&) = default;
};

/// A member comes back after its control connection broke. The master asks for more (Present) where it needs more.
struct Resume {
  Introduction who;
  RunId run;
  ViewMark view;
  bool in_update = false;  ///< It waits in update-topology.
  bool first = false;      ///< As in UpdateCall.
  bool was_over = false;   ///< As in UpdateCall.
  bool after_error = false;  ///< As in UpdateCall.
  /// Update-topology calls of its group that have succeeded, as far as this peer knows, and those that it has behind
  /// it: at most one less. Tells a call that is over from a new one.
  std::uint64_t update_round = 0;
  std::uint64_t updates_made = 0;
  bool whole = false;  ///< A change of its view did not fit: it needs the next one as a whole.
  /// The highest term of a master that this member has accepted; it hears no master of a lower one. 0: none.
  std::uint64_t term = 0;
  std::vector<Quorum> quorums{};  ///< As StartView had them; none once the view is held.
  friend bool operator==(const Resume&, const Resume&) = default;
};

/// The view that the Resume named. Only to a master that asked.
struct ViewPresented {
  View view;
  friend bool operator==(const ViewPresented&, const ViewPresented&) = default;
};

/// The collectives whose outcome this member does not know, and the latest ones that it knows to be committed, of any
/// epoch. Only to a master that asked.
struct OutcomesPresented {
  std::vector<UndecidedOp> undecided;
  std::vector<OpKey> committed;
  std::vector<ViewId> views{};  ///< The latest ones that it has started.
  friend bool operator==(const OutcomesPresented&, const OutcomesPresented&) = default;
};

/// "I have called this collective." Sent only for those that last: a short one is told by its report. And for all whose
/// contribution is attested, before their report; and at once where relays are needed.
struct Begun {
  OpKey key;
  Signature signature;
  std::optional<Attestation> attestation{};
  bool needs_relays = false;  ///< Its plan has relays in it, which have to take part.
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

/// "End this collective for everybody: I wait no longer." Told again and again until it has ended.
struct GiveUp {
  OpKey key;
  std::uint64_t after_ms = 0;  ///< Since this member called it.
  bool cancelled = false;      ///< By its program. Else its bound has passed.
  friend bool operator==(const GiveUp&, const GiveUp&) = default;
};

/// "I have called update-topology."
struct UpdateCall {
  /// It is the first thing that this member calls since it came in. Where the others have gone on to their collectives,
  /// the update-topology that admitted it was this one.
  bool first = false;
  /// Update-topology calls of its group that it has behind it, with one that was over before it was called.
  std::uint64_t update_round = 0;
  /// The call was over before (see Committed). It waits nevertheless if the member has heard of newcomers, or of an
  /// error since: the others may do so, too. Where they go on it goes on, too.
  bool was_over = false;
  bool waits = true;
  /// Nothing was committed since an error: where all wait this call is one and the same, had some a call more before.
  bool after_error = false;
  friend bool operator==(const UpdateCall&, const UpdateCall&) = default;
};

/// Links that were established, and links that have none of their connections any more, since this peer last told.
struct Linked {
  /// Goes by this other peer, which passes on what passes.
  struct Detour {
    PeerId to;
    PeerId by;
    friend bool operator==(const Detour&, const Detour&) = default;
  };
  bool all = false;  ///< The first of a connection: what is not named here is not established.
  std::vector<PeerId> up;
  std::vector<PeerId> down;
  std::vector<PeerId> refused;  ///< Of those that are down: the other side was dialled again, and nobody listens there.
  std::vector<Detour> detours{};  ///< Of those that are up, links without a way of their own.
  /// One way, in microseconds, as their handshakes have shown: as many as are up, 0: unknown; or none at all.
  std::vector<std::uint32_t> delays_us{};
  friend bool operator==(const Linked&, const Linked&) = default;
};

/// The peers that this one is to have a link to, and has no straight way to: all of them, each time that they change.
struct Unreached {
  struct Way {
    PeerId to;
    PeerId by{};      ///< The link stands, and this third peer passes on what goes over it; none: there is no link.
    std::string why;  ///< How the last try of the straight way ended, with the address that was dialled.
    friend bool operator==(const Way&, const Way&) = default;
  };
  std::vector<Way> ways;  ///< In the order of `to`; limits::kUnreachedToldMax at most.
  friend bool operator==(const Unreached&, const Unreached&) = default;
};

/// "I may be admitted from now on": this guest has fetched what it wanted, or has given up.
struct PrefetchOver {
  friend bool operator==(const PrefetchOver&, const PrefetchOver&) = default;
};

/// Where this peer may be dialled, besides the address of its introduction. As soon as it is welcomed.
struct Ways {
  std::uint16_t port = 0;          ///< That it listens on.
  std::vector<std::string> hosts;  ///< Addresses of its interfaces, kWaysMax at most.
  /// This connection comes from that port. So a NAT that gives a port one outer port for all has the one that the
  /// master sees.
  bool is_from_port = false;
  friend bool operator==(const Ways&, const Ways&) = default;
};

/// "Tell this peer and me to dial each other at once: no dial has come through."
struct BothDial {
  PeerId to;
  std::string why;  ///< Why its address was not reached; empty: not known yet.
  friend bool operator==(const BothDial&, const BothDial&) = default;
};

/// "I have started this view." Only where the view came with quorums.
struct ViewTaken {
  ViewId view;
  friend bool operator==(const ViewTaken&, const ViewTaken&) = default;
};

struct Leave {
  friend bool operator==(const Leave&, const Leave&) = default;
};

struct Ping {
  friend bool operator==(const Ping&, const Ping&) = default;
};

/// A link of a member that has no way of its own: a go-between passes on what goes over it. Ranks.
struct LinkDetour {
  static constexpr std::uint32_t kByAnyone = 0xffffffff;
  std::uint32_t to = 0;
  std::uint32_t by = kByAnyone;  ///< kByAnyone: one that is no member of this view.
  friend bool operator==(const LinkDetour&, const LinkDetour&) = default;
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
  std::vector<LinkDetour> detours{};          ///< In the order of `to`.
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
  /// Before the RunStatus, the contributions to so many collectives, the latest one first: AttestedCollective.
  std::uint32_t attested = 0;
  friend bool operator==(const StatusRequest&, const StatusRequest&) = default;
};

/// What an operator asks of the master, instead of an introduction. Answered with a CommandDone, or a Refused.
enum class OperatorVerb : std::uint8_t {
  kick,       ///< Removes all peers of that name; they may come back.
  ban,        ///< Denies a key from now on, and removes its peers.
  unban,      ///< Takes that back.
  admit,      ///< A newcomer's key may be a member.
  drain,      ///< No newcomers from now on.
  end_drain,  ///< Takes that back.
};
struct OperatorCommand {
  std::uint32_t protocol_version = kProtocolVersion;
  OperatorVerb verb = OperatorVerb::kick;
  std::string argument;  ///< A name, or a key in hexadecimal digits.
  friend bool operator==(const OperatorCommand&, const OperatorCommand&) = default;
};

using PeerMessage = std::variant<Hello, Resume, Begun, Report, Complaint, UpdateCall, Linked, Leave, Ping, PrefetchOver,
                                 Measured, StatusRequest, ViewPresented, OutcomesPresented, OperatorCommand, Ways,
                                 BothDial, Unreached, ViewTaken, GiveUp>;

// ------------------------------------------------------------------------------------ master to peer

/// The hello or resume was taken up. A newcomer is pending now.
struct Welcome {
  RunId run;
  std::string seen_host;  ///< The peer's address as the master sees it.
  /// Of the master, where others may take the run over: whoever is welcomed accepts nothing of a lower term any more.
  std::uint64_t term = 0;
  bool wants_links = false;  ///< How it stands with its links, at once: Linked. To a member that has lost its master.
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// Nothing will come of this connection.
struct Refused {
  Error error;
  std::uint64_t term = 0;
  friend bool operator==(const Refused&, const Refused&) = default;
};

/// To a peer that resumes: "show me more."
struct Present {
  bool view = false;      ///< Its view: ViewPresented.
  bool outcomes = false;  ///< OutcomesPresented.
  friend bool operator==(const Present&, const Present&) = default;
};

/// To both of two peers: dial each other now.
struct DialEachOther {
  PeerId peer;
  /// Its connection as the master sees it, if that comes from the port that it listens on; else port 0.
  Address seen;
  Ways ways{};
  friend bool operator==(const DialEachOther&, const DialEachOther&) = default;
};

/// This master serves no run now, or not this peer: another one of the list is to be asked.
struct Standby {
  std::string sentence;  ///< Why.
  /// Former members may stay for a while, and tell how it stands with their links: the run goes on here once enough of
  /// them have come.
  bool gathers = false;
  friend bool operator==(const Standby&, const Standby&) = default;
};

/// All members have started this view: its quorums are over.
struct ViewHeld {
  ViewId view;
  friend bool operator==(const ViewHeld&, const ViewHeld&) = default;
};

/// Something that this peer, and nobody else, should see to. It is logged there.
struct Notice {
  std::string sentence;
  friend bool operator==(const Notice&, const Notice&) = default;
};

/// From here on this view holds. Collectives of older views that no Committed was sent for are aborted
/// with `cause`.
struct StartView {
  Epoch epoch;
  ViewId id;
  std::uint32_t group = 0;
  std::uint64_t link_secret = 0;
  ViewId base;           ///< The view that `members` is a change of, unless that is whole.
  MemberChange members;
  World world;
  Error cause;  ///< Status success where nothing was aborted (an admission).
  std::uint64_t update_round = 0;  ///< Where a newcomer starts to count. After an error: those that are over.
  /// Of this view with all its members: whoever puts it together from a change finds the same one, or has made another
  /// view.
  std::uint64_t fingerprint = 0;
  /// Of the measures from which collectives of this view are planned at first. They came right before. 0: nothing is
  /// known.
  std::uint64_t measures = 0;
  std::vector<Quorum> quorums{};
  /// Calls of views from this epoch on begin again in this view: nobody but relays has gone since. It is this view's
  /// own where something else has ended the one before.
  Epoch calls_since{};
  friend bool operator==(const StartView&, const StartView&) = default;
};

/// To relays: the members have called this, and send their values.
struct RelayCall {
  OpKey key;
  Signature signature;
  friend bool operator==(const RelayCall&, const RelayCall&) = default;
};

/// The collective is true for everybody.
struct Committed {
  OpKey key;
  /// Of the measures from which the next collective of its tag is planned. 0: nothing is known.
  std::uint64_t measures = 0;
  /// Update-topology calls of the group that have succeeded, and those that its members have made. One less, if nobody
  /// waited for admission: the next one is over before it is called.
  std::uint64_t update_round = 0;
  std::uint64_t updates_made = 0;
  friend bool operator==(const Committed&, const Committed&) = default;
};

/// The update-topology call is over; the view in force is the newest that was started.
struct UpdateDone {
  Error error;  ///< Status success, or why it failed.
  std::uint64_t update_round = 0;  ///< Those of the group that have succeeded, this one included.
  std::uint64_t measures = 0;      ///< From which collectives of all tags are planned from now on;
  bool was_over = false;           ///< save if others went on without waiting: then each of them goes on as before.
  friend bool operator==(const UpdateDone&, const UpdateDone&) = default;
};

/// What a peer may like to know about the others, sent when it changes.
struct WorldNews {
  World world;
  std::uint32_t pending = 0;
  friend bool operator==(const WorldNews&, const WorldNews&) = default;
};

/// To a peer that is to be admitted: the members of its group, whom it opens links to and may ask for state. Nobody if
/// the group has no members, or none that are known yet.
struct GroupMembers {
  MemberChange members;
  std::uint64_t link_secret = 0;
  friend bool operator==(const GroupMembers&, const GroupMembers&) = default;
};

/// To the members of a group and to its visitors: the peers to be admitted that links are opened to beforehand. Links
/// to them show the secret of the view, or of GroupMembers.
struct Visitors {
  MemberChange visitors;
  friend bool operator==(const Visitors&, const Visitors&) = default;
};

/// This peer is no longer in the run.
struct Expelled {
  Error error;
  std::uint64_t term = 0;  ///< Of a lower one than was accepted it means nothing.
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

/// What the members of a committed collective say that they gave to it. Answers a StatusRequest.
struct AttestedCollective {
  struct Entry {
    Member member;
    std::optional<Attestation> attestation{};  ///< None: it signed nothing.
    bool is_late = false;  ///< It came when this member could know the result.
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  OpKey key;
  Signature signature;
  std::uint32_t group = 0;
  std::uint64_t age_ms = 0;  ///< Since the last of its members called it.
  std::vector<Entry> members{};  ///< By rank.
  friend bool operator==(const AttestedCollective&, const AttestedCollective&) = default;
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

/// The command was carried out.
struct CommandDone {
  std::string sentence;  ///< What it came to.
  friend bool operator==(const CommandDone&, const CommandDone&) = default;
};

using MasterMessage = std::variant<Welcome, Refused, Present, StartView, Committed, UpdateDone, WorldNews,
                                   Expelled, Pong, GroupMembers, Visitors, Measures, RunStatus, Straggling, Notice,
                                   CommandDone, AttestedCollective, DialEachOther, Standby, ViewHeld, RelayCall>;

}  // namespace hawser
