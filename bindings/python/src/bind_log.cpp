#include <hawser.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bind.hpp"
#include "failure.hpp"
#include "gil.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

/// Lines between the library, whose threads must not wait for the GIL, and the Python thread that takes them.
class LogQueue {
 public:
  using Line = std::pair<hawserLogLevel_t, std::string>;

  static void put(void* user, hawserLogLevel_t level, const char* message) {
    auto& self = *static_cast<LogQueue*>(user);
    const std::lock_guard lock(self.mutex_);
    if (self.lines_.size() == kLinesMax) {
      ++self.dropped_;
      return;
    }
    self.lines_.emplace_back(level, message);
    self.came_.notify_one();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    is_open_ = false;
    came_.notify_all();
  }
  /// Waits for lines. None: it is closed.
  std::vector<Line> take() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !lines_.empty() || !is_open_; });
    std::vector<Line> taken(std::make_move_iterator(lines_.begin()), std::make_move_iterator(lines_.end()));
    lines_.clear();
    if (dropped_ > 0)
      taken.emplace_back(hawserLogWarning,
                         std::to_string(std::exchange(dropped_, 0)) + " log lines were dropped");
    return taken;
  }

 private:
  static constexpr std::size_t kLinesMax = 10'000;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Line> lines_;
  std::uint64_t dropped_ = 0;
  bool is_open_ = false;
};

/// As long as the process: the library may log until its end.
LogQueue& queue() {
  static auto* const lines = new LogQueue();
  return *lines;
}

}  // namespace

void bind_log(nb::module_& module) {
  module.def(
      "set_log_level", [](hawserLogLevel_t level) { check(hawserSetLogLevel(level)); }, nb::arg("level"),
      "From which level on the library logs, in this process. Default: NOTICE.");
  module.def(
      "log_open",
      [] {
        queue().open();
        check(hawserSetLogCallback(&LogQueue::put, &queue()));
      },
      "From now on lines go to log_take() instead of stderr.");
  module.def(
      "log_close",
      [] {
        const GilReleased released;
        (void)hawserSetLogCallback(nullptr, nullptr);
        queue().close();
      },
      "Lines go to stderr again, and log_take() ends.");
  module.def(
      "log_take",
      [] {
        const GilReleased released;
        return queue().take();
      },
      "Waits for lines, level and text each. An empty list: closed.");
}

}  // namespace hawser_python
