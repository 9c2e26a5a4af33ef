#include "sim/checker.hpp"
#include "sim/process.hpp"
#include "sim/training_state.hpp"
#include "sim/world.hpp"

/// What must be true of synchronisations.
namespace hawser::sim {

void Checker::sync_called(const Process& process, TrainingState& state) {
  state.remember();
  if (!state.session().incomplete()) held_.insert(state.digest());
  if (state.session().incomplete()) world_.coverage.saw("sim: synchronisation of an incomplete state");
  (void)process;
}

void Checker::prefetched(const Process& process, TrainingState& state, const PrefetchTarget& target) {
  if (!state.bookkeeping_is_right())
    throw Violation(process.name() + ": after a prefetch the digests that it keeps are not those of its bytes");
  if (target.complete && !held_.contains(state.digest()))
    throw Violation(process.name() + ": what it has prefetched nobody had before");
  if (!target.touched && !state.as_remembered())
    throw Violation(process.name() + ": a prefetch that says it wrote nothing has");
  state.remember();
}

/// Whatever guests may fetch is what all members have agreed on, and its digests are those of its bytes.
void Checker::offered(const Process& process, const TrainingState& state) {
  if (process.bad()) return;
  const StateSession& session = state.session();
  if (session.incomplete() || !state.bookkeeping_is_right())
    throw Violation(process.name() + " offers what it has not whole");
  if (!agreed_.contains({state.digest(), session.revision()}))
    throw Violation(process.name() + " offers revision " + std::to_string(session.revision()) +
                    ", and no synchronisation has agreed on that content");
}

void Checker::sync_step_ended(const Process& process, const Call& call, const CallDone& done) {
  if (process.bad()) return;
  check_any_call(process, call, done);
  if (done.error.status == Status::success) ++successes_;
  const bool out = done.error.status == Status::expelled || done.error.status == Status::master_unreachable ||
                   done.error.status == Status::closed || done.error.status == Status::refused;
  // A step of a view that is over was refused before anybody heard of it.
  if (out || call.key.view == ViewId{}) return;
  Op& op = ops_[call.key];
  Outcome mine{.peer = call.self,
               .name = process.name(),
               .status = done.error.status,
               .view_after = process.info().view,
               .incarnation = incarnation(process)};
  check_agreement(op, call.key, mine);
  op.outcomes.push_back(std::move(mine));
}

void Checker::synchronised(const Process& process, const Call& last, TrainingState& state,
                           const SyncOutcome& outcome) {
  const std::string who = process.name() + ", synchronisation that ended with " + world_.names.of(last.key) + ": ";
  if (process.bad()) return state.remember();
  if (!state.bookkeeping_is_right()) throw Violation(who + "the digests that it keeps are not those of its bytes");
  if (outcome.info.attempts > 1) world_.coverage.saw("sim: synchronisation mended a loss");
  if (outcome.info.bytes_fetched > 0) world_.coverage.saw("sim: content fetched");
  if (outcome.info.bytes_from.size() > 1) world_.coverage.saw("sim: content fetched from several");
  if (outcome.info.bytes_again > 0) world_.coverage.saw("sim: content fetched again");
  if (outcome.error.status == Status::internal) throw Violation(who + outcome.error.sentence);
  if (outcome.error.status != Status::success) {
    if (state.session().incomplete())
      world_.coverage.saw("sim: synchronisation left a state incomplete");
    else if (outcome.info.bytes_fetched == 0 && !state.as_remembered())
      throw Violation(who + "it failed, says that nothing has changed, and the bytes are others");
    state.remember();
    return;
  }
  if (state.session().incomplete()) throw Violation(who + "success, and it is incomplete");
  const Synchronised mine{.name = process.name(), .digest = state.digest(), .revision = state.session().revision()};
  if (!held_.contains(mine.digest)) throw Violation(who + "nobody had this content before");
  agreed_.insert({mine.digest, mine.revision});
  const auto [first, is_new] = synchronised_.try_emplace(last.key, mine);
  if (first->second.digest != mine.digest || first->second.revision != mine.revision)
    throw Violation(who + "revision " + std::to_string(mine.revision) + ", digest " + to_string(mine.digest) +
                    ", and " + first->second.name + " has revision " + std::to_string(first->second.revision) +
                    ", digest " + to_string(first->second.digest));
  state.remember();
}

}  // namespace hawser::sim
