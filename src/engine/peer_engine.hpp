#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/frame.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/link_layout.hpp"
#include "base/log_event.hpp"
#include "base/result.hpp"
#include "collective/call_memory.hpp"
#include "collective/collective_info.hpp"
#include "collective/traffic_meter.hpp"
#include "collective/work.hpp"
#include "engine/message_exchange.hpp"
#include "membership/messages.hpp"
#include "membership/peer_actions.hpp"

/// The whole of what one peer does, as a pure state machine: membership, links' queues and collectives put
/// together. No thread, clock or socket: `communicator` drives it over TCP, `stress/sim` under a virtual
/// clock.
namespace hawser {

class Execution;
class Residual;
struct TransferCall;
struct ProbeCall;
struct StateOffer;
struct PrefetchTarget;

struct EngineConfig {
  std::string name;
  std::uint32_t group = 0;
  Party party{};
  std::uint64_t machine = 0;   ///< As Member::machine.
  std::uint32_t min_peers = 0;  ///< As Introduction::min_peers.
  /// It has no tensors, and calls nothing: it takes part in what the members call. collective_memory_bytes are then for
  /// all their calls together; each beyond the eighth at a time takes two chunks more.
  bool is_relay = false;
  std::uint64_t relay_bytes_per_second = 0;  ///< As Introduction::relay_bytes_per_second.
  std::string master_host{};   ///< By which this peer dials the master.
  Duration connect = seconds(3600);
  Duration master_redial = seconds(60);
  /// How many masters may serve the run, one at a time.
  std::size_t masters = 1;
  Duration silence = seconds(5);
  Duration stall = seconds(6);
  /// What a collective may take beyond its buffers and an in-place scratch, small change aside.
  std::size_t collective_memory_bytes = 24 << 20;
  SampleBounds sample{};  ///< Of the rate of a link.
  /// Of the uplink, what guests that prefetch may take: above 0, at most 1.
  double prefetch_share = 0.25;
  bool widens_links = false;  ///< Whoever drives it performs WidenLink.
  /// What one work of a call's end touches, give or take a chunk: about a millisecond's worth.
  std::size_t ending_work_bytes = 8 << 20;
  LinkLayout links{};         ///< The same at all peers, and at the master.
  /// Where payloads wait that a device copies from or to; null: on the heap.
  std::shared_ptr<BufferPool> device_pool{};
};

/// Names a work from its RunWork to its WorkDone.
using WorkToken = Id<struct WorkTokenTag>;

/// One TCP connection of a link: which peer, and the number of the connection in the link.
struct LinkConnection {
  PeerId peer;
  std::uint32_t index = 0;
  friend auto operator<=>(const LinkConnection&, const LinkConnection&) = default;
};

// ------------------------------------------------------------------------------------------ events in

// Calls of the application. Any may come at any time. One that does not go with those under way, or does not fit, ends
// at once with an error and changes nothing: the engine is the judge of that.

/// The application wants to join. The engine is a newcomer from then on.
struct ConnectCall {
  CallId call;
  PeerId id;                 ///< Fresh at random for every ConnectCall.
  std::uint64_t token = 0;   ///< Likewise.
  Address address;           ///< Where links are accepted; an empty host means "as the master sees me".
  std::shared_ptr<PrefetchTarget> prefetch;  ///< What to fetch before it may be admitted, or null.
};
/// What all members of the group must have alike, from the next ConnectCall on. Ends at once.
struct SetTermCall {
  CallId call;
  std::string name;
  std::optional<std::string> value;  ///< None: nothing any more.
};
/// Members offer a shared state to guests from now on; null: none any more. Ends once nobody reads the offer
/// before: at once, unless that is being fetched from a device.
struct OfferStateCall {
  CallId call;
  std::shared_ptr<const StateOffer> offer;
  std::shared_ptr<const StateOffer> instead_of;  ///< If another one is in force, nothing happens; null: whichever is.
};
struct UpdateTopologyCall {
  CallId call;
};
/// The memory in `collective` stays valid until CallDone; its rank, residuals and seed are the engine's to fill in.
struct CollectiveStart {
  CallId call;
  CollectiveCall collective;
  std::uint64_t tag = 0;
  bool compress = false;  ///< Payloads without loss, where that pays.
  Epoch epoch;            ///< The view that the caller's ranks and sizes are of; 0: whatever is in force.
  std::shared_ptr<TransferCall> transfer;  ///< Of a transfer, whose signature counts its slices; else null.
  std::shared_ptr<ProbeCall> probing;      ///< Of an optimize-topology, else null.
  std::shared_ptr<Residual> residual;      ///< Error feedback, claimed by the caller until CallDone; or null.
  std::optional<Contribution> given{};     ///< To be signed and kept at the master.
  /// Where nothing but relays goes it begins again, and its caller hears nothing of that; and it may be called with the
  /// epoch of a view that nothing but relays has gone from. Else such a loss is one as any other. Transfers and probes
  /// never begin again.
  bool begins_again = true;
  /// When this long has passed the master is asked to end it for everybody, with Status::timeout; none: never.
  std::optional<Duration> bound{};
  bool cancelled = false;  ///< As CancelCall says, before it began.
};
/// The caller does not want this collective or message any more. It ends soon, with Status::timeout, or with what it
/// came to before. Of a call that is not under way: means nothing.
struct CancelCall {
  CallId call;
};
/// To another member, or from it. The memory stays valid until CallDone, whose info has the other side as the only
/// contributor.
struct MessageCall {
  CallId call;
  bool receives = false;
  bool any = false;                 ///< From whoever has sent one first.
  std::optional<PeerId> peer{};     ///< The other side, who may have gone since; none: by its rank.
  std::uint32_t rank = 0;
  Epoch epoch{};                    ///< The view that the rank is of; 0: whatever is in force.
  std::uint64_t tag = 0;
  std::span<const std::byte> data{};  ///< To send.
  std::span<std::byte> into{};        ///< To receive.
  Duration bound = seconds(600);
};

/// What the application waits for: any of these.
struct MembershipWish {
  bool joiner = false;            ///< Somebody wants to join: an update-topology of all members lets it in.
  /// Another view than that of this epoch is in force: somebody joined or was lost.
  std::optional<Epoch> other_than{};
  std::uint32_t group_size = 0;   ///< So many members are in the group; 0: however many.
};
/// Which of them hold. Any number, or none.
struct MembershipMet {
  bool joiner = false;
  bool other_view = false;
  bool group_size = false;
  bool any() const { return joiner || other_view || group_size; }
};
MembershipMet met(const MembershipWish& wish, const View& view, std::uint32_t pending);

/// Ends at once when something of it holds, or with Status::timeout. Any number of these may be under way, beside
/// whatever else.
struct WaitCall {
  CallId call;
  MembershipWish wish;
  std::optional<Duration> bound;  ///< None: for as long as this peer is a member.
};
/// The application is going: tells the master, fails all calls with Status::closed. The driver flushes
/// what SendMaster asked for and then closes everything.
struct LeaveCall {};
/// The control connection that DialMaster asked for is established.
struct MasterUp {
  Ways ways{};  ///< As this peer tells the master. Port 0: nothing.
};
/// It broke, or could not be made.
struct MasterDown {
  std::string reason;
  bool is_no_master = false;  ///< Something answers there that is no master.
};
struct MasterSaid {
  MasterMessage message;
};
/// A connection of a link is established (greetings exchanged).
struct LinkUp {
  LinkConnection connection;
  std::uint64_t incarnation = 0;  ///< Tells it from earlier connections of this number.
  Duration round_trip{};   ///< As its handshake showed; 0: not known.
  bool same_host = false;  ///< It never leaves the machine: its rate is that of memory, and not measured.
  PeerId by{};             ///< The member that passes on what goes over it; none: it has a way of its own.
};
/// It broke. A frame that was being received on it is forgotten; unacknowledged frames go elsewhere. Of another
/// incarnation than the established one: means nothing.
struct LinkDown {
  LinkConnection connection;
  std::uint64_t incarnation = 0;
  std::string reason;
};
/// The other side of a link that is down was dialled again where it had been dialled before, and nobody listens there
/// any more: its process is most likely gone.
struct LinkRefused {
  PeerId peer;
};
/// No dial has come through on this link: the master may tell both sides to dial at once.
struct LinkUnreached {
  PeerId peer;
  std::string why;  ///< Why the other side's address was not reached; empty: not known yet.
};
/// A link has no straight connection; why the last try to make one failed.
struct StraightFailed {
  PeerId peer;
  std::string why;
};
/// How long round trips on a link have taken of late, and at least.
struct LinkSampled {
  PeerId peer;
  Duration round_trip{};
  Duration round_trip_least{};
};
/// A work that RunWork asked for is done.
struct WorkDone {
  WorkToken token;
  WorkResult result;
  Duration took{};
};
/// Time has passed.
struct EngineTick {};

using EngineEvent = std::variant<SetTermCall, ConnectCall, UpdateTopologyCall, WaitCall, CollectiveStart, CancelCall,
                                 MessageCall, LeaveCall, MasterUp, OfferStateCall, MasterDown, MasterSaid, LinkUp,
                                 LinkDown, LinkRefused, LinkUnreached, StraightFailed, LinkSampled, WorkDone,
                                 EngineTick>;

// ---------------------------------------------------------------------------------------- actions out

/// Keep a link to this peer from now on. Either side may dial: whose dial comes through first dials all connections of
/// the link, and redials broken ones.
struct OpenLink {
  Member peer;  ///< With the address to dial.
  std::uint64_t secret = 0;
  /// How long to wait for the other side's dial before this side dials, too; none: it never does.
  std::optional<Duration> dial_after;
  bool may_ask = true;  ///< Another peer may be asked to join both, if neither side reaches the other.
};
/// Close all its connections and stop redialling. No LinkDown is reported for them.
struct CloseLink {
  PeerId peer;
  std::shared_ptr<const void> memory;  ///< What may be in the writing until it is closed.
};
/// There are frames for this link: connections that can write shall call next_frame again.
struct WakeLink {
  PeerId peer;
  std::optional<std::uint32_t> only{};  ///< The one connection that has something to write; else any may have.
};
/// This link is going to be probed: give it so many connections if this side dials it. 0: the probe is over, as many as
/// before.
struct WidenLink {
  PeerId peer;
  std::uint32_t connections = 0;
};
/// The memory behind the frame that is being written on this connection goes away: copy what is left of it.
struct ReleaseSend {
  LinkConnection connection;
};
/// The memory that a frame is being received into goes away: read the rest into the void.
struct ReleaseReceive {
  LinkConnection connection;
};
/// The other side broke the protocol on this connection, as the log says: close it (a LinkDown need not be reported;
/// the engine has forgotten the connection) and redial as for any break.
struct DropConnection {
  LinkConnection connection;
  std::uint64_t incarnation = 0;  ///< The one that it is about: a later one of this number stays.
  std::string reason;
};

/// Run this work, on whichever thread, and step its WorkDone. Works may run at the same time and end in any order. The
/// memory that a work names stays valid until its WorkDone; the CallDone of its call waits for that. Comes after the
/// ReleaseSend and ReleaseReceive of what it changes.
struct RunWork {
  WorkToken token;
  Work work;
  /// It puts the memory of a call in order that is over: nothing but the end of that waits, and there may be thousands
  /// of them. Whoever runs it does what else there is in between.
  bool may_wait = false;
};

/// A call has ended. Actions before this one must be performed before the caller is told: they free its memory. The
/// engine keeps what undoes a collective until call_told().
struct CallDone {
  CallId call;
  Error error;  ///< Status success, or why not.
  std::optional<CollectiveInfo> info;
  MembershipMet met{};  ///< Of a WaitCall that succeeded.
};

using EngineAction = std::variant<DialMaster, CloseMaster, SendMaster, OpenLink, DialPeer, CloseLink, WakeLink,
                                  WidenLink, ReleaseSend, ReleaseReceive, RunWork, DropConnection, CallDone, LogEvent>;
using EngineActions = std::vector<EngineAction>;

/// Where a frame's payload shall go.
struct Landing {
  /// Memory for header.payload_bytes bytes; null: read and throw away, do not verify.
  std::byte* into = nullptr;
  /// Nothing may be written there before this work is done, and its WorkDone stepped; without a value: at once.
  WorkToken after{};
};

/// A frame to write: the header, and a payload that stays valid until the frame is written whole or a
/// ReleaseSend comes for the connection.
struct OutFrame {
  FrameHeader header;
  std::span<const std::byte> payload;
};

/// What the application may see of the membership at any moment.
struct EngineInfo {
  bool connected = false;
  Error not_a_member;     ///< Why not; status success if it is one.
  bool updating = false;  ///< An update-topology is under way.
  PeerId self;
  View view;
  Epoch calls_since;  ///< From that epoch on nothing but relays has gone.
  World world;
  std::uint32_t pending = 0;
  std::uint64_t plans_made = 0;  ///< For calls that did not repeat an earlier one.
};

class PeerEngine {
 public:
  explicit PeerEngine(EngineConfig config);
  ~PeerEngine();
  PeerEngine(const PeerEngine&) = delete;
  PeerEngine& operator=(const PeerEngine&) = delete;

  void step(Instant now, const EngineEvent& event, EngineActions& out);
  std::optional<Instant> next_deadline() const;

  // The data path. Frames on one connection come one after the other: begins, (moved)*, ends.

  /// A header has come in on this connection (checked by wire).
  Landing frame_begins(Instant now, LinkConnection connection, const FrameHeader& header, EngineActions& out);
  /// Some bytes of a long payload have come: progress, for stall detection.
  void frame_moved(Instant now, LinkConnection connection, EngineActions& out);
  /// The payload is in place. `intact` is false if its checksum is wrong; the engine then drops the
  /// connection. Call it after ReleaseReceive and null landings too.
  void frame_ends(Instant now, LinkConnection connection, bool intact, EngineActions& out);
  /// The next frame to write on this connection, if there is one now. Which connection asks first gets it. None, too,
  /// while a work makes its payload: a WakeLink comes after that.
  std::optional<OutFrame> next_frame(Instant now, LinkConnection connection, EngineActions& out);

  EngineInfo info() const;

  /// The caller is about to be told of this CallDone: its input is not put back any more. For any call.
  void call_told(CallId call) noexcept;
  /// For after an exception, or the end, when no work runs: nothing is asked of the engine any more. Puts the inputs of
  /// all collectives back as they were whose callers have not been told of their end.
  void undo_all() noexcept;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace hawser
