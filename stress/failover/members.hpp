#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hawser::failover {

using Clock = std::chrono::steady_clock;

/// Members of one run in this process, each in a thread of its own: they reduce one small buffer after the other.
class Members {
 public:
  Members(std::string masters, std::size_t count);
  ~Members();
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;

  /// When the last of them had the result of a call that it began after `since`. Throws after `bound`, or with what
  /// went wrong: a wrong sum, an epoch that went back, a member that is out of the run.
  Clock::time_point all_reduced_since(Clock::time_point since, std::chrono::seconds bound);
  /// Of the view that the first one is in.
  std::uint64_t term();

 private:
  struct Progress {
    Clock::time_point began{};  ///< Of the last call that has ended well,
    Clock::time_point ended{};
    std::uint64_t epoch = 0;    ///< and its view.
  };
  void serve(std::size_t which);
  void reduce_on(std::size_t which);
  void note(std::size_t which, Progress progress);

  const std::string masters_;
  const std::size_t count_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Progress> done_;
  std::optional<std::string> failure_;
  std::atomic<bool> ends_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hawser::failover
