#include "runtime/shared_state.hpp"

#include <utility>

#include "runtime/clock.hpp"
#include "runtime/digest_threads.hpp"

/// Offering a shared state to newcomers, and fetching it as one.
namespace hawser {

SharedState::~SharedState() {
  try {
    (void)end_offer();
  } catch (...) {
    // The caller's tensors must not be read any more, whatever that costs.
    Communicator::close(*offered_through_);
  }
}

Result<void> SharedState::end_offer() {
  if (!offer_) return {};
  const std::lock_guard lock(offered_through_->mutex);
  Communicator* const communicator = offered_through_->communicator;
  // One that is gone reads nothing any more.
  if (communicator != nullptr)
    if (auto withdrawn = communicator->withdraw(offer_); !withdrawn.ok()) return withdrawn;
  offer_.reset();
  return {};
}

Result<void> SharedState::offer(Communicator& communicator) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  const auto known = communicator.info();
  if (!known.ok()) return known.error();
  const bool synchronised = record_.agreed_as == (*known)->self && record_.agreed_revision == record_.revision &&
                            record_.content->stale().empty();
  if (record_.incomplete || !synchronised)
    return Error{Status::invalid_usage,
                 "only what was synchronised can be offered: synchronise with this communicator first, and change "
                 "nothing in between"};
  if (auto ended = end_offer(); !ended.ok()) return ended;
  auto offer = make_offer(*record_.content, record_.revision);
  if (auto offered = communicator.offer(offer); !offered.ok()) return offered;
  offer_ = std::move(offer);
  offered_through_ = communicator.slot();
  return {};
}

Result<void> SharedState::withdraw() {
  const Claim claim(busy_);
  if (!claim) return in_use();
  return end_offer();
}

PrefetchOutcome SharedState::connect(Communicator& communicator, const PrefetchArguments& arguments) {
  PrefetchOutcome outcome;
  const Claim claim(busy_);
  if (!claim) {
    outcome.error = in_use();
    return outcome;
  }
  if (auto ended = end_offer(); !ended.ok()) {
    outcome.error = ended.error();
    return outcome;
  }
  record_.content->mark_all_changed();
  digest_stale(*record_.content, 0);
  record_.content->all_digested();
  const auto target = std::make_shared<PrefetchTarget>();
  target->content = record_.content.get();
  target->bound = arguments.bound;
  const auto tell = [&] {
    if (target->bytes_total != 0)
      arguments.progress({.bytes_done = target->bytes_here, .bytes_total = target->bytes_total});
  };
  const Instant began = now();
  const auto note = [&] {
    if (target->complete) {
      record_.revision = target->revision;
      record_.incomplete = false;
    } else if (target->touched) {
      record_.incomplete = true;
    }
  };
  try {
    const auto connected = communicator.connect(target, arguments.progress ? tell : std::function<void()>());
    note();
    if (arguments.progress) tell();
    if (!connected.ok()) outcome.error = connected.error();
  } catch (...) {
    note();
    throw;
  }
  outcome.complete = target->complete;
  outcome.sources = static_cast<std::uint32_t>(target->sources.size());
  outcome.revision = target->revision;
  outcome.bytes_total = record_.content->bytes();
  outcome.bytes_fetched = target->bytes_fetched;
  outcome.prefetch = target->lasted;
  outcome.join = now() - began - target->lasted;
  return outcome;
}

}  // namespace hawser
