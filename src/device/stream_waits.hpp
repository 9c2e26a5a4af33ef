#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "device/devices.hpp"

namespace hawser::device {

/// Waits for streams of callers, any number of them, with one thread of its own. How long these take is theirs to know.
class StreamWaits {
 public:
  using Events = std::vector<std::shared_ptr<Event>>;
  /// All have come, or the first error. Called on this object's thread. Must not throw.
  using Done = std::function<void(const Result<void>&)>;

  StreamWaits() = default;
  /// Whoever still waits gets Status::closed.
  ~StreamWaits();
  StreamWaits(const StreamWaits&) = delete;
  StreamWaits& operator=(const StreamWaits&) = delete;

  /// True, or the error, if all that is known already. Does not block.
  static Result<bool> have_come(const Events& events);
  /// Safe from any thread; does not block. Error: system, if there is no thread.
  Result<void> put(Events events, Done done);

 private:
  struct Waiting {
    Events events;
    Done done;
  };
  void work();

  std::mutex mutex_;
  std::condition_variable cv_;
  std::vector<Waiting> waiting_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace hawser::device
