#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "report_line.hpp"

namespace hawser::churn {

/// A worker's mouth: whole lines to standard output, which is the orchestrator's pipe. From any thread.
class Reporter {
 public:
  /// Writes at once, together with what was kept.
  void say(const LineBuilder& line);
  /// Keeps the line until the next say(): for the many lines of an ordinary round.
  void keep(const LineBuilder& line);
  /// Something that must never happen, in a sentence.
  void violation(std::string_view what, std::string_view sentence);
  /// This worker's devices were broken on purpose: its tensors are lost with them, and from now on nothing that it finds
  /// wrong counts. Whether it ends, and whether the others go on, is for the orchestrator to see.
  void note_broken_devices() { devices_are_broken_ = true; }

 private:
  void append(const LineBuilder& line);

  std::mutex mutex_;
  std::string kept_;
  std::atomic<bool> devices_are_broken_{false};
};

/// Nanoseconds of a clock that all processes of this machine share.
std::uint64_t now_ns();

}  // namespace hawser::churn
