#pragma once

#include <hawser.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "failure.hpp"

/// A call of the C interface in a thread of its own, so that the thread that waits for it can look at signals
/// and go away. Nothing here touches Python.
namespace hawser_python {

/// How far a call has come, told by the library, read by the thread that waits.
struct Progress {
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
};

class HelperCall {
 public:
  using Work = std::function<hawserResult_t(HelperCall&)>;

  /// `work` owns, or keeps alive, all that it writes to. Throws std::system_error if there is no thread for
  /// it.
  static std::shared_ptr<HelperCall> start(Work work);
  /// Waits for its end. In a forked process, where it does not run, forgets it.
  ~HelperCall();
  HelperCall(const HelperCall&) = delete;
  HelperCall& operator=(const HelperCall&) = delete;

  enum class Event { ended, progressed, nothing };
  /// Waits for something to tell.
  Event wait(std::chrono::milliseconds bound);
  bool has_ended() const;
  /// After the end.
  const Outcome& outcome() const { return outcome_; }
  Progress progress() const;

  /// For a hawserProgressCallback_t whose `user` is this call.
  static void on_progress(void* user, std::uint64_t bytes_done, std::uint64_t bytes_total);

 private:
  HelperCall() = default;
  void run(const Work& work);

  long process_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  bool progressed_ = false;
  Progress progress_;
  Outcome outcome_;
  std::thread thread_;
};

}  // namespace hawser_python
