#include "engine/ending_calls.hpp"

#include <algorithm>
#include <utility>

#include "collective/execution.hpp"

namespace hawser {

void EndingCalls::take(CallId call, std::shared_ptr<Execution>& execution, Work work) {
  Ending& ending = endings_.emplace_back();
  ending.call = call;
  ending.work = work;
  // Only now: where there is no memory for the entry, the action still has it.
  ending.execution = std::move(execution);
  work_on(ending);
}

void EndingCalls::work_on(Ending& ending) {
  if (ending.in_order) return;
  ending.in_order =
      ending.work == Work::restore ? ending.execution->undo(budget_) : ending.execution->settle(budget_);
}

std::vector<EndingCalls::Ending>::iterator EndingCalls::find(CallId call) {
  return std::find_if(endings_.begin(), endings_.end(), [&](const Ending& ending) { return ending.call == call; });
}

bool EndingCalls::may_end(CallDone& done) {
  const auto found = find(done.call);
  if (found == endings_.end() || found->in_order) return true;
  found->done = std::move(done);
  return false;
}

void EndingCalls::forget(CallId call) noexcept {
  if (const auto found = find(call); found != endings_.end()) endings_.erase(found);
}

std::optional<CallDone> EndingCalls::next() {
  for (auto ending = endings_.begin(); ending != endings_.end(); ++ending) {
    work_on(*ending);
    if (!ending->in_order) return std::nullopt;
    if (!ending->done) continue;
    std::optional<CallDone> done = std::move(ending->done);
    endings_.erase(ending);
    return done;
  }
  return std::nullopt;
}

bool EndingCalls::has(CallId call) const {
  return std::any_of(endings_.begin(), endings_.end(), [&](const Ending& ending) { return ending.call == call; });
}

void EndingCalls::undo_all() noexcept {
  for (Ending& ending : endings_) {
    std::size_t all = kAll;
    ending.execution->undo(all);
  }
  endings_.clear();
}

}  // namespace hawser
