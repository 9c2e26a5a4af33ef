#include "engine/peer_engine.hpp"

#include <algorithm>
#include <type_traits>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "base/random.hpp"
#include "collective/planned_collective.hpp"
#include "collective/wire_bytes.hpp"
#include "plan/plan.hpp"
#include "collective/residual.hpp"
#include "engine/call_check.hpp"
#include "engine/peer_engine_state.hpp"
#include "shared_state/slice_transfer.hpp"

namespace hawser {
namespace {

/// Collectives up to this size are sent without waiting for the receiver's ready frame, which is then only sent if the
/// collective lasts.
constexpr std::uint64_t kSmallBytes = 64 << 10;
constexpr Duration kReadyDelay = milliseconds(2);
/// In large groups it lasts longer without that meaning anything.
constexpr std::uint32_t kMembersInReadyDelay = 8;

/// The first word may not have come to a master that has the run by now.
constexpr Duration kGiveUpAgain = seconds(1);

constexpr const char* kRelayCallsNothing =
    "this communicator is a relay, without tensors: it takes part in what the members call, and calls nothing itself";

Error usage(std::string sentence) { return {Status::invalid_usage, std::move(sentence)}; }

}  // namespace

PeerEngine::PeerEngine(EngineConfig config) : state_(std::make_unique<State>(std::move(config))) {}
PeerEngine::~PeerEngine() = default;

void PeerEngine::step(Instant now, const EngineEvent& event, EngineActions& out) {
  state_->step(now, event, out);
}
std::optional<Instant> PeerEngine::next_deadline() const { return state_->next_deadline(); }
Landing PeerEngine::frame_begins(Instant now, LinkConnection connection, const FrameHeader& header,
                                 EngineActions& out) {
  return state_->frame_begins(now, connection, header, out);
}
void PeerEngine::frame_moved(Instant now, LinkConnection connection, EngineActions& out) {
  state_->frame_moved(now, connection, out);
}
void PeerEngine::frame_ends(Instant now, LinkConnection connection, bool intact, EngineActions& out) {
  state_->frame_ends(now, connection, intact, out);
}
std::optional<OutFrame> PeerEngine::next_frame(Instant now, LinkConnection connection, EngineActions& out) {
  return state_->next_frame(now, connection, out);
}
EngineInfo PeerEngine::info() const { return state_->info(); }
void PeerEngine::call_told(CallId call) noexcept { state_->call_told(call); }
void PeerEngine::undo_all() noexcept { state_->undo_all(); }

PeerEngine::State::State(EngineConfig config)
    : config_(std::move(config)),
      machine_({.connect = config_.connect,
                .master_redial = config_.master_redial,
                .masters = config_.masters,
                .silence = config_.silence,
                .master_host = config_.master_host,
                .links = config_.links}),
      prefetch_server_(config_.prefetch_share) {}

void PeerEngine::State::step(Instant now, const EngineEvent& event, EngineActions& out) {
  std::visit([&](const auto& one) { on(now, one, out); }, event);
  if (!again_.empty()) begin_again(now, out);
  if (!waits_.empty()) end_waits(now, out);
  const bool is_member = machine_.phase() == PeerMachine::Phase::member;
  if (std::exchange(was_member_, is_member) && !is_member) end_messages(now, machine_.not_a_member(), out);
  if (!fetch_waits_.empty()) wake_fetch(out);
}

EngineInfo PeerEngine::State::info() const {
  EngineInfo info;
  info.connected = machine_.phase() == PeerMachine::Phase::member;
  info.not_a_member = machine_.not_a_member();
  info.updating = machine_.in_update();
  info.self = machine_.self();
  info.view = machine_.view();
  info.calls_since = machine_.calls_since();
  info.world = machine_.world();
  info.pending = machine_.pending();
  info.plans_made = plans_.made();
  return info;
}

void PeerEngine::State::call_told(CallId call) noexcept {
  std::erase_if(endings_, [&](const auto& entry) { return entry.second.call == call; });
}

void PeerEngine::State::undo_all() noexcept {
  for (auto& [key, op] : ops_)
    if (op.execution) op.execution->undo_now();
  if (planted(PlantedFault::lost_input)) return;
  for (auto& [key, ending] : endings_)
    if (ending.execution) ending.execution->undo_now();
}

void PeerEngine::State::on(Instant, const SetTermCall& event, EngineActions& out) {
  const auto phase = machine_.phase();
  Error error{Status::success, {}};
  if (phase == PeerMachine::Phase::joining || phase == PeerMachine::Phase::member)
    error = usage("terms are compared at the admission: set them before connect");
  else if (!event.value)
    terms_.erase(event.name);
  else if (terms_.size() >= limits::kTermsMax && !terms_.contains(event.name))
    error = {Status::invalid_argument,
             "there are " + std::to_string(limits::kTermsMax) + " terms already, which are the most"};
  else
    terms_[event.name] = *event.value;
  out.emplace_back(CallDone{event.call, std::move(error), {}});
}

void PeerEngine::State::on(Instant now, const ConnectCall& event, EngineActions& out) {
  const auto refuse = [&](const char* why) { out.emplace_back(CallDone{event.call, usage(why), {}}); };
  if (machine_.phase() == PeerMachine::Phase::joining || connect_done_)
    return refuse("connect is under way; wait for it");
  if (machine_.phase() == PeerMachine::Phase::member) return refuse("this communicator is connected already");
  std::vector<Term> terms;
  for (const auto& [name, value] : terms_) terms.push_back({.name = name, .value = value});
  connect_call_ = event.call;
  // What came to the one that this peer was to be before.
  end_messages(now, {Status::closed, "this communicator connects anew"}, out);
  make_offer_known(now, nullptr, out);
  begin_prefetch(now, event);
  PeerActions actions;
  machine_.connect(now,
                   {.id = event.id,
                    .token = event.token,
                    .group = config_.group,
                    .name = config_.name,
                    .address = event.address,
                    .party = config_.party,
                    .machine = config_.machine,
                    .terms = std::move(terms),
                    .min_peers = config_.min_peers,
                    .is_relay = config_.is_relay,
                    .relay_bytes_per_second = config_.relay_bytes_per_second},
                   event.prefetch != nullptr, actions);
  follow(now, actions, out);
}

void PeerEngine::State::on(Instant now, const UpdateTopologyCall& event, EngineActions& out) {
  Error error = machine_.not_a_member();
  if (config_.is_relay) error = usage(kRelayCallsNothing);
  if (error.status == Status::success && update_call_)
    error = usage("update-topology is under way already; wait for it");
  if (error.status == Status::success && (machine_.has_ops() || !endings_.empty()))
    error = usage("a collective is in flight; wait for it, then call update-topology");
  if (error.status != Status::success) {
    out.emplace_back(CallDone{event.call, error, {}});
    return;
  }
  update_call_ = event.call;
  PeerActions actions;
  machine_.update_topology(now, actions);
  follow(now, actions, out);
}

Result<void> PeerEngine::State::check_start(const CollectiveStart& call) const {
  if (config_.is_relay) return usage(kRelayCallsNothing);
  const View& view = machine_.view();
  const Error not_a_member = machine_.not_a_member();
  // Whatever goes on is of the view that is in force.
  const auto same_tag = ops_.lower_bound({.epoch = view.epoch, .view = view.id, .tag = call.tag});
  return check_call(call, {.not_a_member = not_a_member,
                           .view = view,
                           .calls_since = machine_.calls_since(),
                           .self = machine_.self(),
                           .updating = machine_.in_update(),
                           .in_flight = ops_.size() + endings_.size(),
                           .probing = !ops_.empty() && ops_.begin()->second.probing,
                           .tag_in_flight =
                               has_ending(call.tag) || (same_tag != ops_.end() && same_tag->first.tag == call.tag),
                           .links = config_.links});
}

/// A relay has one bound for all calls, of which each of the first ones gets its part.
std::size_t PeerEngine::State::memory_of_call() const {
  constexpr std::size_t kCallsAtOnce = 8;
  if (!config_.is_relay) return config_.collective_memory_bytes;
  return ops_.size() + endings_.size() < kCallsAtOnce ? config_.collective_memory_bytes / kCallsAtOnce : 1;
}

std::shared_ptr<const Plan> PeerEngine::State::plan_of(const Signature& signature, const PlanBasis& basis,
                                                       const Network* network) {
  const View& view = machine_.view();
  return plans_.plan(basis.version, {.kind = signature.plan,
                                     .world_size = view.size(),
                                     .elements = signature.count,
                                     .element_bytes = chunking_bytes(signature),
                                     .collective = signature.collective,
                                     .root = signature.root,
                                     .wire = wire_bytes(signature),
                                     .network = network,
                                     .between_hosts = view.spans_hosts(),
                                     .row_width = config_.links.row_width(view.size()),
                                     .relays = view.relays()});
}

Result<std::shared_ptr<Execution>> PeerEngine::State::make_execution(const CollectiveStart& call,
                                                                     const PlanBasis& basis, const Network* network) {
  CollectiveCall what = call.collective;
  const View& view = machine_.view();
  what.rank = *view.rank_of(machine_.self());
  if (call.transfer)
    return std::shared_ptr<Execution>(
        std::make_shared<SliceTransfer>(call.transfer, what.rank, view.size(), config_.links));
  if (call.residual) {
    what.residual = call.residual->owed();
    what.next_residual = call.residual->prepared();
  }
  what.memory_bytes = memory_of_call();
  what.seed = Random(machine_.self().value ^ Random(collectives_made_++).next()).next();
  const auto plan = plan_of(what.signature, basis, network);
  auto made = PlannedCollective::create(*plan, what, scratch_);
  if (!made.ok()) return made.error();
  return std::shared_ptr<Execution>(std::move(*made));
}

void PeerEngine::State::on(Instant now, const CollectiveStart& event, EngineActions& out) {
  const auto refuse = [&](const Error& error) { out.emplace_back(CallDone{event.call, error, {}}); };
  if (const auto fine = check_start(event); !fine.ok()) return refuse(fine.error());
  Signature signature = event.collective.signature;
  Op op;
  std::shared_ptr<const Network> network;
  PlanBasis basis;
  if (!event.transfer && !event.probing) {
    basis = machine_.plan_basis(event.tag);
    signature.measures = basis.version;
    network = network_of(basis, out);
  }
  if (event.probing && machine_.view().size() >= 2) {
    op.execution = op.probing = make_probing(now, event);
  } else if (machine_.view().size() >= 2) {
    auto execution = make_execution(event, basis, network.get());
    if (!execution.ok()) return refuse(execution.error());
    op.execution = std::move(*execution);
  }
  const bool needs_relays = op.execution && op.execution->uses_relays();
  const auto key = machine_.begin(now, event.tag, signature, event.given, needs_relays);
  if (!key) return refuse(key.error());
  if (machine_.view().relays() > 0 && begins_again(event))
    op.again = std::make_shared<const CollectiveStart>(event);
  op.call = event.call;
  op.signature = signature;
  op.fingerprint = fingerprint(signature);
  op.compress = event.compress;
  op.started = op.progress = op.reported = op.all_called = now;
  op.cancelled = event.cancelled;
  if (event.bound) op.give_up_at = now + *event.bound;
  for (const std::uint32_t rank : op.execution->senders())
    op.not_heard.insert(machine_.view().members[rank].id);
  const bool small = !event.transfer && signature.count <= kSmallBytes / element_bytes(signature.type);
  op.tell_ready = now;
  if (small) *op.tell_ready += kReadyDelay * std::max(1U, machine_.view().size() / kMembersInReadyDelay);
  mark_flows(op);
  for (const std::uint32_t rank : op.execution->further_links())
    op.further_links.insert(machine_.view().members[rank].id);
  ops_.emplace(*key, std::move(op));
  need_links(now, out);
  begin_op(now, *key, out);
}

void PeerEngine::State::on(Instant now, const CancelCall& event, EngineActions& out) {
  for (auto& [key, op] : ops_) {
    if (op.call != event.call || machine_.is_relay()) continue;
    op.cancelled = true;
    return give_up(now, key, op, out);
  }
  for (auto& [key, ending] : endings_) {
    if (ending.call != event.call || !ending.again) continue;
    auto call = std::make_shared<CollectiveStart>(*ending.again);
    call->bound = Duration::zero();
    call->cancelled = true;
    ending.again = std::move(call);
    return;
  }
  MessageExchange::Output output;
  messages_.cancel(now, event.call, output);
  follow_messages(output, out);
}

/// Only the master can end a collective: others may have its result.
void PeerEngine::State::give_up(Instant now, const OpKey& key, Op& op, EngineActions& out) {
  op.give_up_at = now + kGiveUpAgain;
  PeerActions actions;
  machine_.give_up({.key = key,
                    .after_ms = static_cast<std::uint64_t>(whole_milliseconds(now - op.started)),
                    .cancelled = op.cancelled},
                   actions);
  follow(now, actions, out);
}

/// This peer is a relay, and the members have called something whose plan has relays in it.
void PeerEngine::State::follow_one(Instant now, const RelayCalled& called, EngineActions& out) {
  const auto ignore = [&](const std::string& why) {
    out.emplace_back(LogEvent{LogLevel::warning, "relay-call-odd", why});
  };
  if (called.signature.collective != Collective::all_reduce || machine_.view().size() < 2)
    return ignore("a member says that relays are needed for a call that has none");
  std::uint64_t chunks = 0;
  for (const auto& [key, op] : ops_) chunks += op.execution->chunks();
  for (const auto& [key, ending] : endings_) chunks += ending.execution->chunks();
  const std::shared_ptr<const Network> network = network_of(called.basis, out);
  const auto plan = plan_of(called.signature, called.basis, network.get());
  // A member may say whatever it likes: what its word costs is known before memory is taken.
  if (plan->relays == 0) return ignore("a member says that relays are needed for what they are not");
  if (chunks + plan->chunking.chunks() > limits::kRelayedChunksOfAllMax)
    return ignore("the members have called more at one time than a relay takes part in: " +
                  std::to_string(chunks + plan->chunking.chunks()) + " chunks, of " +
                  std::to_string(limits::kRelayedChunksOfAllMax));
  CollectiveStart call{.call = {}, .collective = {.signature = called.signature}, .epoch = called.key.epoch};
  auto execution = make_execution(call, called.basis, network.get());
  if (!execution.ok()) return ignore(execution.error().sentence);
  Op op;
  op.execution = std::move(*execution);
  op.signature = called.signature;
  op.fingerprint = fingerprint(op.signature);
  op.started = op.progress = op.reported = op.all_called = now;
  // It has no result, and so it reports none, and waits for nobody.
  op.whole = op.tell_ready = now;
  ops_.emplace(called.key, std::move(op));
  begin_op(now, called.key, out);
}

/// Calls that a lost relay undid.
void PeerEngine::State::begin_again(Instant now, EngineActions& out) {
  for (const auto& call : std::exchange(again_, {})) on(now, *call, out);
}

/// Of all collectives under way.
void PeerEngine::State::need_links(Instant now, EngineActions& out) {
  std::set<PeerId> needed;
  for (const auto& [key, op] : ops_)
    if (current(key)) needed.insert(op.further_links.begin(), op.further_links.end());
  PeerActions actions;
  machine_.need_links(now, needed, actions);
  follow(now, actions, out);
}

void PeerEngine::State::on(Instant now, const LeaveCall&, EngineActions& out) {
  PeerActions actions;
  machine_.leave(actions);
  follow(now, actions, out);
}

void PeerEngine::State::on(Instant now, const MasterUp& event, EngineActions& out) {
  // It may be another one, that knows nothing.
  announced_in_ = {};
  PeerActions actions;
  machine_.master_up(now, event.ways, actions);
  follow(now, actions, out);
}

void PeerEngine::State::on(Instant now, const MasterDown& event, EngineActions& out) {
  PeerActions actions;
  machine_.master_down(now, event.reason, event.is_no_master, actions);
  follow(now, actions, out);
}

void PeerEngine::State::on(Instant now, const MasterSaid& event, EngineActions& out) {
  PeerActions actions;
  machine_.master_said(now, event.message, actions);
  follow(now, actions, out);
}

void PeerEngine::State::on(Instant now, const LinkUp& event, EngineActions& out) {
  Link* const link = find_link(event.connection.peer);
  if (!link) return;
  if (link->schedule.has_connection(event.connection.index)) forget_connection(now, event.connection, out);
  const bool first = !link->schedule.has_connection();
  link->schedule.connection_up(event.connection.index);
  link->incarnations[event.connection.index] = event.incarnation;
  if (event.round_trip > Duration{}) link->meter.round_trip(event.round_trip);
  link->way.stands(now, event.by);
  link->metered = event.round_trip > Duration{} && !event.same_host;
  if (link->schedule.has_work()) out.emplace_back(WakeLink{event.connection.peer});
  link_is_wider(now, event.connection.peer, out);
  if (!first) return;
  machine_.link_changed(now, event.connection.peer, LinkChange::up, event.by, event.round_trip);
}

void PeerEngine::State::on(Instant now, const LinkDown& event, EngineActions& out) {
  Link* const link = find_link(event.connection.peer);
  if (!link || !link->schedule.has_connection(event.connection.index)) return;
  if (link->incarnations[event.connection.index] != event.incarnation) return;
  forget_connection(now, event.connection, out);
  out.emplace_back(LogEvent{LogLevel::debug, "connection-lost", event.reason});
}

void PeerEngine::State::on(Instant now, const LinkRefused& event, EngineActions&) {
  const Link* const link = find_link(event.peer);
  if (link && !link->schedule.has_connection()) machine_.link_changed(now, event.peer, LinkChange::refused);
}

void PeerEngine::State::on(Instant now, const LinkUnreached& event, EngineActions& out) {
  if (!find_link(event.peer)) return;
  PeerActions actions;
  machine_.link_unreached(event.peer, event.why, actions);
  follow(now, actions, out);
}

void PeerEngine::State::on(Instant now, const StraightFailed& event, EngineActions&) {
  machine_.straight_failed(now, event.peer, event.why);
}

void PeerEngine::State::on(Instant now, const EngineTick&, EngineActions& out) {
  PeerActions actions;
  machine_.tick(now, actions);
  follow(now, actions, out);
  tick_executions(now, out);
  tick_prefetch(now, out);
  tick_messages(now, out);
  for (auto& [key, op] : ops_) watch_op(now, key, op, out);
  for (auto& [peer, link] : links_)
    if (link.schedule.release_acknowledgements(now)) out.emplace_back(WakeLink{peer});
}

void PeerEngine::State::tick_executions(Instant now, EngineActions& out) {
  Execution::Output output;
  for (auto& [key, op] : ops_) {
    const auto due = op.execution->next_deadline();
    if (!due || now < *due) continue;
    op.execution->tick(now, output);
    perform(key, op, output, out);
    if (op.probing) take_probes(now, key, op, out);
    if (op.execution->complete() && !op.whole) result_whole(now, key, op, out);
  }
}

void PeerEngine::State::watch_op(Instant now, const OpKey& key, Op& op, EngineActions& out) {
  if (op.tell_ready && now >= *op.tell_ready) tell_ready(key, op, out);
  if (op.give_up_at && now >= *op.give_up_at) give_up(now, key, op, out);
  if (op.whole) return;
  if (op.probed && op.progress > *op.probed) op.probed.reset();
  if (op.complained && op.progress > *op.complained) {
    op.complained.reset();
    tell_progress(now, key, op, out);
  } else if (op.progress > op.reported && now >= op.reported + config_.stall / 2) {
    tell_progress(now, key, op, out);
  }
  const Instant still_since = op.complained.value_or(op.progress);
  if (now >= still_since + config_.stall)
    complain(now, key, op, out);
  else if (!op.probed && now >= still_since + config_.stall / 2)
    probe(now, key, op, out);
}

/// Others may starve behind what still moves here: the master shall blame nobody as long as something moves.
void PeerEngine::State::tell_progress(Instant now, const OpKey& key, Op& op, EngineActions& out) {
  PeerActions actions;
  machine_.complain({.key = key,
                     .stalled_ms = 0,
                     .waiting_for = {},
                     .unresponsive = {},
                     .period_ms = static_cast<std::uint64_t>(whole_milliseconds(now - op.reported)),
                     .flows = slow_flows(now, key, op)},
                    actions);
  op.reported = now;
  mark_flows(op);
  follow(now, actions, out);
}

/// Asks all links for a sign of life: a ready frame is acknowledged at once, and means nothing new.
void PeerEngine::State::probe(Instant now, const OpKey& key, Op& op, EngineActions& out) {
  op.probed = now;
  for (auto& [peer, link] : links_)
    if (machine_.view().find(peer)) send_ready(peer, link, key, op, out);
}

void PeerEngine::State::complain(Instant now, const OpKey& key, Op& op, EngineActions& out) {
  Complaint complaint{.key = key,
                      .stalled_ms = static_cast<std::uint64_t>(whole_milliseconds(now - op.progress)),
                      .waiting_for = waiting_for(key, op),
                      .unresponsive = unresponsive(op)};
  out.emplace_back(LogEvent{LogLevel::info, "stalled",
                            describe(op.signature) + " makes no progress; waiting for " +
                                names_of(complaint.waiting_for) +
                                (complaint.unresponsive.empty()
                                     ? std::string()
                                     : "; no sign of life from " + names_of(complaint.unresponsive))});
  op.complained = op.reported = now;
  mark_flows(op);
  op.probed.reset();
  PeerActions actions;
  machine_.complain(std::move(complaint), actions);
  follow(now, actions, out);
}

std::string PeerEngine::State::names_of(const std::vector<PeerId>& peers) const {
  std::string names;
  for (const PeerId peer : peers) names += (names.empty() ? "" : ", ") + machine_.view().find(peer)->name;
  return names;
}

std::vector<PeerId> PeerEngine::State::unresponsive(const Op& op) const {
  std::vector<PeerId> peers;
  for (const auto& [peer, link] : links_)
    if (op.probed && machine_.view().find(peer) && link.heard_at < *op.probed) peers.push_back(peer);
  return peers;
}

/// Members whose chunks are due, and members that do not take what is due to them.
std::vector<PeerId> PeerEngine::State::waiting_for(const OpKey& key, const Op& op) const {
  const View& view = machine_.view();
  std::vector<PeerId> peers;
  for (const std::uint32_t rank : op.execution->waiting_for()) {
    HAWSER_ASSERT(rank < view.nodes());
    peers.push_back(view.members[rank].id);
  }
  for (const auto& [peer, link] : links_)
    if (view.find(peer) && link.schedule.owes(key) && std::find(peers.begin(), peers.end(), peer) == peers.end())
      peers.push_back(peer);
  return peers;
}

std::optional<Instant> PeerEngine::State::op_deadline(const Op& op) const {
  const std::optional<Instant> own = earlier(op.give_up_at, op.tell_ready);
  if (op.whole) return earlier(own, op.execution->next_deadline());
  if (op.complained && op.progress > *op.complained) return earlier(own, op.progress);
  const Instant still_since = op.complained.value_or(op.progress);
  const bool probed = op.probed && *op.probed >= op.progress;
  std::optional<Instant> next = earlier(op.execution->next_deadline(), own);
  next = earlier(next, still_since + (probed ? config_.stall : config_.stall / 2));
  if (op.progress > op.reported) next = earlier(next, op.reported + config_.stall / 2);
  return next;
}

std::optional<Instant> PeerEngine::State::next_deadline() const {
  std::optional<Instant> next = machine_.next_deadline();
  for (const auto& [key, op] : ops_) next = earlier(next, op_deadline(op));
  for (const auto& [peer, link] : links_) next = earlier(next, link.schedule.acknowledgement_due());
  for (const Wait& wait : waits_) next = earlier(next, wait.until);
  next = earlier(next, messages_.next_deadline());
  next = earlier(next, prefetch_server_.next_deadline());
  if (guest_) next = earlier(next, guest_->next_deadline());
  return next;
}

void PeerEngine::State::follow(Instant now, PeerActions& actions, EngineActions& out) {
  for (PeerAction& action : actions) {
    std::visit(
        [&](auto& one) {
          using Action = std::decay_t<decltype(one)>;
          if constexpr (std::is_same_v<Action, DialMaster> || std::is_same_v<Action, CloseMaster> ||
                        std::is_same_v<Action, SendMaster> || std::is_same_v<Action, DialPeer> ||
                        std::is_same_v<Action, LogEvent>)
            out.emplace_back(std::move(one));
          else
            follow_one(now, one, out);
        },
        action);
  }
}

void PeerEngine::State::follow_one(Instant, const WantLinks& wanted, EngineActions& out) {
  std::erase_if(links_, [&](auto& entry) {
    const bool keep = std::any_of(wanted.peers.begin(), wanted.peers.end(),
                                  [&](const auto& wish) { return wish.peer.id == entry.first; }) &&
                      entry.second.secret == wanted.secret;
    if (!keep) {
      out.emplace_back(CloseLink{entry.first, std::make_shared<LinkSchedule>(std::move(entry.second.schedule))});
      messages_.unlinked(entry.first);
    }
    return !keep;
  });
  for (const auto& wish : wanted.peers) {
    const auto [link, fresh] = links_.try_emplace(wish.peer.id);
    // A visitor that has become a member is another peer to ask for.
    if (!fresh && link->second.may_ask == wish.may_ask) continue;
    if (fresh) {
      link->second.secret = wanted.secret;
      link->second.dial_after = wish.dial_after;
      link->second.meter = LinkMeter(config_.sample);
    }
    link->second.may_ask = wish.may_ask;
    out.emplace_back(OpenLink{.peer = wish.peer,
                              .secret = wanted.secret,
                              .dial_after = link->second.dial_after,
                              .may_ask = wish.may_ask});
  }
}

void PeerEngine::State::follow_one(Instant now, const ViewStarted& started, EngineActions& out) {
  // Calls that a lost relay has undone, and whose memory is not in order yet: they share the end of their view.
  if (!started.calls_go_on)
    for (auto& [key, ending] : endings_)
      if (std::exchange(ending.again, nullptr)) ending.done.error = started.cause;
  networks_.clear();
  plans_.clear();
  for (auto& [peer, link] : links_) {
    forget_parked_before(link, started.view.epoch);
    std::erase_if(link.early_ready, [&](const auto& entry) { return entry.first.epoch < started.view.epoch; });
  }
  look_who_is_there(now, out);
}

void PeerEngine::State::follow_one(Instant now, const OpCommitted& committed, EngineActions& out) {
  const auto found = ops_.find(committed.key);
  if (found == ops_.end()) return;
  release(committed.key, out);
  Op& op = found->second;
  end_probing(op, out);
  CollectiveInfo info;
  info.key = committed.key;
  info.signature = op.signature;
  const View& view = machine_.view();
  for (std::uint32_t rank = 0; rank < view.size(); ++rank) info.contributors.push_back(view.members[rank].id);
  info.rank = machine_.view().rank_of(machine_.self()).value_or(0);
  info.plan = op.execution->plan_kind();
  info.plan_reason = op.execution->plan_reason();
  info.bytes_sent = op.bytes_sent;
  info.bytes_received = op.bytes_received;
  const Instant whole = op.whole.value_or(now);
  info.wait = op.all_called - op.started;
  info.transfer = whole - op.all_called;
  info.reduce = op.in_kernels;
  info.commit = now - whole;
  const double predicted = op.execution->predicted_seconds();
  const std::uint64_t bytes = op.signature.count * wire_bytes(op.signature).down / 1024;
  info.predicted_seconds = predictions_.corrected(op.signature.collective, info.plan, bytes, predicted);
  predictions_.took(op.signature.collective, info.plan, bytes, predicted,
                    std::chrono::duration<double>(info.transfer + info.commit).count());
  end_call(committed.key, false, {op.call, {Status::success, {}}, std::move(info)}, out);
  if (machine_.is_relay()) {
    PeerActions actions;
    tell_measures(now, actions);
    follow(now, actions, out);
  }
  need_links(now, out);
  set_bounds();
}

void PeerEngine::State::follow_one(Instant now, const OpAborted& aborted, EngineActions& out) {
  const auto found = ops_.find(aborted.key);
  if (found == ops_.end()) return;
  release(aborted.key, out);
  end_probing(found->second, out);
  if (aborted.may_begin_again && found->second.again) {
    // In the view that has begun, or one that nothing but relays has gone to, or not at all.
    auto call = std::make_shared<CollectiveStart>(*found->second.again);
    call->epoch = machine_.view().epoch;
    if (const auto& until = found->second.give_up_at) call->bound = std::max(*until - now, Duration::zero());
    call->cancelled = found->second.cancelled;
    found->second.again = std::move(call);
  } else {
    found->second.again.reset();
  }
  out.emplace_back(LogEvent{LogLevel::info, "collective-aborted", aborted.error.sentence});
  end_call(aborted.key, true, {found->second.call, aborted.error, {}}, out);
  need_links(now, out);
  set_bounds();
}

void PeerEngine::State::follow_one(Instant now, const ConnectEnded& ended, EngineActions& out) {
  end_prefetch(now);
  if (!connect_call_) return;
  connect_done_ = CallDone{*connect_call_, ended.error, {}};
  connect_call_.reset();
  end_connect(out);
}

void PeerEngine::State::follow_one(Instant, const UpdateEnded& ended, EngineActions& out) {
  if (!update_call_) return;
  out.emplace_back(CallDone{*update_call_, ended.error, {}});
  update_call_.reset();
}

}  // namespace hawser
