#include "shared_state/state_session.hpp"

#include <utility>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "base/tensor_name.hpp"

namespace hawser {

// --------------------------------------------------------------------------------------------- operations

/// Outcomes are those of the operation that begins.
void StateSession::claim(Operation operation) {
  HAWSER_ASSERT(next_ == Next::over);
  operation_ = std::move(operation);
  error_ = {Status::success, {}};
  sync_outcome_ = {};
  prefetch_outcome_ = {};
  target_.reset();
}

StateSession::Next StateSession::begin_changing(Instant now, Operation operation) {
  claim(std::move(operation));
  if (offered_) return next_ = Next::withdraw;
  return go(now);
}

StateSession::Next StateSession::go(Instant now) {
  return next_ = std::visit([&](auto& operation) { return go_on(now, operation); }, operation_);
}

StateSession::Next StateSession::over() {
  operation_ = {};
  to_offer_.reset();
  return next_ = Next::over;
}

StateSession::Next StateSession::refuse(Error error) {
  error_ = std::move(error);
  return over();
}

void StateSession::expect(Next step) const { HAWSER_ASSERT(next_ == step); }

StateSession::Next StateSession::withdraw(Instant now) { return begin_changing(now, Withdraw{}); }
StateSession::Next StateSession::go_on(Instant, Withdraw&) { return over(); }
StateSession::Next StateSession::go_on(Instant, std::monostate) { HAWSER_ASSERT(false); }

Result<void> StateSession::check_may_save() const {
  if (record_.incomplete)
    return Error{Status::invalid_usage,
                 "the shared state is incomplete: a synchronisation broke off; synchronise first, then save"};
  return {};
}

/// All who offer a revision must offer the same content.
Result<void> StateSession::check_may_offer(PeerId self) const {
  if (!record_.content->has_all_digests() || !agreed_content_ || record_.incomplete || !agreed(self) ||
      content_digest(record_.content->manifest()) != *agreed_content_)
    return Error{Status::invalid_usage,
                 "only what was synchronised can be offered: synchronise with this communicator first, and change "
                 "nothing in between"};
  return {};
}

StateSession::Next StateSession::offer(Instant now, PeerId self) {
  auto may = check_may_offer(self);
  if (may.ok() || (planted(PlantedFault::hasty_offer) && record_.content->has_all_digests()))
    return begin_changing(now, Offer{});
  claim({});
  return refuse(may.error());
}

StateSession::Next StateSession::go_on(Instant, Offer&) {
  to_offer_ = make_offer(*record_.content, record_.revision);
  return Next::offer;
}

StateSession::Next StateSession::synchronise(Instant now, SyncRequest request) {
  return begin_changing(now, Synchronise{.request = std::move(request)});
}

StateSession::Next StateSession::go_on(Instant now, Synchronise& operation) {
  if (!operation.request.only_marked) record_.content->mark_all_changed();
  operation.sync = std::make_unique<StateSync>(record_, operation.request.settings);
  return follow(operation.sync->begin(now, operation.request.view, operation.request.self));
}

StateSession::Next StateSession::follow(StateSync::Next next) {
  switch (next) {
    case StateSync::Next::digest: return next_ = Next::digest;
    case StateSync::Next::collective: return next_ = Next::collective;
    case StateSync::Next::over: break;
  }
  sync_outcome_ = std::move(*std::get<Synchronise>(operation_).sync).outcome();
  error_ = std::move(sync_outcome_.error);
  if (error_.status == Status::success) agreed_content_ = content_digest(record_.content->manifest());
  return over();
}

StateSession::Next StateSession::connect(Instant now, Duration bound) {
  return begin_changing(now, Connect{.bound = bound});
}

StateSession::Next StateSession::go_on(Instant, Connect&) {
  record_.content->mark_all_changed();
  return Next::digest;
}

StateSession::Next StateSession::set_revision(Instant now, std::uint64_t revision) {
  return begin_changing(now, SetRevision{revision});
}

StateSession::Next StateSession::go_on(Instant, SetRevision& operation) {
  record_.revision = operation.revision;
  return over();
}

StateSession::Next StateSession::mark_changed(Instant now, std::string_view name) {
  const auto valid = check_tensor_name(name);
  const auto tensor = valid.ok() ? record_.content->find(name) : std::nullopt;
  if (tensor) return begin_changing(now, MarkChanged{*tensor});
  claim({});
  if (!valid.ok()) return refuse(valid.error());
  return refuse({Status::invalid_argument, "the shared state has no tensor \"" + std::string(name) + "\""});
}

StateSession::Next StateSession::go_on(Instant, MarkChanged& operation) {
  record_.content->mark_changed(operation.tensor);
  return over();
}

StateSession::Next StateSession::mark_all_changed(Instant now) { return begin_changing(now, MarkAllChanged{}); }

StateSession::Next StateSession::go_on(Instant, MarkAllChanged&) {
  record_.content->mark_all_changed();
  record_.incomplete = false;
  return over();
}

StateSession::Next StateSession::load(Instant now) { return begin_changing(now, Load{}); }

StateSession::Next StateSession::go_on(Instant, Load& operation) {
  operation.was_incomplete = record_.incomplete;
  return Next::load;
}

StateSession::Next StateSession::digest() {
  claim(Digest{});
  return go({});
}

StateSession::Next StateSession::go_on(Instant, Digest&) {
  record_.content->mark_all_changed();
  return Next::digest;
}

// -------------------------------------------------------------------------------------------------- steps

StateSession::Next StateSession::withdrawn(Instant now, const Error& error) {
  expect(Next::withdraw);
  if (error.status != Status::success) return refuse(error);
  offered_.reset();
  return go(now);
}

StateSession::Next StateSession::digested(Instant now) {
  expect(Next::digest);
  if (auto* const synchronising = std::get_if<Synchronise>(&operation_))
    return follow(synchronising->sync->digested(now));
  record_.content->all_digested();
  auto* const connecting = std::get_if<Connect>(&operation_);
  if (connecting == nullptr) return over();
  auto target = std::make_shared<PrefetchTarget>();
  target->content = record_.content.get();
  target->bound = connecting->bound;
  connecting->began = now;
  target_ = std::move(target);
  return next_ = Next::connect;
}

const StateSync::Step& StateSession::step() const {
  expect(Next::collective);
  return std::get<Synchronise>(operation_).sync->step();
}

StateSession::Next StateSession::collective_ended(Instant now, const Error& error, const CollectiveInfo* info,
                                                  const View& view) {
  expect(Next::collective);
  return follow(std::get<Synchronise>(operation_).sync->ended(now, error, info, view));
}

/// What came is whole only with all of its revision; else it is a mixture, unless nothing came.
void StateSession::note_prefetched(Instant now, const Connect& operation) {
  if (target_->complete) {
    record_.revision = target_->revision;
    record_.incomplete = false;
  } else if (target_->touched) {
    record_.incomplete = true;
  }
  prefetch_outcome_.complete = target_->complete;
  prefetch_outcome_.sources = static_cast<std::uint32_t>(target_->sources.size());
  prefetch_outcome_.revision = target_->revision;
  prefetch_outcome_.bytes_total = record_.content->bytes();
  prefetch_outcome_.bytes_fetched = target_->bytes_fetched;
  prefetch_outcome_.prefetch = target_->lasted;
  prefetch_outcome_.join = now - operation.began - target_->lasted;
}

StateSession::Next StateSession::connected(Instant now, const Error& error) {
  expect(Next::connect);
  note_prefetched(now, std::get<Connect>(operation_));
  error_ = error;
  return over();
}

StateSession::Next StateSession::offer_ended(const Error& error) {
  expect(Next::offer);
  if (error.status != Status::success) return refuse(error);
  offered_ = std::move(to_offer_);
  return over();
}

bool& StateSession::load_touched() {
  expect(Next::load);
  return std::get<Load>(operation_).touched;
}

void StateSession::note_loaded(const Load& operation, bool whole) {
  if (operation.touched) record_.content->mark_all_changed();
  record_.incomplete = !whole && (operation.was_incomplete || operation.touched);
}

StateSession::Next StateSession::loaded(const Result<std::uint64_t>& revision) {
  expect(Next::load);
  note_loaded(std::get<Load>(operation_), revision.ok());
  if (!revision.ok()) return refuse(revision.error());
  record_.revision = *revision;
  return over();
}

void StateSession::broke_off(Instant now, const Thrown& thrown) {
  const Next step = std::exchange(next_, Next::over);
  Operation broken = std::exchange(operation_, {});
  to_offer_.reset();
  auto* const synchronising = std::get_if<Synchronise>(&broken);
  if (synchronising != nullptr && synchronising->sync) {
    synchronising->sync->broke_off(thrown);
    sync_outcome_ = std::move(*synchronising->sync).outcome();
    error_ = std::move(sync_outcome_.error);
    return;
  }
  if (step == Next::connect) note_prefetched(now, std::get<Connect>(broken));
  if (step == Next::load) note_loaded(std::get<Load>(broken), false);
  error_ = thrown.error();
}

SyncOutcome StateSession::take_sync_outcome() {
  sync_outcome_.error = std::move(error_);
  return std::move(sync_outcome_);
}

PrefetchOutcome StateSession::take_prefetch_outcome() {
  prefetch_outcome_.error = std::move(error_);
  return std::move(prefetch_outcome_);
}

}  // namespace hawser
