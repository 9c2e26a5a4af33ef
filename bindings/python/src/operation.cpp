#include "operation.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "gil.hpp"
#include "signals.hpp"

namespace hawser_python {
/// What waiting for a while has come to.
struct Operation::Look {
  bool ended = false;
  Outcome outcome;
  hawser::Reduced reduced;
};

Operation::~Operation() {
  if (!comm_->is_ours()) {
    // The thread that would end it lives in the parent.
    (void)new std::shared_ptr<Kept>(std::move(kept_));
    return;
  }
  if (test()) {
    (void)hawserOpDestroy(op_);
  } else {
    comm_->adopt(op_, std::move(kept_));
  }
}

bool Operation::test() const {
  check_process();
  int ended = 0;
  check(hawserOpTest(op_, &ended));
  return ended != 0;
}

void Operation::cancel() const {
  check_process();
  check(hawserOpCancel(op_));
}

void Operation::stream_wait(std::uintptr_t stream) const {
  check_process();
  Outcome outcome;
  {
    const GilReleased released;
    outcome = outcome_of(hawserOpStreamWait(op_, reinterpret_cast<void*>(stream)));
  }
  raise_unless_ok(outcome);
}

void Operation::check_process() const {
  if (!comm_->is_ours())
    raise_invalid_usage("this operation was begun before the process forked, and lives in the parent only");
}

Operation::Look Operation::look(std::uint64_t timeout_ms) const {
  const GilReleased released;
  hawser::detail::InfoRoom room(kMembersMax);
  Look look;
  look.outcome = outcome_of(hawserOpWait(op_, timeout_ms, room.info()));
  if (look.outcome.code == hawserErrorTimeout) {
    // Its own, or that of this wait? It may have ended in between.
    int ended = 0;
    if (hawserOpTest(op_, &ended) == hawserSuccess && ended == 0) return look;
    look.outcome = outcome_of(hawserOpWait(op_, 0, room.info()));
  }
  look.ended = true;
  if (look.outcome.ok()) look.reduced = std::move(room).reduced();
  return look;
}

hawser::Reduced Operation::wait(std::optional<std::uint64_t> timeout_ms) {
  check_process();
  using Clock = std::chrono::steady_clock;
  constexpr std::uint64_t kForever = std::uint64_t{1} << 40;
  const auto begun = Clock::now();
  const bool is_interruptible = handles_signals();
  while (true) {
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
    const auto waited_ms = static_cast<std::uint64_t>(waited.count());
    const std::uint64_t bound_ms = timeout_ms ? std::min(*timeout_ms, kForever) : kForever;
    std::uint64_t slice_ms = bound_ms - std::min(bound_ms, waited_ms);
    if (is_interruptible) slice_ms = std::min<std::uint64_t>(slice_ms, kSignalSlice.count());
    Look now = look(slice_ms);
    if (now.ended) {
      kept_ = std::make_shared<Kept>();
      raise_unless_ok(now.outcome);
      return std::move(now.reduced);
    }
    if (is_interruptible && !pass_signals()) throw nb::python_error();
    if (timeout_ms && waited_ms + slice_ms >= bound_ms) raise(now.outcome);
  }
}

}  // namespace hawser_python
