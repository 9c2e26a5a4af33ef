#pragma once

#include <uv.h>

#include <functional>
#include <string>
#include <string_view>
#include <thread>

namespace hawser::churn {

/// A child's ear: reads lines from standard input in a thread of its own, so that they are heard while the
/// main thread is in a blocking call. When standard input closes, the orchestrator is gone, and the process
/// ends at once (exit status kOrphanStatus).
class ControlChannel {
 public:
  static constexpr int kOrphanStatus = 4;
  /// Called in the channel's thread for each line, without its newline.
  using OnLine = std::function<void(std::string_view)>;
  /// Called in the channel's thread every kTickMs.
  using OnTick = std::function<void()>;
  static constexpr std::uint64_t kTickMs = 100;

  ControlChannel(OnLine on_line, OnTick on_tick);
  /// Stops listening and joins the thread.
  ~ControlChannel();
  ControlChannel(const ControlChannel&) = delete;
  ControlChannel& operator=(const ControlChannel&) = delete;

 private:
  void on_bytes(std::string_view bytes);

  OnLine on_line_;
  OnTick on_tick_;
  std::string partial_;
  std::string buffer_;
  uv_loop_t loop_{};
  uv_pipe_t input_{};
  uv_timer_t tick_{};
  uv_async_t stop_{};
  std::thread thread_;
};

}  // namespace hawser::churn
