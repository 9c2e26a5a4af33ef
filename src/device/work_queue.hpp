#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "device/devices.hpp"
#include "device/staged_copies.hpp"

namespace hawser::device {

/// Copies between one device and the host, or on the device, and kernels there, in the order in which they were asked
/// for, on a stream of its own. A thread waits for them, so that nobody else does.
class WorkQueue {
 public:
  struct Copy {
    std::byte* to = nullptr;
    const std::byte* from = nullptr;
    std::size_t bytes = 0;
  };
  using Step = std::variant<Copy, Launch>;
  struct Job {
    std::vector<Step> steps;
    /// Unless empty: says the steps instead, on the queue's thread, where it may take memory of the device.
    std::function<Result<std::vector<Step>>()> steps_of{};
    /// All is done, or the error. Called on the queue's thread, in the order of the jobs. Must not throw.
    std::function<void(const Result<void>&)> done;
  };

  /// `patience`: an event that takes longer is an error, and so is all that follows. Error: of Devices::make_stream, or
  /// system, if there is no thread.
  static Result<std::unique_ptr<WorkQueue>> start(Devices& devices, int device, std::chrono::milliseconds patience);
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// Safe from any thread; does not block.
  void put(Job job);
  /// Ends once all jobs are done, or known not to end. True: the device hangs. Its stream is left alone then, since to
  /// end it would wait for it, and so must be the memory of the jobs.
  bool finish() noexcept;

 private:
  WorkQueue(Devices& devices, std::unique_ptr<Stream> stream, int device, std::chrono::milliseconds patience)
      : copies_(devices, device, patience),
        stream_(std::move(stream)),
        device_(device),
        patience_(patience) {}
  void work();
  Result<std::shared_ptr<Event>> begin(const Job& job);
  void end_oldest();

  struct Begun {
    Job job;
    Result<std::shared_ptr<Event>> end;
  };

  StagedCopies copies_;
  std::unique_ptr<Stream> stream_;
  int device_;
  std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable cv_;
  std::deque<Job> jobs_;
  bool is_over_ = false;
  std::deque<Begun> begun_;  ///< Of the thread.
  std::optional<Error> failed_;  ///< Likewise.
  bool hangs_ = false;           ///< Likewise.
  std::thread thread_;
};

}  // namespace hawser::device
