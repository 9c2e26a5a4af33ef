#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

/// One line on stderr that says how far a transfer is: bytes done and of all, rate, time left. Only if stderr
/// is a terminal; drawn at most ten times a second, and wiped at the end.
class ProgressBar {
 public:
  /// `what` is the first word of the line.
  explicit ProgressBar(std::string what);
  ~ProgressBar() { wipe(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(std::uint64_t done, std::uint64_t total);
  /// Until it is shown again. For writing something else.
  void wipe();

  /// As a hawserProgressCallback_t, with the bar as `user`.
  static void on_progress(void* bar, std::uint64_t done, std::uint64_t total) noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const std::string& line);

  std::string what_;
  bool on_terminal_;
  Clock::time_point began_ = Clock::now();
  Clock::time_point drawn_at_ = began_;  ///< What is over at once draws nothing.
  std::size_t drawn_columns_ = 0;
};
