#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "collective/link_schedule.hpp"
#include "collective/execution.hpp"
#include "collective/pace_margin.hpp"
#include "collective/traffic_meter.hpp"
#include "membership/peer_machine.hpp"
#include "plan/network.hpp"
#include "plan/plan_cache.hpp"
#include "engine/compression_choice.hpp"
#include "engine/link_probing.hpp"
#include "engine/message_exchange.hpp"
#include "engine/prediction_record.hpp"
#include "engine/peer_engine.hpp"
#include "shared_state/prefetch_guest.hpp"
#include "shared_state/prefetch_server.hpp"
#include "topology/steady_measure.hpp"
#include "topology/steady_way.hpp"

namespace hawser {

/// Staging memory for payloads, recycled so that it stays warm in the cache. Not thread-safe, and neither is the end of
/// a buffer.
class StagingPool {
 public:
  using Buffer = std::shared_ptr<std::byte>;
  /// Room for a frame's payload. It comes back to the pool with its last owner, which may outlive the pool.
  Buffer take();

 private:
  using Free = std::vector<std::unique_ptr<std::byte[]>>;
  std::shared_ptr<Free> free_ = std::make_shared<Free>();
};

class PeerEngine::State {
 public:
  explicit State(EngineConfig config);

  void step(Instant now, const EngineEvent& event, EngineActions& out);
  std::optional<Instant> next_deadline() const;
  Landing frame_begins(Instant now, LinkConnection connection, const FrameHeader& header, EngineActions& out);
  void frame_moved(Instant now, LinkConnection connection, EngineActions& out);
  void frame_ends(Instant now, LinkConnection connection, bool intact, EngineActions& out);
  std::optional<OutFrame> next_frame(Instant now, LinkConnection connection, EngineActions& out);
  EngineInfo info() const;
  void call_told(CallId call) noexcept;
  void undo_all() noexcept;

 private:
  struct Op {
    CallId call;
    Signature signature;
    std::uint64_t fingerprint = 0;
    std::shared_ptr<Execution> execution;
    std::shared_ptr<LinkProbing> probing;  ///< The same, of an optimize-topology; else null.
    bool compress = false;
    std::uint64_t limit_announced = 0;   ///< Of chunks on their way up.
    /// The call, where relays may go in the middle of it: then it begins again.
    std::shared_ptr<const CollectiveStart> again;
    std::set<PeerId> further_links;      ///< As Execution::further_links.
    std::set<PeerId> not_heard;          ///< Members whose chunks come here, and who may not have called yet.
    Instant all_called{};                ///< When that was empty.
    Duration in_kernels{};
    std::uint32_t works = 0;      ///< Under way.
    std::uint32_t preparing = 0;  ///< Connections that wait until a payload of it is made.
    Instant started{};
    Instant progress{};                 ///< When something of it last moved.
    std::optional<Instant> probed;      ///< When all links were asked for a sign of life.
    std::optional<Instant> complained;  ///< When the master was told that nothing moves.
    Instant reported{};                     ///< When the master was last told how it goes.
    std::map<PeerId, std::uint64_t> arrived_at_report{};  ///< Chunk bytes that each link had delivered by then.
    std::optional<Instant> whole;       ///< When the own result was complete.
    std::optional<Instant> tell_ready;  ///< When the senders shall be told that this peer is ready.
    std::optional<Instant> give_up_at;  ///< When the master is asked to end it, the first time or again.
    bool cancelled = false;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
  };
  /// A call that waits until the membership is as it wishes.
  struct Wait {
    CallId call;
    MembershipWish wish;
    Instant since{};
    std::optional<Instant> until;
  };
  /// A call that is over, and whose caller has not been told: first its works come back, then others put its memory in
  /// order. Its input can be put back all the while.
  struct Ending {
    CallId call;
    std::shared_ptr<Execution> execution;
    bool restores = false;
    std::uint32_t works = 0;   ///< Of the collective.
    std::uint32_t slices = 0;  ///< Works under way that put its memory in order.
    bool done_given = false;
    CallDone done;
    bool is_relayed = false;  ///< No call of this peer's: nobody is told of its end.
    std::shared_ptr<const CollectiveStart> again;  ///< Instead of that end.
  };
  /// A work that was asked for.
  struct UnderWay {
    enum class Use { execution, compress, decompress, fetch, ending, prefetch };
    Use use = Use::execution;
    OpKey key;
    std::uint64_t token = 0;  ///< The execution's, or the guest's.
    // Of what makes or unpacks a payload: the frame, its connection, where the result goes, and where the payload lies.
    LinkConnection connection{};
    std::uint64_t incarnation = 0;
    FrameHeader header{};
    StagingPool::Buffer buffer{};
    Payload payload{};
    std::shared_ptr<const StateOffer> offer{};  ///< That it reads; null: none.
  };
  /// The frame that a connection writes next, once its payload is made.
  struct Preparing {
    FrameHeader header;
    WorkToken making{};  ///< The work that fetches or compresses it, if one does.
    StagingPool::Buffer fetched{};  ///< The payload, where it came from a device.
    bool plain = false;             ///< Compression was tried, and did not pay.
    StagingPool::Buffer packed{};  ///< The compressed payload.
    std::size_t plain_bytes = 0;   ///< Before it was compressed.
  };
  /// A frame on its way in.
  struct Receiving {
    enum class Use {
      discard,
      control,
      staged,
      placed_down,
      parked,
      parked_copy,
      prefetched,
      message_placed,
      message_staged,
    };
    FrameHeader header;
    Use use = Use::discard;
    StagingPool::Buffer staging;
    std::byte* place = nullptr;  ///< Of one that is placed.
  };
  /// Chunks of a collective that this peer has not called yet.
  struct Parked {
    FrameHeader header;
    std::uint32_t connection = 0;  ///< On which it came.
    std::shared_ptr<const std::vector<std::byte>> payload;
  };
  struct Link {
    LinkSchedule schedule;
    std::map<std::uint32_t, Receiving> receiving;
    std::map<std::uint32_t, Preparing> preparing;  ///< By connection.
    std::map<std::uint32_t, std::uint64_t> incarnations;  ///< Of the established connections, by number.
    std::map<OpKey, std::vector<Parked>> parked;
    /// Of frames that are parked, and of those on their way in that will be.
    std::size_t parked_bytes = 0;
    std::size_t parked_frames = 0;
    /// Of further copies of frames that are on their way in: the connection of the first may be dead.
    std::size_t copied_bytes = 0;
    std::map<OpKey, std::uint64_t> early_ready;  ///< With the limit that came with it.
    CompressionChoice compression;
    LinkMeter meter;
    PaceMargin pace_margin;
    /// What is told of the link, and of which of the meter's measurements the rate has heard.
    topology::SteadyMeasure steady_rate;
    topology::SteadyMeasure steady_delay;
    RateSource steady_source = RateSource::traffic;
    Instant steady_at{};
    Instant sampled_at{};
    topology::SteadyWay way;
    bool steady_together = false;  ///< Traffic was seen on it in the latest collective in which it was on any link.
    bool metered = false;  ///< Its rate is that of a network.
    std::uint64_t secret = 0;
    std::optional<Duration> dial_after;  ///< As OpenLink said,
    bool may_ask = true;                 ///< and likewise.
    Instant heard_at{};  ///< When anything came over it.
    Epoch newest;  ///< Of the frames that came; older ones need not be parked any more.
  };

  // peer_engine.cpp: calls and membership.
  void on(Instant now, const SetTermCall& event, EngineActions& out);
  void on(Instant now, const ConnectCall& event, EngineActions& out);
  void on(Instant now, const UpdateTopologyCall& event, EngineActions& out);
  void on(Instant now, const CollectiveStart& event, EngineActions& out);
  void on(Instant now, const CancelCall& event, EngineActions& out);
  void on(Instant now, const OfferStateCall& event, EngineActions& out);
  void on(Instant now, const MessageCall& event, EngineActions& out);
  void on(Instant now, const LeaveCall& event, EngineActions& out);
  void on(Instant now, const MasterUp& event, EngineActions& out);
  void on(Instant now, const MasterDown& event, EngineActions& out);
  void on(Instant now, const MasterSaid& event, EngineActions& out);
  void on(Instant now, const LinkUp& event, EngineActions& out);
  void on(Instant now, const LinkDown& event, EngineActions& out);
  void on(Instant now, const LinkRefused& event, EngineActions& out);
  void on(Instant now, const LinkUnreached& event, EngineActions& out);
  void on(Instant now, const StraightFailed& event, EngineActions& out);
  void on(Instant now, const LinkSampled& event, EngineActions& out);
  void on(Instant now, const EngineTick& event, EngineActions& out);
  void follow(Instant now, PeerActions& actions, EngineActions& out);
  void follow_one(Instant now, const WantLinks& wanted, EngineActions& out);
  void follow_one(Instant now, const ViewStarted& started, EngineActions& out);
  void follow_one(Instant now, const OpCommitted& committed, EngineActions& out);
  void follow_one(Instant now, const OpAborted& aborted, EngineActions& out);
  void follow_one(Instant now, const RelayCalled& called, EngineActions& out);
  void begin_again(Instant now, EngineActions& out);
  void follow_one(Instant now, const ConnectEnded& ended, EngineActions& out);
  void follow_one(Instant now, const UpdateEnded& ended, EngineActions& out);
  void follow_one(Instant now, const GroupMembersKnown& known, EngineActions& out);
  void follow_one(Instant now, const VisitorsKnown& known, EngineActions& out);
  void need_links(Instant now, EngineActions& out);
  Result<void> check_start(const CollectiveStart& call) const;
  Result<std::shared_ptr<Execution>> make_execution(const CollectiveStart& call, const PlanBasis& basis,
                                                    const Network* network);
  std::shared_ptr<const Plan> plan_of(const Signature& signature, const PlanBasis& basis, const Network* network);
  std::size_t memory_of_call() const;
  void tick_executions(Instant now, EngineActions& out);
  void watch_op(Instant now, const OpKey& key, Op& op, EngineActions& out);
  void probe(Instant now, const OpKey& key, Op& op, EngineActions& out);
  void complain(Instant now, const OpKey& key, Op& op, EngineActions& out);
  void tell_progress(Instant now, const OpKey& key, Op& op, EngineActions& out);
  void give_up(Instant now, const OpKey& key, Op& op, EngineActions& out);
  void mark_flows(Op& op) const;
  std::vector<Flow> slow_flows(Instant now, const OpKey& key, const Op& op) const;
  std::vector<PeerId> waiting_for(const OpKey& key, const Op& op) const;
  std::vector<PeerId> unresponsive(const Op& op) const;
  std::string names_of(const std::vector<PeerId>& peers) const;
  std::optional<Instant> op_deadline(const Op& op) const;

  // peer_engine_prefetch.cpp
  void begin_prefetch(Instant now, const ConnectCall& event);
  void end_prefetch(Instant now);
  void make_offer_known(Instant now, std::shared_ptr<const StateOffer> offer, EngineActions& out);
  void send_prefetch(Instant now, std::vector<PrefetchSend>& sends, EngineActions& out);
  void prefetch_control(Instant now, LinkConnection connection, const FrameHeader& header, EngineActions& out);
  void prefetch_chunk(Instant now, PeerId from, const FrameHeader& header, Payload payload, EngineActions& out);
  void prefetch_worked(Instant now, const UnderWay& work, bool right, EngineActions& out);
  void order_prefetched(std::vector<Execution::Order>& works, EngineActions& out);
  void end_connect(EngineActions& out);
  void end_withdrawals(EngineActions& out);
  void look_at_training();
  void tick_prefetch(Instant now, EngineActions& out);

  // peer_engine_send.cpp and peer_engine_data.cpp: frames that go, and frames that come; calls that begin and end.
  void begin_op(Instant now, const OpKey& key, EngineActions& out);
  WorkToken perform(const OpKey& key, Op& op, Execution::Output& output, EngineActions& out);
  void send(const OpKey& key, Op& op, const std::vector<Execution::Send>& sends, EngineActions& out);
  void result_whole(Instant now, const OpKey& key, Op& op, EngineActions& out);
  void chunk_arrived(Instant now, PeerId to, const FrameHeader& header, EngineActions& out);
  void release_copies(const FrameHeader& header, EngineActions& out);
  void widen_limit(const OpKey& key, Op& op, EngineActions& out);
  void heard_from(Instant now, Op& op, PeerId peer);
  std::optional<std::span<const std::byte>> payload(Link& link, LinkConnection connection, Op* op, Preparing& preparing,
                                                    EngineActions& out);
  std::optional<std::span<const std::byte>> plain_payload(LinkConnection connection, Op* op, Preparing& preparing,
                                                          EngineActions& out);
  void stop_preparing(Link& link, std::uint32_t index);
  void drop_frames(PeerId peer, Link& link, const OpKey& key, EngineActions& out);
  Execution::Verdict judge(const Op& op, PeerId from, const FrameHeader& header) const;
  void progressed(Instant now, const Receiving& receiving);
  void tell_ready(const OpKey& key, Op& op, EngineActions& out);
  void send_ready(PeerId to, Link& link, const OpKey& key, const Op& op, EngineActions& out);
  void release(const OpKey& key, EngineActions& out);
  Landing chunk_begins(Instant now, PeerId peer, Link& link, Receiving& receiving, std::uint32_t index,
                       EngineActions& out);

  // peer_engine_work.cpp
  void on(Instant now, const WorkDone& event, EngineActions& out);
  WorkToken order(UnderWay under_way, Work work, EngineActions& out);
  WorkToken order(Op& op, UnderWay under_way, Work work, EngineActions& out);
  void unpacked(Instant now, Op& op, const UnderWay& work, bool right, EngineActions& out);
  Preparing* find_preparing(WorkToken token, const UnderWay& work);
  void packed(WorkToken token, const UnderWay& work, std::size_t bytes, EngineActions& out);

  // peer_engine_fetch.cpp
  StagingPool::Buffer staging(std::int32_t device);
  void fetch(LinkConnection connection, Op* op, Preparing& preparing, const std::byte* from, std::int32_t device,
             EngineActions& out);
  void fetched(WorkToken token, const UnderWay& work, EngineActions& out);
  void wake_fetch(EngineActions& out);
  void end_call(const OpKey& key, bool restores, CallDone done, EngineActions& out);
  void put_in_order(OpKey key, Ending& ending, EngineActions& out);
  bool has_ending(std::uint64_t tag) const;

  // peer_engine_messages.cpp
  Result<PeerId> other_side(const MessageCall& call) const;
  std::string name_of(PeerId peer) const;
  bool is_member(PeerId peer) const;
  CollectiveInfo info_of(const MessageExchange::Ended& ended) const;
  void follow_messages(MessageExchange::Output& output, EngineActions& out);
  Landing message_begins(Instant now, PeerId peer, Link& link, Receiving& receiving, std::uint32_t index,
                         EngineActions& out);
  void message_control(Instant now, LinkConnection connection, const FrameHeader& header, EngineActions& out);
  void message_chunk(Instant now, PeerId from, const FrameHeader& header, const std::byte* bytes, EngineActions& out);
  void message_arrived(Instant now, PeerId to, const FrameHeader& header, EngineActions& out);
  void tick_messages(Instant now, EngineActions& out);
  void look_who_is_there(Instant now, EngineActions& out);
  void end_messages(Instant now, const Error& why, EngineActions& out);

  // peer_engine_waits.cpp
  void on(Instant now, const WaitCall& event, EngineActions& out);
  void end_waits(Instant now, EngineActions& out);

  // peer_engine_parking.cpp
  Landing park_begins(Instant now, PeerId peer, Link& link, Receiving& receiving, std::uint32_t index,
                      EngineActions& out);
  static Receiving* parking_twin(Link& link, const FrameHeader& header);
  static void count_parked(Link& link, Receiving& receiving, Receiving::Use use);
  static void stop_parking(Link& link, Receiving& receiving);
  static void park(Link& link, Receiving& receiving, std::uint32_t index);
  void deliver_parked(Instant now, const OpKey& key, EngineActions& out);
  static void forget_parked_before(Link& link, Epoch epoch);

  // peer_engine_data.cpp
  void chunk_ends(Instant now, LinkConnection connection, Link& link, Receiving& receiving, EngineActions& out);
  void apply_chunk(Instant now, LinkConnection from, const FrameHeader& header, Payload payload, EngineActions& out);
  void take_chunk(Instant now, LinkConnection from, const FrameHeader& header, Payload payload, Op& op,
                  EngineActions& out);
  void control_came(Instant now, LinkConnection connection, Link& link, const FrameHeader& header, EngineActions& out);
  void ready_came(Instant now, Link& link, PeerId from, const FrameHeader& header, EngineActions& out);
  void drop_connection(Instant now, LinkConnection connection, const std::string& reason, EngineActions& out);
  void forget_connection(Instant now, LinkConnection connection, EngineActions& out);
  bool current(const OpKey& key) const;
  bool future(const OpKey& key) const;

  // peer_engine_probe.cpp
  std::shared_ptr<LinkProbing> make_probing(Instant now, const CollectiveStart& call);
  void take_probes(Instant now, const OpKey& key, Op& op, EngineActions& out);
  void count_probe(PeerId from, const FrameHeader& header, Op& op);
  void link_is_wider(Instant now, PeerId peer, EngineActions& out);
  void end_probing(const Op& op, EngineActions& out);

  // peer_engine_measure.cpp
  std::shared_ptr<const Network> network_of(const PlanBasis& basis, EngineActions& out);
  std::optional<Instant> queued_since() const;
  void tell_measures(Instant now, PeerActions& out);
  void add_detours(Instant now, LinkRow& row);
  static bool take_measures(Link& link);
  double paced_rate(const Op& op, const Link& link, std::uint32_t rank) const;
  void set_pace(const OpKey& key, const Op& op, Link& link, std::uint32_t rank);
  void set_bound(Link& link, std::uint32_t rank);
  void set_bounds();

  Op* find_op(const OpKey& key);
  Link* find_link(PeerId peer);

  EngineConfig config_;
  PeerMachine machine_;
  std::map<std::string, std::string> terms_;
  std::optional<CallId> connect_call_;
  std::optional<CallId> update_call_;
  std::vector<Wait> waits_;
  bool was_member_ = false;  ///< After the last step.
  MessageExchange messages_{[this](PeerId peer) { return name_of(peer); }};
  std::map<PeerId, std::string> former_names_;  ///< Of those whose messages are known.
  PredictionRecord predictions_;
  std::map<OpKey, Op> ops_;
  std::map<PeerId, Link> links_;
  std::map<OpKey, Ending> endings_;
  std::vector<std::shared_ptr<const CollectiveStart>> again_;  ///< Calls whose memory is in order.
  std::map<WorkToken, UnderWay> works_;
  std::uint64_t works_ordered_ = 0;
  StagingPool pool_;
  std::shared_ptr<std::size_t> fetched_ = std::make_shared<std::size_t>(0);  ///< Payloads of devices, on the host.
  std::set<LinkConnection> fetch_waits_;  ///< Connections that wait until there are fewer.
  PeakMeter uplink_;
  PeakMeter downlink_;
  topology::SteadyMeasure steady_uplink_;
  topology::SteadyMeasure steady_downlink_;
  LinkRow announced_;       ///< To the master, of the view `announced_in_`.
  ViewId announced_in_;
  std::map<std::uint64_t, std::shared_ptr<const Network>> networks_;  ///< Of the view in force, by version.
  PlanCache plans_;                   ///< Of the view in force.
  std::uint64_t collectives_made_ = 0;  ///< Each rounds by its own dice.
  PrefetchServer prefetch_server_;
  std::shared_ptr<const StateOffer> offer_;
  std::shared_ptr<const StateOffer> offer_before_;  ///< May be in the writing until the actions of its end are done.
  std::optional<PrefetchGuest> guest_;
  std::optional<PrefetchGuest> former_guest_;  ///< Its connect call is over, but for its works.
  std::uint32_t guest_works_ = 0;              ///< Under way.
  std::optional<CallDone> connect_done_;       ///< Which waits for these.
  struct Withdrawal {
    CallDone done;
    std::shared_ptr<const StateOffer> offer;
  };
  std::vector<Withdrawal> withdrawals_;  ///< Which wait for works that read the offer.
  std::shared_ptr<ScratchKeeper> scratch_ = std::make_shared<ScratchKeeper>();
};

}  // namespace hawser
