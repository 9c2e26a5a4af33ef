#include <utility>

#include "sim/process.hpp"
#include "sim/violation.hpp"
#include "sim/world.hpp"

/// Synchronisations: what runtime/shared_state.cpp does with a thread that waits, here with events.
namespace hawser::sim {

TrainingState& Process::state() {
  if (!state_) state_ = std::make_unique<TrainingState>(world_.profile.application, world_.random.next());
  return *state_;
}

void Process::offer_state() {
  const StateRecord& record = state().record();
  if (record.incomplete || !record.content->stale().empty()) return;
  if (world_.tracing()) world_.trace(name_ + " offers revision " + std::to_string(record.revision));
  world_.coverage.saw("sim: state offered");
  const CallId id = start_call(Call::Kind::offer).id;
  deliver(OfferStateCall{.call = id, .offer = make_offer(*record.content, record.revision)});
}

void Process::withdraw_state() {
  const CallId id = start_call(Call::Kind::offer).id;
  deliver(OfferStateCall{.call = id, .offer = nullptr});
}

std::shared_ptr<PrefetchTarget> Process::prefetch_target() {
  StateContent& content = *state().record().content;
  content.mark_all_changed();
  for (const StateContent::Slice slice : content.stale()) content.digest(slice);
  content.all_digested();
  auto target = std::make_shared<PrefetchTarget>();
  target->content = &content;
  target->bound = milliseconds(world_.random.between(10, 30000));
  return target;
}

void Process::prefetch_ended(const PrefetchTarget& target) {
  StateRecord& record = state().record();
  if (target.complete) {
    record.revision = target.revision;
    record.incomplete = false;
  } else if (target.touched) {
    record.incomplete = true;
  }
  if (world_.tracing())
    world_.trace(name_ + " has prefetched " + std::to_string(target.bytes_fetched) + " bytes of revision " +
                 std::to_string(target.revision) + (target.complete ? ", all of it" : ""));
  if (target.touched) world_.coverage.saw(target.complete ? "sim: prefetched all" : "sim: prefetched in part");
  if (target.sources.size() > 1) world_.coverage.saw("sim: prefetched from several");
  world_.checker.prefetched(*this, *state_, target);
}

void Process::synchronise(const SyncWish& wish) {
  if (sync_) throw Violation("the simulator lets " + name_ + " synchronise twice at once");
  TrainingState& mine = state();
  world_.checker.sync_called(*this, mine);
  if (!wish.only_marked) mine.record().content->mark_all_changed();
  sync_ = std::make_unique<StateSync>(mine.record(), wish.settings);
  sync_tag_ = wish.tag;
  const EngineInfo known = info();
  sync_view_ = known.view.id;
  if (world_.tracing())
    world_.trace(name_ + " synchronises revision " + std::to_string(mine.record().revision) + ", " +
                 to_string(wish.settings.strategy) + (mine.record().incomplete ? ", incomplete" : ""));
  sync_next(sync_->begin(world_.queue.now(), known.view, known.self));
}

/// Whatever need not wait for others is done at once.
void Process::sync_next(StateSync::Next next) {
  if (next == StateSync::Next::digest) {
    StateContent& content = *state_->record().content;
    for (const StateContent::Slice slice : content.stale()) content.digest(slice);
    next = sync_->digested(world_.queue.now());
  }
  if (next == StateSync::Next::collective) in_process(Duration::zero(), [this] { sync_step(); });
  if (next == StateSync::Next::over) throw Violation(name_ + ": a synchronisation was over without a word to anybody");
}

void Process::sync_step() {
  const StateSync::Step& step = sync_->step();
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
                          .transfer = step.transfer});
}

void Process::sync_step_ended(Call call, const CallDone& done) {
  if (world_.tracing()) world_.trace(name_ + ": a step of the synchronisation ends: " + world_.names.of(done.error));
  world_.coverage.saw("call: sync, " + std::string(status_name(done.error.status)));
  world_.queue.remember(static_cast<std::uint64_t>(done.error.status) + call.id.value);
  world_.checker.sync_step_ended(*this, call, done);
  const EngineInfo known = info();
  const auto next = sync_->ended(world_.queue.now(), done.error, done.info ? &*done.info : nullptr,
                                 known.connected ? known.view : View{});
  if (next != StateSync::Next::over) return sync_next(next);
  const auto sync = std::exchange(sync_, nullptr);
  const SyncOutcome& outcome = sync->outcome();
  if (world_.tracing())
    world_.trace(name_ + ": the synchronisation ends: " + world_.names.of(outcome.error) + ", revision " +
                 std::to_string(state_->record().revision));
  world_.checker.synchronised(*this, call, *state_, outcome);
  if (application_) application_->call_ended(call, {.call = call.id, .error = outcome.error, .info = {}});
}

}  // namespace hawser::sim
