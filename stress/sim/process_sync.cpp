#include <cstring>
#include <utility>

#include "sim/process.hpp"
#include "sim/violation.hpp"
#include "sim/world.hpp"

/// The shared state: performs the steps of StateSession with events, as runtime/shared_state.cpp does with a thread
/// that waits.
namespace hawser::sim {

TrainingState& Process::state() {
  if (!state_) state_ = std::make_unique<TrainingState>(world_.profile.application, world_.random.next());
  return *state_;
}

/// Whatever need not wait for others is done at once.
void Process::go_on(StateSession::Next next) {
  StateSession& session = state().session();
  const Instant now = world_.queue.now();
  while (!gone()) {
    switch (next) {
      case StateSession::Next::withdraw:
        next = session.withdrawn(now, offer_instead(nullptr, session.offered()));
        break;
      case StateSession::Next::digest: {
        StateContent& content = session.content();
        for (const StateContent::Slice slice : content.stale()) content.digest(slice);
        next = session.digested(now);
        break;
      }
      case StateSession::Next::offer: next = session.offer_ended(offer_instead(session.to_offer(), nullptr)); break;
      case StateSession::Next::load: next = session.loaded(state().read_checkpoint(world_.random)); break;
      case StateSession::Next::collective: return in_process(Duration::zero(), [this] { sync_step(); });
      case StateSession::Next::connect: {
        (void)call_connect(session.prefetch_target());
        return;
      }
      case StateSession::Next::over: return;
    }
  }
}

/// Ends at once, or with the works that are under way: a thread would wait for them.
Error Process::offer_instead(std::shared_ptr<const StateOffer> offer, std::shared_ptr<const StateOffer> instead_of) {
  if (world_.tracing())
    world_.trace(name_ + (offer ? " offers revision " + std::to_string(offer->revision) : " takes its offer back"));
  offer_ended_.reset();
  const CallId id = start_call(Call::Kind::offer).id;
  deliver(OfferStateCall{.call = id, .offer = std::move(offer), .instead_of = std::move(instead_of)});
  if (!offer_ended_) world_.coverage.saw("sim: an offer waits for works");
  while (!offer_ended_ && !gone() && !works_.empty()) work_now(works_.begin()->first);
  if (!offer_ended_ && !gone()) throw Violation(name_ + ": an offer did not end with the last work");
  return offer_ended_.value_or(Error{Status::closed, "the process is gone"});
}

bool Process::offer_state() {
  StateSession& session = state().session();
  own_up();
  go_on(session.offer(world_.queue.now(), id_));
  if (gone()) return false;
  const Status status = session.error().status;
  if (status != Status::success) {
    world_.coverage.saw(status == Status::invalid_usage ? "sim: offer refused" : "sim: offer of one that is out");
    return false;
  }
  world_.coverage.saw("sim: state offered");
  world_.checker.offered(*this, state());
  return true;
}

void Process::withdraw_state() {
  go_on(state().session().withdraw(world_.queue.now()));
  own_up();
}

void Process::scribble_on_state() {
  if (!state().session().offered() || state().session().next() != StateSession::Next::over) return;
  world_.coverage.saw("sim: state on offer written to");
  state().scribble(world_.random);
}

void Process::own_up() {
  if (gone()) return;
  const auto tensor = state().own_up();
  if (!tensor) return;
  state().remember();
  go_on(state().session().mark_changed(world_.queue.now(), *tensor));
}

void Process::digest_state() { go_on(state().session().digest()); }
void Process::mark_state_changed() { go_on(state().session().mark_all_changed(world_.queue.now())); }

bool Process::load_state() {
  StateSession& session = state().session();
  go_on(session.load(world_.queue.now()));
  if (gone()) return false;
  const bool whole = session.error().status == Status::success;
  if (world_.tracing()) world_.trace(name_ + (whole ? " has loaded a checkpoint" : " fails to load a checkpoint"));
  world_.coverage.saw(whole ? "sim: checkpoint loaded"
                            : session.incomplete() ? "sim: checkpoint loaded in part" : "sim: checkpoint unreadable");
  return whole;
}

void Process::connect_prefetching() {
  own_up();
  go_on(state().session().connect(world_.queue.now(), milliseconds(world_.random.between(10, 30000))));
}

void Process::prefetch_ended(const PrefetchTarget& target, const Error& error) {
  go_on(state().session().connected(world_.queue.now(), error));
  if (world_.tracing())
    world_.trace(name_ + " has prefetched " + std::to_string(target.bytes_fetched) + " bytes of revision " +
                 std::to_string(target.revision) + (target.complete ? ", all of it" : ""));
  if (target.touched) world_.coverage.saw(target.complete ? "sim: prefetched all" : "sim: prefetched in part");
  if (target.sources.size() > 1) world_.coverage.saw("sim: prefetched from several");
  world_.checker.prefetched(*this, *state_, target);
}

void Process::synchronise(const SyncWish& wish) {
  TrainingState& mine = state();
  StateSession& session = mine.session();
  if (session.next() != StateSession::Next::over)
    throw Violation("the simulator lets " + name_ + " synchronise beside another operation");
  world_.checker.sync_called(*this, mine);
  sync_tag_ = wish.tag;
  const EngineInfo known = info();
  sync_view_ = known.view.id;
  if (world_.tracing())
    world_.trace(name_ + " synchronises revision " + std::to_string(session.revision()) + ", " +
                 to_string(wish.settings.strategy) + (session.incomplete() ? ", incomplete" : ""));
  SyncSettings settings = wish.settings;
  settings.copy_on_device = [](std::int32_t, const CopyBytes& copy) -> Result<void> {
    std::memcpy(copy.to, copy.from, copy.bytes);
    return {};
  };
  go_on(session.synchronise(world_.queue.now(), {.settings = settings,
                                                 .only_marked = wish.only_marked,
                                                 .view = known.view,
                                                 .self = known.self}));
  if (!gone() && session.next() == StateSession::Next::over)
    throw Violation(name_ + ": a synchronisation was over without a word to anybody");
}

void Process::sync_step() {
  const StateSync::Step& step = state_->session().step();
  const CallId id = start_call(Call::Kind::sync).id;
  Call& call = calls_.at(id);
  count_in(call.view);
  if (call.view.epoch == step.epoch && call.view.id != sync_view_) {
    sync_view_ = call.view.id;
    if (application_) application_->sync_goes_on(call.view);
  }
  call.key.tag = sync_tag_;
  // A step of a view that is over is refused, and counts for nothing: no view, no number.
  if (call.view.epoch == step.epoch)
    call.key = {.epoch = call.view.epoch, .view = call.view.id, .tag = sync_tag_, .sequence = sequences_[sync_tag_]++};
  call.signature = step.signature;
  if (world_.tracing())
    world_.trace(name_ + " calls " + describe(call.signature) + ", " + world_.names.of(call.key));
  deliver(CollectiveStart{.call = id,
                          .collective = {.signature = step.signature, .send = step.send, .receive = step.receive},
                          .tag = sync_tag_,
                          .compress = step.compress,
                          .epoch = step.epoch,
                          .transfer = step.transfer,
                          .begins_again = false});
}

void Process::sync_step_ended(Call call, const CallDone& done) {
  if (world_.tracing()) world_.trace(name_ + ": a step of the synchronisation ends: " + world_.names.of(done.error));
  world_.coverage.saw("call: sync, " + std::string(status_name(done.error.status)));
  world_.queue.remember(static_cast<std::uint64_t>(done.error.status) + call.id.value);
  world_.checker.sync_step_ended(*this, call, done);
  const EngineInfo known = info();
  StateSession& session = state_->session();
  const auto next = session.collective_ended(world_.queue.now(), done.error, done.info ? &*done.info : nullptr,
                                             known.connected ? known.view : View{});
  if (next != StateSession::Next::over) return go_on(next);
  const SyncOutcome outcome = session.take_sync_outcome();
  if (world_.tracing())
    world_.trace(name_ + ": the synchronisation ends: " + world_.names.of(outcome.error) + ", revision " +
                 std::to_string(session.revision()));
  world_.checker.synchronised(*this, call, *state_, outcome);
  if (application_) application_->call_ended(call, {.call = call.id, .error = outcome.error, .info = {}});
}

}  // namespace hawser::sim
