#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace hawser::churn {

/// A timer of a libuv loop with a function. Must be closed, and the loop turned, before the loop is freed.
class LoopTimer {
 public:
  explicit LoopTimer(uv_loop_t& loop) : state_(new State) {
    uv_timer_init(&loop, &state_->timer);
    state_->timer.data = state_;
  }
  ~LoopTimer() { close(); }
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;

  /// Calls `run` once, after so long. Replaces what was set before.
  void once(std::uint64_t after_ms, std::function<void()> run) { start(after_ms, 0, std::move(run)); }
  /// Calls `run` again and again.
  void every(std::uint64_t period_ms, std::function<void()> run) {
    start(period_ms, period_ms, std::move(run));
  }
  void stop() {
    if (state_ != nullptr) uv_timer_stop(&state_->timer);
  }
  void close() {
    if (state_ == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->timer),
             [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
    state_ = nullptr;
  }

 private:
  struct State {
    uv_timer_t timer{};
    std::function<void()> run;
  };
  void start(std::uint64_t after_ms, std::uint64_t period_ms, std::function<void()> run) {
    if (state_ == nullptr) return;
    state_->run = std::move(run);
    uv_timer_start(
        &state_->timer,
        [](uv_timer_t* timer) {
          // A copy, because the function may set the timer anew.
          const std::function<void()> run_now = static_cast<State*>(timer->data)->run;
          run_now();
        },
        after_ms, period_ms);
  }

  State* state_;  // freed by the loop once the handle is closed
};

}  // namespace hawser::churn
