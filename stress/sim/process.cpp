#include "sim/process.hpp"

#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/bug_found.hpp"
#include "sim/overloaded.hpp"
#include "sim/violation.hpp"
#include "sim/world.hpp"

namespace hawser::sim {
namespace {

/// Small, or a probe would be most of a run's events.
constexpr std::uint64_t kProbeBytes = 96 << 10;
constexpr std::uint64_t kProbeTag = 99;

const char* kind_of(const Call& call) {
  switch (call.kind) {
    case Call::Kind::connect: return "connect";
    case Call::Kind::update: return "update";
    case Call::Kind::reduce: return "reduce";
    case Call::Kind::sync: return "sync";
    case Call::Kind::offer: return "offer";
    case Call::Kind::optimize: return "optimize";
    case Call::Kind::message: return "message";
  }
  return "call";
}

}  // namespace

Process::Process(World& world, std::uint64_t number, std::string name, Place place)
    : port({.connections_per_link = world.profile.network.connections_per_link,
            .may_use_bbr = number % 2 == 1,
            .strangers = {.most = world.profile.network.strangers_most,
                          .of_source_most = world.profile.network.strangers_of_source_most},
            .asks_both = true,
            .seed = world.random.next()}),
      world_(world),
      number_(number),
      name_(std::move(name)),
      place_(place) {
  EngineConfig config = world.profile.engine;
  config.name = name_;
  config.group = place_.group;
  config.party = place_.party;
  config.machine = machine();
  config.widens_links = true;
  config.is_relay = place_.relay;
  config.relay_bytes_per_second = place_.relay_bytes_per_second;
  if (place_.relay) config.collective_memory_bytes *= 8;
  engine_ = std::make_unique<PeerEngine>(config);
}

// ------------------------------------------------------------------------------- the application's calls

Call& Process::start_call(Call::Kind kind) {
  if (stopped_ || gone()) throw Violation("the simulator lets " + name_ + " call though it does not run");
  const CallId id{number_ * 1000000 + ++calls_made_};
  Call& call = calls_[id];
  call.id = id;
  call.kind = kind;
  call.made = world_.queue.now();
  if (kind != Call::Kind::connect) call.view = info().view;
  call.self = id_;
  if (world_.profile.application.messages)
    for (const Member& member : call.view.members) met_.insert(member.id);
  return call;
}

CallId Process::connect() { return call_connect(nullptr); }

CallId Process::call_connect(std::shared_ptr<PrefetchTarget> prefetch) {
  if (id_ != PeerId{}) former_ids_.insert(id_);
  id_ = PeerId{world_.random.next()};
  counted_view_ = {};
  world_.links.set_self(*this);
  token_ = world_.random.next();
  world_.names.call(id_, name_);
  if (bad_) world_.checker.comes_as_bad(id_);
  Call& started = start_call(Call::Kind::connect);
  const CallId call = started.id;
  started.prefetch = prefetch;
  if (world_.tracing()) world_.trace(name_ + (prefetch ? " calls connect, and prefetches" : " calls connect"));
  deliver(ConnectCall{.call = call,
                      .id = id_,
                      .token = token_,
                      .address = {.host = number_ % 2 == 0 ? host() : "", .port = 4000},
                      .prefetch = prefetch});
  return call;
}

void Process::turn_bad(bool lies_of_calls) {
  if (world_.tracing()) world_.trace(name_ + " is a bad member");
  bad_ = std::make_unique<BadMember>(world_, *this, lies_of_calls);
}

Introduction Process::introduction() const {
  return {.id = id_,
          .token = token_,
          .connection = 1ULL << 32,
          .group = place_.group,
          .name = name_,
          .address = {.host = host(), .port = 4000},
          .party = place_.party,
          .machine = machine()};
}

void Process::count_in(const View& view) {
  if (view.id == counted_view_) return;
  if (!counts_go_on()) updates_ = 0;
  counted_view_ = view.id;
  counted_epoch_ = view.epoch;
  sequences_.clear();
}

/// Nothing but relays has gone since the view in which it has counted.
bool Process::counts_go_on() const { return counted_view_ != ViewId{} && info().calls_since <= counted_epoch_; }

/// Calls that are under way when nothing but relays goes begin again in the next view, and count there.
void Process::count_again(const EngineInfo& after) {
  if (after.view.id == counted_view_) return;
  for (auto& [id, call] : calls_) {
    if (call.kind != Call::Kind::reduce || call.refused_with || call.committed) continue;
    if (call.key.view == after.view.id || call.key.epoch < after.calls_since) continue;
    count_in(after.view);
    call.view = after.view;
    call.key = {.epoch = after.view.epoch,
                .view = after.view.id,
                .tag = call.key.tag,
                .sequence = sequences_[call.key.tag]++};
    world_.coverage.saw("sim: call began again");
    if (world_.tracing()) world_.trace(name_ + " begins again: " + world_.names.of(call.key));
    world_.checker.reduce_called(*this, call);
  }
}

/// What the master tells of collectives.
void Process::note_calls(const MasterMessage& message) {
  if (std::holds_alternative<StartView>(message)) relayed_calls_.clear();
  if (const auto* const called = std::get_if<RelayCall>(&message)) {
    world_.coverage.saw("sim: plan through a relay");
    relayed_calls_.insert(called->key);
  }
  const auto* const committed = std::get_if<Committed>(&message);
  if (committed == nullptr) return;
  if (relayed_calls_.erase(committed->key) > 0) world_.coverage.saw("sim: collective through a relay committed");
  for (auto& [id, call] : calls_)
    if (call.key == committed->key) call.committed = true;
}

CallId Process::update_topology() {
  Call& started = start_call(Call::Kind::update);
  count_in(started.view);
  started.ordinal = updates_++;
  const CallId call = started.id;
  if (world_.tracing()) world_.trace(name_ + " calls update-topology");
  deliver(UpdateTopologyCall{.call = call});
  return call;
}

CallId Process::collective(const CollectiveWish& wish) {
  Call& call = start_call(Call::Kind::reduce);
  const CallId id = call.id;
  count_in(call.view);
  call.key = {
      .epoch = call.view.epoch, .view = call.view.id, .tag = wish.tag, .sequence = sequences_[wish.tag]++};
  call.signature = wish.signature;
  call.salt = world_.random.next();
  call.buffers = std::make_unique<UserBuffers>(
      UserBuffers::Shape{.signature = wish.signature,
                         .world_size = call.view.size(),
                         .rank = call.view.rank_of(call.self).value_or(0),
                         .in_place = wish.in_place},
      call.salt);
  if (wish.feedback) call.residual = residual_for(wish);
  if (wish.bound) call.given_up_at = call.made + *wish.bound;
  if (wish.cancel_after) cancel_later(call, *wish.cancel_after);
  if (world_.tracing())
    world_.trace(name_ + " calls " + describe(call.signature) + ", " + world_.names.of(call.key) +
                 (wish.in_place ? ", in place" : "") + (call.residual ? ", with error feedback" : ""));
  world_.checker.reduce_called(*this, call);
  deliver(CollectiveStart{.call = id,
                          .collective = {.signature = wish.signature,
                                         .send = call.buffers->send(),
                                         .receive = call.buffers->receive(),
                                         .device = device_buffers(call)},
                          .tag = wish.tag,
                          .compress = wish.compress,
                          .epoch = epoch_for(call),
                          .residual = call.residual,
                          .given = contribution_to(call),
                          .bound = wish.bound});
  return id;
}

void Process::cancel_later(Call& call, Duration after) {
  call.given_up_at = earlier(call.given_up_at, call.made + after);
  in_process(after, [this, id = call.id] {
    if (!calls_.contains(id)) return;
    world_.coverage.saw("sim: call cancelled");
    if (world_.tracing()) world_.trace(name_ + " cancels a call");
    deliver(CancelCall{id});
  });
}

/// Of its view, or of one that nothing but relays has gone from.
Epoch Process::epoch_for(const Call& call) {
  if (world_.profile.relays == 0 || world_.random.chance(1, 2)) return call.view.epoch;
  return info().calls_since;
}

/// By what its bytes are made of. In runs without keys nothing is signed.
std::optional<Contribution> Process::contribution_to(const Call& call) const {
  if (!world_.profile.network.keys) return std::nullopt;
  Contribution given{.bytes = call.signature.count};
  std::memcpy(given.sha256.data(), &call.salt, sizeof call.salt);
  return given;
}

std::shared_ptr<Residual> Process::residual_for(const CollectiveWish& wish) {
  const Signature& signature = wish.signature;
  auto& kept = residuals_[{wish.tag, signature.type, signature.count}];
  if (!kept) {
    const auto made = Residual::create(signature.count, signature.type);
    HAWSER_ASSERT(made.ok());
    kept = *made;
  } else {
    world_.coverage.saw("sim: error fed back");
  }
  HAWSER_ASSERT(kept->claim());
  return kept;
}

CallId Process::optimize_topology(const ProbeWishes& wishes) {
  Call& call = start_call(Call::Kind::optimize);
  const CallId id = call.id;
  count_in(call.view);
  call.key = {.epoch = call.view.epoch, .view = call.view.id, .tag = kProbeTag, .sequence = sequences_[kProbeTag]++};
  if (world_.tracing()) world_.trace(name_ + " calls optimize-topology, " + world_.names.of(call.key));
  deliver(probing_of(call, wishes));
  return id;
}

CollectiveStart Process::probing_of(const Call& call, const ProbeWishes& wishes) {
  const auto probing = std::make_shared<ProbeCall>();
  probing->bounds.bytes_max = kProbeBytes;
  probing->wishes = wishes;
  return {
      .call = call.id,
      .collective = {.signature = {.collective = Collective::optimize, .type = DataType::uint8, .count = kProbeBytes}},
      .tag = kProbeTag,
      .epoch = call.view.epoch,
      .probing = probing};
}

void Process::expect_refusal(CallId call, Status status, const EngineEvent& event) {
  calls_.at(call).refused_with = status;
  if (world_.tracing()) world_.trace(name_ + " makes a call that must be refused");
  deliver(event);
  if (calls_.contains(call)) throw Violation(name_ + ": a call that makes no sense was not refused at once");
}

void Process::misuse_connect() {
  if (!info().connected) return;
  const CallId call = start_call(Call::Kind::connect).id;
  const PeerId id{world_.random.next()};
  if (++misuses_ % 2 == 0)
    return expect_refusal(call, Status::invalid_usage, SetTermCall{.call = call, .name = "steps", .value = "7"});
  expect_refusal(call, Status::invalid_usage,
                 ConnectCall{.call = call, .id = id, .token = 1, .address = {.host = "", .port = 1}});
}

/// In place, of a few elements.
CollectiveStart Process::sound_reduce(Call& call) {
  call.signature = {.type = DataType::float32, .count = 5};
  call.buffers = std::make_unique<UserBuffers>(
      UserBuffers::Shape{.signature = call.signature, .world_size = 2, .rank = 0, .in_place = true}, 1);
  return {.call = call.id,
          .collective = {.signature = call.signature,
                         .send = call.buffers->send(),
                         .receive = call.buffers->receive()}};
}

void Process::misuse_arguments() {
  CollectiveStart start = sound_reduce(start_call(Call::Kind::reduce));
  CollectiveCall& what = start.collective;
  Status status = Status::invalid_argument;
  switch (++misuses_ % 10) {
    case 0: what.signature.count = 0; break;
    case 1: what.signature.collective = Collective::barrier; break;
    case 2: what.signature.count = ~std::uint64_t{0} / 8; break;
    case 3: what.send = nullptr; break;
    case 4: what.receive = nullptr; break;
    case 5: what.send += 1; break;
    case 6:
      what.receive += element_bytes(what.signature.type);
      status = Status::invalid_usage;
      break;
    case 7: what.signature.quantization = {.scheme = QuantizationScheme::cast, .type = QuantizedType::int4}; break;
    case 8: start.residual = *Residual::create(what.signature.count, what.signature.type); break;
    default:
      what.signature = {.collective = Collective::optimize, .type = DataType::uint8, .count = 1};
      start.probing = std::make_shared<ProbeCall>();
      start.probing->bounds.bytes_max = 1;
      break;
  }
  expect_refusal(start.call, status, start);
}

/// With a tag that is in flight, or while nothing may be called.
void Process::misuse_tag(std::uint64_t tag, Status status) {
  CollectiveStart start = sound_reduce(start_call(Call::Kind::reduce));
  start.tag = tag;
  expect_refusal(start.call, status, start);
}

void Process::misuse_second_call() {
  // Who is out of the run is told that first.
  const EngineInfo known = info();
  const Status status = known.connected ? Status::invalid_usage : known.not_a_member.status;
  for (const auto& [id, call] : calls_) {
    // Beside messages everything else may go on.
    if (call.kind == Call::Kind::message) continue;
    if (call.kind == Call::Kind::connect || call.kind == Call::Kind::offer) return;
    if (call.kind == Call::Kind::sync) return misuse_tag(call.key.tag, status);
    if (call.kind == Call::Kind::reduce && world_.random.chance(1, 2)) return misuse_tag(call.key.tag, status);
    if (call.kind == Call::Kind::update && world_.random.chance(1, 2)) return misuse_tag(77, status);
    if (++misuses_ % 2 == 0) {
      const Call& optimize = start_call(Call::Kind::optimize);
      return expect_refusal(optimize.id, status, probing_of(optimize, {}));
    }
    const CallId update = start_call(Call::Kind::update).id;
    return expect_refusal(update, status, UpdateTopologyCall{.call = update});
  }
}

void Process::leave() {
  if (world_.tracing()) world_.trace(name_ + " leaves");
  world_.checker.leaves(*this);
  deliver(LeaveCall{});
  // A communicator does not wait for works: what they have not put in order is undone at once.
  const bool waits = world_.random.chance(1, 2);
  while (waits && !works_.empty()) work_now(works_.begin()->first);
  if (works_.empty() && !calls_.empty()) throw Violation(name_ + " has left, and a call of its has not ended");
  end(Ending::flushed);
}

// ------------------------------------------------------------------------------- the operating system

void Process::end(Ending ending) {
  world_.checker.process_gone(*this);
  world_.control.process_gone(*this, ending);
  world_.links.process_gone(*this, ending);
  // As after an exception, which may come at any moment.
  engine_->undo_all();
  for (auto& [id, call] : calls_) {
    if (call.letter)
      world_.quarantine.take(std::move(call.letter->memory), call.letter->bytes);
    else
      world_.checker.call_broken_off(*this, call);
  }
  engine_.reset();
  works_.clear();
  ready_works_.clear();
  for (auto& [id, call] : calls_)
    if (call.buffers) std::move(*call.buffers).retire_to(world_.quarantine);
  calls_.clear();
  // It may be the one who asked: it lives until its event is over.
  if (application_) world_.buried.push_back(std::move(application_));
  held_tasks_.clear();
  link_events_.clear();
  stopped_ = false;
}

void Process::kill(Ending ending) {
  if (world_.tracing()) world_.trace(name_ + " is killed");
  end(ending);
}

void Process::stop() {
  if (world_.tracing()) world_.trace(name_ + " is stopped");
  stopped_ = true;
}

void Process::resume() {
  if (!stopped_) return;
  if (world_.tracing()) world_.trace(name_ + " goes on");
  stopped_ = false;
  was_hampered();
  world_.control.process_awake(*this);
  world_.links.process_awake(*this);
  for (auto& task : std::exchange(held_tasks_, {}))
    in_process(microseconds(world_.random.between(0, 2000)), task);
}

void Process::was_hampered() { hampered_until_ = world_.queue.now(); }

void Process::set_silent(bool silent) {
  if (silent_ == silent) return;
  if (world_.tracing()) world_.trace(name_ + (silent ? " falls silent" : " speaks again"));
  silent_ = silent;
  if (!silent) was_hampered();
  if (!silent) world_.links.process_awake(*this);
}

void Process::in_process(Duration delay, EventQueue::Task task) {
  world_.queue.after(delay, [this, task = std::move(task)] {
    if (gone()) return;
    if (stopped_) return held_tasks_.push_back(task);
    task();
  });
}

// ------------------------------------------------------------------------------------- the engine's time

void Process::arm_timer(std::uint64_t turn) {
  timer_changes = false;
  if (gone()) return;
  const auto deadline = engine_->next_deadline();
  if (!deadline || (timer_at_ && *timer_at_ <= *deadline)) return;
  timer_at_ = std::max(*deadline, world_.queue.now());
  const Instant at = *timer_at_ + world_.profile.network.timer_latency.draw(world_.random);
  world_.queue.at(at, turn, [this, armed = *timer_at_] {
    if (timer_at_ == armed) timer();
  });
}

void Process::timer() {
  timer_at_.reset();
  if (gone()) return;
  if (stopped_) return held_tasks_.push_back([this] { timer(); });
  const auto deadline = engine_->next_deadline();
  if (deadline && *deadline <= world_.queue.now()) {
    deliver(EngineTick{});
    if (gone()) return;
    const auto next = engine_->next_deadline();
    barren_ticks_ = next && *next <= world_.queue.now() ? barren_ticks_ + 1 : 0;
    if (barren_ticks_ > 2)
      throw Violation("the deadline of " + name_ + " stays in the past whatever is done: a busy loop");
  }
  world_.timer_changes(*this);
}

// -------------------------------------------------------------------------------------- events and actions

void Process::deliver(const EngineEvent& event) {
  if (inside_ != 0)
    throw Violation("the simulator calls the engine of " + name_ + " from within its own action");
  const auto* said = std::get_if<MasterSaid>(&event);
  if (world_.tracing()) {
    if (said) world_.trace(name_ + " <- master: " + world_.names.of(said->message));
    if (std::holds_alternative<MasterUp>(event)) world_.trace(name_ + " <- master is up");
    if (const auto* refused = std::get_if<LinkRefused>(&event))
      world_.trace(name_ + " <- refused by " + world_.names.of(refused->peer));
    if (const auto* down = std::get_if<MasterDown>(&event))
      world_.trace(name_ + " <- master is down: " + down->reason);
    if (const auto* up = std::get_if<LinkUp>(&event))
      world_.trace(name_ + " <- link up: " + world_.names.of(up->connection.peer) + "." +
                   std::to_string(up->connection.index));
    if (const auto* down = std::get_if<LinkDown>(&event))
      world_.trace(name_ + " <- link down: " + world_.names.of(down->connection.peer) + "." +
                   std::to_string(down->connection.index) + ", " + down->reason);
  }
  const bool was_member = info().connected;
  if (said) note_calls(said->message);
  step(event);
  if (said) check_term(said->message, was_member);
  if (said && std::holds_alternative<StartView>(said->message) && !gone()) check_view();
  settle();
}

void Process::settle() {
  if (inside_ != 0 || settling_) return;
  settling_ = true;
  while (!gone() && !link_events_.empty()) {
    const EngineEvent event = std::move(link_events_.front());
    link_events_.pop_front();
    const auto* const up = std::get_if<LinkUp>(&event);
    if (up && !world_.links.is_established(*this, *up)) continue;
    deliver(event);
    if (up && !gone()) world_.links.up_told(*this, up->connection);
  }
  settling_ = false;
}

/// What follows for a bad member from its own lies may be a bug of its engine, which cannot know of them.
void Process::step(const EngineEvent& event) {
  try {
    EngineActions actions = take_actions();
    engine_->step(world_.queue.now(), event, actions);
    perform(std::move(actions));
  } catch (const BugFound&) {
    if (!bad_) throw;
    world_.coverage.saw("bad member: dies of its lies");
    inside_ = 0;
    kill(Ending::flushed);
  }
}

void Process::check_view() {
  const EngineInfo after = info();
  if (!after.connected) return;
  world_.checker.view_started(*this, after.view);
  if (!is_relay()) count_again(after);
  world_.hearsay.started(after.view);
}

void Process::frame_begins(LinkEnd& end, const FrameHeader& header) {
  EngineActions actions = take_actions();
  const Landing landing = engine_->frame_begins(world_.queue.now(), end.name, header, actions);
  end.landing = landing.into;
  end.landing_after = landing.after;
  perform(std::move(actions));
}

void Process::frame_moved(LinkEnd& end) {
  EngineActions actions = take_actions();
  engine_->frame_moved(world_.queue.now(), end.name, actions);
  perform(std::move(actions));
}

void Process::frame_ends(LinkEnd& end, bool intact) {
  EngineActions actions = take_actions();
  engine_->frame_ends(world_.queue.now(), end.name, intact, actions);
  perform(std::move(actions));
}

std::optional<OutFrame> Process::next_frame(LinkEnd& end) {
  EngineActions actions = take_actions();
  auto frame = engine_->next_frame(world_.queue.now(), end.name, actions);
  perform(std::move(actions));
  return frame;
}

/// Memory that the last event's had, mostly: nearly every event has some.
EngineActions Process::take_actions() { return std::exchange(spare_actions_, {}); }

void Process::perform(EngineActions actions) {
  ++inside_;
  if (actions.size() > 20000) throw Violation(name_ + " wants 20,000 actions at once");
  for (EngineAction& action : actions) perform_one(action);
  --inside_;
  actions.clear();
  spare_actions_ = std::move(actions);
  world_.timer_changes(*this);
  work_ready();
}

/// Works are done at once, or later and in any order.
void Process::order_work(RunWork& ordered) {
  works_.emplace(ordered.token, std::move(ordered.work));
  if (ordered.may_wait && world_.profile.application.late_endings) {
    world_.coverage.saw("sim: a call ends in several turns");
    return work_later(ordered.token);
  }
  if (works_.at(ordered.token).device != kOnHost) return work_later(ordered.token);
  if (world_.random.below(256) >= world_.profile.application.late_works_per_256)
    return ready_works_.push_back(ordered.token);
  world_.coverage.saw("sim: work done later");
  work_later(ordered.token);
}

void Process::work_later(WorkToken token) {
  in_process(microseconds(world_.random.between(0, world_.random.chance(1, 16) ? 20000 : 1000)), [this, token] {
    if (works_.contains(token)) work_now(token);
    settle();
  });
}

void Process::work_now(WorkToken token) {
  const auto work = works_.extract(token);
  const WorkResult result = hawser::run(work.mapped(), desk_);
  step(WorkDone{.token = token, .result = result});
  if (!gone()) world_.links.work_done(*this, token);
}

void Process::work_ready() {
  while (inside_ == 0 && !ready_works_.empty() && !gone()) {
    const WorkToken token = ready_works_.front();
    ready_works_.erase(ready_works_.begin());
    if (works_.contains(token)) work_now(token);
  }
}

void Process::perform_one(EngineAction& action) {
  std::visit(Overloaded{
                 [&](DialMaster& dial) { world_.control.dial(*this, dial.which); },
                 [&](CloseMaster& close) { world_.control.close(*this, close.reason); },
                 [&](SendMaster& send) {
                   if (const auto* const word = std::get_if<GiveUp>(&send.message))
                     world_.checker.gives_up(group(), word->key);
                   send_to_master(std::move(send.message));
                 },
                 [&](OpenLink& open) { world_.links.open(*this, open); },
                 [&](DialPeer& dial) { world_.links.dial_at_once(*this, dial); },
                 [&](CloseLink& close) { world_.links.close(*this, close.peer); },
                 [&](WakeLink& wake) { world_.links.wake(*this, wake.peer); },
                 [&](WidenLink& widen) { world_.links.widen(*this, widen); },
                 [&](ReleaseSend& release) { world_.links.release_send(*this, release.connection); },
                 [&](ReleaseReceive& release) { world_.links.release_receive(*this, release.connection); },
                 [&](RunWork& ordered) { order_work(ordered); },
                 [&](DropConnection& drop) { world_.links.drop(*this, drop); },
                 [&](CallDone& done) {
                   engine_->call_told(done.call);
                   end_call(done);
                 },
                 [&](LogEvent& event) { world_.log(name_, event); },
             },
             action);
}

void Process::send_to_master(PeerMessage message) {
  if (bad_) message = bad_->instead_of(std::move(message));
  if (world_.tracing()) world_.trace(name_ + " -> master: " + world_.names.of(message));
  if (const auto* const begun = std::get_if<Begun>(&message); begun != nullptr && begun->needs_relays)
    world_.checker.goes_through_relays(begun->key);
  const char* kind = kind_of(message);
  world_.control.send(*this, std::move(message));
  world_.observe(name_, kind);
}

/// The shared state is the application's again.
void Process::check_prefetch_works() const {
  for (const auto& [token, work] : works_)
    for (const WorkStep& step : work.steps) {
      const auto* const copy = std::get_if<CopyBytes>(&step);
      if (copy != nullptr && state_->holds(copy->to))
        throw Violation(name_ + " ends its connect call while a work writes to its shared state");
    }
}

void Process::end_call(const CallDone& done) {
  const auto found = calls_.find(done.call);
  if (found == calls_.end()) throw Violation(name_ + " ends a call that is not open");
  Call call = std::move(found->second);
  calls_.erase(found);
  if (call.kind == Call::Kind::sync) return sync_step_ended(std::move(call), done);
  if (call.kind == Call::Kind::message) return message_ended(std::move(call), done);
  if (world_.tracing()) world_.trace(name_ + ": " + kind_of(call) + " ends: " + world_.names.of(done.error));
  world_.queue.remember(static_cast<std::uint64_t>(done.error.status) + call.id.value);
  world_.coverage.saw("call: " + std::string(kind_of(call)) + ", " + status_name(done.error.status));
  if (call.kind == Call::Kind::offer) {
    offer_ended_ = done.error;
    return;
  }
  if (call.residual) call.residual->release(done.error.status == Status::success);
  if (call.prefetch) {
    check_prefetch_works();
    prefetch_ended(*call.prefetch, done.error);
  }
  if (call.refused_with)
    world_.checker.refused(*this, *call.refused_with, done);
  else
    world_.checker.call_ended(*this, call, done);
  if (call.given_up_at && done.error.status == Status::timeout && world_.queue.now() >= *call.given_up_at)
    world_.coverage.saw("sim: call given up");
  // Who had not called is not told of a timeout; the next call of all is this one again.
  if (call.kind == Call::Kind::update && done.error.status == Status::timeout &&
      (call.view.id == counted_view_ || (counts_go_on() && call.view.epoch >= info().calls_since)))
    --updates_;
  if (call.buffers) {
    std::move(*call.buffers).retire_to(world_.quarantine);
    call.buffers.reset();
  }
  if (application_ && !call.refused_with) application_->call_ended(call, done);
}

}  // namespace hawser::sim
