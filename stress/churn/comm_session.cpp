#include "comm_session.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace hawser::churn {
namespace {

// A call that was seen less often may not have entered the library yet; the handle must not be destroyed
// before. Not a time: on a machine that stands still for seconds all threads are late, the one that makes the
// call too.
constexpr std::uint32_t kCallSettledTicks = 6;
// The grace after "leave" before calls are ended from under the main thread.
constexpr std::uint64_t kLeaveGraceNs = 1'500'000'000;
// hawserCommDestroy promises one second; a loaded machine may be late, but not by so much.
constexpr double kDestroyMsMax = 5000;

}  // namespace

std::string error_word(hawserResult_t result) {
  std::string word = hawserGetResultName(result);
  std::replace(word.begin(), word.end(), ' ', '_');
  return word;
}

CommSession::CommSession(const WorkerOptions& options, Reporter& reporter)
    : reporter_(reporter), retry_(options.retry) {
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  config.master = options.master.c_str();
  config.name = options.name.c_str();
  config.advertise_address = options.advertise.c_str();
  config.listen_address = options.address.c_str();
  config.silence_ms = options.bounds.silence_ms;
  config.stall_ms = options.bounds.stall_ms;
  config.io_threads = options.io_threads;
  config.tls_same_host = static_cast<std::uint32_t>(options.seed % 2);
  const bool has_key = std::getenv("HAWSER_SECRET_FILE") != nullptr;
  config.attest = has_key && options.seed % 3 == 0 ? 1 : 0;
  if (hawserCommCreate(&config, &comm_) != hawserSuccess) {
    throw std::runtime_error(std::string("hawserCommCreate: ") + hawserGetLastError());
  }
}

CommSession::~CommSession() { destroy(); }

Outcome CommSession::call(CallSlot slot, const char* phase,
                          const std::function<hawserResult_t(hawserComm_t)>& make) {
  const std::uint64_t begin_ns = now_ns();
  {
    const std::scoped_lock lock(mutex_);
    if (destroyed_) return {.result = hawserErrorClosed, .sentence = "left already"};
    calls_[slot] = {.phase = phase, .since_ns = begin_ns};
    last_phase_ = phase;
  }
  Outcome outcome;
  outcome.result = make(comm_);
  if (outcome.result != hawserSuccess) outcome.sentence = hawserGetLastError();
  outcome.took_ms = static_cast<double>(now_ns() - begin_ns) / 1e6;
  const std::scoped_lock lock(mutex_);
  calls_[slot] = {};
  return outcome;
}

Next CommSession::decide(hawserResult_t result) const {
  if (leaving_ || devices_are_broken_) return Next::leave;
  switch (result) {
    case hawserErrorPeerLost:
    case hawserErrorTimeout:
    case hawserErrorMasterRestarted: return retry_ == RetryPolicy::call ? Next::retry : Next::new_round;
    case hawserErrorMismatch:
    case hawserErrorTooFewPeers: return Next::new_round;
    default: return Next::rejoin;
  }
}

Next CommSession::judge(const Outcome& outcome, const char* phase) {
  return judge_all(std::span(&outcome, 1), phase);
}

Next CommSession::judge_all(std::span<const Outcome> outcomes, const char* phase) {
  Next heaviest = Next::carry_on;
  bool hasty = true;
  bool alone = false;
  std::vector<const Outcome*> to_tell;
  {
    const std::scoped_lock lock(mutex_);
    for (const Outcome& outcome : outcomes) {
      const Next next = decide(outcome.result);
      heaviest = std::max(heaviest, next);
      if (next == Next::leave && outcome.result == hawserErrorClosed) continue;
      to_tell.push_back(&outcome);
      hasty = hasty && outcome.took_ms < 5;
      alone = alone || outcome.result == hawserErrorTooFewPeers;
    }
    if (to_tell.empty()) return heaviest;
    if (first_error_ns_ == 0) {
      first_error_ns_ = now_ns();
      first_error_ = to_tell.front()->result;
    }
    // Errors that come at once would make this a busy loop; the first ones are answered without delay.
    hasty = hasty && ++errors_in_a_row_ > 2;
  }
  for (const Outcome* outcome : to_tell) tell(*outcome, phase);
  if (hasty || alone) rest_ms(50);
  return heaviest;
}

void CommSession::tell(const Outcome& outcome, const char* phase) {
  reporter_.say(LineBuilder("error")
                    .add("kind", error_word(outcome.result))
                    .add("phase", phase)
                    .add("took_ms", outcome.took_ms)
                    .add("excused", std::uint64_t{outcome.excused})
                    .add("t", now_ns())
                    .text(outcome.sentence));
  switch (outcome.result) {
    case hawserErrorInvalidArgument:
    case hawserErrorInvalidUsage:
    case hawserErrorInternal:
    case hawserErrorSystem:
    case hawserErrorClosed:
      reporter_.violation(
          "unexpected_error",
          std::string(phase) + ": " + hawserGetResultName(outcome.result) + ": " + outcome.sentence);
      break;
    default: break;
  }
  if (outcome.sentence.empty()) {
    reporter_.violation("no_sentence", std::string(phase) + " failed without a sentence");
  }
}

void CommSession::recovered() {
  std::unique_lock lock(mutex_);
  errors_in_a_row_ = 0;
  if (first_error_ns_ == 0) return;
  const double ms = static_cast<double>(now_ns() - first_error_ns_) / 1e6;
  const hawserResult_t kind = first_error_;
  first_error_ns_ = 0;
  lock.unlock();
  reporter_.say(LineBuilder("recovered").add("kind", error_word(kind)).add("ms", ms));
}

void CommSession::break_devices(hawserResult_t (*how)(int32_t)) {
  {
    const std::scoped_lock lock(mutex_);
    devices_are_broken_ = true;
  }
  reporter_.note_broken_devices();
  for (int32_t device = 0; how(device) == hawserSuccess; ++device) {
  }
}

bool CommSession::devices_are_broken() const {
  const std::scoped_lock lock(mutex_);
  return devices_are_broken_;
}

void CommSession::ask_to_leave() {
  const std::scoped_lock lock(mutex_);
  if (leaving_) return;
  leaving_ = true;
  leave_asked_ns_ = now_ns();
  leave_wanted_.notify_all();
}

bool CommSession::leaving() const {
  const std::scoped_lock lock(mutex_);
  return leaving_;
}

void CommSession::rest_ms(std::uint32_t ms) {
  std::unique_lock lock(mutex_);
  leave_wanted_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return leaving_; });
}

void CommSession::destroy() {
  {
    const std::scoped_lock lock(mutex_);
    if (destroyed_) return;
    destroyed_ = true;  // from here on call() makes no call on the handle
  }
  free_handle();
}

void CommSession::free_handle() {
  const std::uint64_t begin_ns = now_ns();
  const hawserResult_t result = hawserCommDestroy(comm_);
  const double ms = static_cast<double>(now_ns() - begin_ns) / 1e6;
  reporter_.say(LineBuilder("left").add("ms", ms).add("t", begin_ns));
  if (result != hawserSuccess)
    reporter_.violation("leave", std::string("destroy failed: ") + hawserGetLastError());
  if (ms > kDestroyMsMax) reporter_.violation("leave", "destroy took " + std::to_string(ms) + " ms");
}

void CommSession::end_calls_that_outlast_the_leave() {
  const std::uint64_t now = now_ns();
  {
    const std::scoped_lock lock(mutex_);
    if (!leaving_ || destroyed_ || now - leave_asked_ns_ < kLeaveGraceNs) return;
    bool any = false;
    bool settled = true;
    for (CallUnderWay& call : calls_) {
      if (call.phase == nullptr) continue;
      any = true;
      settled = ++call.ticks >= kCallSettledTicks && settled;
    }
    if (!any || !settled) return;
    destroyed_ = true;
  }
  free_handle();
}

void CommSession::say_where() {
  LineBuilder line("where");
  std::string text;
  {
    const std::scoped_lock lock(mutex_);
    for (const CallUnderWay& call : calls_) {
      if (call.phase == nullptr) continue;
      text += std::string(call.phase) + " for " + std::to_string((now_ns() - call.since_ns) / 1'000'000) +
              " ms; ";
    }
    if (text.empty()) text = std::string("in no call, last in ") + last_phase_;
  }
  reporter_.say(line.text(text));
}

}  // namespace hawser::churn
