#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "churn/child_process.hpp"
#include "churn/loop_timer.hpp"
#include "wan/lab.hpp"

namespace hawser::wan {

/// Commands that run in the hosts of a lab, and the loop that waits for them. All in one thread.
class CommandGroup {
 public:
  struct Command {
    HostIndex host = 0;
    std::vector<std::string> arguments;
    std::vector<std::string> environment;  ///< NAME=VALUE.
    bool no_input = true;
  };

  explicit CommandGroup(const Lab& lab);
  /// Kills what still runs, and waits for it.
  ~CommandGroup();
  CommandGroup(const CommandGroup&) = delete;
  CommandGroup& operator=(const CommandGroup&) = delete;

  /// Throws std::runtime_error if the system refuses.
  churn::ChildProcess& start(const Command& command, churn::ChildProcess::Callbacks callbacks);
  /// Turns the loop until `done` or until the time is over (false).
  bool wait(const std::function<bool()>& done, std::uint64_t limit_ms);
  bool all_ended() const;
  /// SIGTERM to all; SIGKILL, by process id, to those that still run after `grace_ms`.
  void end_all(std::uint64_t grace_ms);
  /// SIGINT or SIGTERM came in since the beginning.
  bool interrupted() const { return interrupted_; }

 private:
  void watch_signal(uv_signal_t& handle, int number);

  const Lab& lab_;
  uv_loop_t loop_{};
  uv_signal_t interrupt_{}, terminate_{};
  std::unique_ptr<churn::LoopTimer> timer_;
  std::vector<std::unique_ptr<churn::ChildProcess>> children_;
  bool interrupted_ = false;
};

}  // namespace hawser::wan
