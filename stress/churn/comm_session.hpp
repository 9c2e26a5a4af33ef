#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>

#include "hawser.h"
#include "options.hpp"
#include "reporter.hpp"

namespace hawser::churn {

/// What the worker is to do after a call. In order of weight.
enum class Next : std::uint8_t {
  carry_on,   ///< The call succeeded.
  retry,      ///< Make the same call again.
  new_round,  ///< Update the topology and begin a round.
  rejoin,     ///< This peer is out: forget the state, connect again.
  leave,      ///< The worker was told to leave.
};

/// What one call came to.
struct Outcome {
  hawserResult_t result = hawserSuccess;
  std::string sentence;
  double took_ms = 0;
  bool excused = false;  ///< It would be wrong, had there not been a reason that the maker of the call knows.
};

/// Where in the worker a call is made: the main thread, or one of several that make calls at the same time.
using CallSlot = std::uint32_t;
inline constexpr CallSlot kMainSlot = 0;
inline constexpr std::uint32_t kCallSlots = kTagsMax + 1;

/// A communicator together with the wish to leave and a record of which calls are under way, so that the
/// control thread can answer "where are you?" and end a call that would outlast the leave.
class CommSession {
 public:
  /// Throws std::runtime_error if the library makes no communicator.
  CommSession(const WorkerOptions& options, Reporter& reporter);
  ~CommSession();
  CommSession(const CommSession&) = delete;
  CommSession& operator=(const CommSession&) = delete;

  /// Makes a library call and notes it under `phase` (a literal). After destroy() it is not made: Closed.
  Outcome call(CallSlot slot, const char* phase, const std::function<hawserResult_t(hawserComm_t)>& make);

  /// Reports the error and decides what to do about it. Not for success.
  Next judge(const Outcome& outcome, const char* phase);
  /// The same for several calls that were under way together: the heaviest decision. `outcomes` is not empty.
  Next judge_all(std::span<const Outcome> outcomes, const char* phase);

  /// A call succeeded after errors: reports how long the recovery took. Cheap if there was no error.
  void recovered();

  /// Breaks all simulated devices of this process, each with `how`; from any thread. Errors of the system are expected
  /// from then on, and end it.
  void break_devices(hawserResult_t (*how)(int32_t));
  bool devices_are_broken() const;
  /// Asks the main thread to leave; from any thread.
  void ask_to_leave();
  bool leaving() const;
  /// Waits for the wish to leave, at most so long.
  void rest_ms(std::uint32_t ms);

  /// Leaves the run. From the main thread.
  void destroy();
  /// If the worker was asked to leave a while ago and is still in a call, leaves from under it.
  void end_calls_that_outlast_the_leave();
  /// One line that says which calls are under way for how long.
  void say_where();

 private:
  struct CallUnderWay {
    const char* phase = nullptr;
    std::uint64_t since_ns = 0;
    std::uint32_t ticks =
        0;  ///< How often the control thread has seen it since the leave outlasted its grace.
  };
  void free_handle();
  Next decide(hawserResult_t result) const;
  void tell(const Outcome& outcome, const char* phase);

  Reporter& reporter_;
  RetryPolicy retry_;
  hawserComm_t comm_ = nullptr;
  mutable std::mutex mutex_;
  std::condition_variable leave_wanted_;
  bool leaving_ = false;
  bool devices_are_broken_ = false;
  bool destroyed_ = false;
  std::uint64_t leave_asked_ns_ = 0;
  std::array<CallUnderWay, kCallSlots> calls_{};
  const char* last_phase_ = "start";
  hawserResult_t first_error_ = hawserSuccess;
  std::uint64_t first_error_ns_ = 0;
  std::uint32_t errors_in_a_row_ = 0;
};

/// The kind of an error as one word for report lines, e.g. "peer_lost".
std::string error_word(hawserResult_t result);

}  // namespace hawser::churn
