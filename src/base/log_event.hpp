#pragma once

#include <string>

namespace hawser {

/// `notice` is for who joined, left, was lost or refused: what everybody sees by default.
enum class LogLevel : int { off = -1, error = 0, warning = 1, notice = 2, info = 3, debug = 4 };

/// A structured trace event: what happened (a stable name), and about what (a text for a person).
struct LogEvent {
  LogLevel level = LogLevel::debug;
  const char* what = "";  ///< Static string such as "peer-lost"; scenarios and coverage count these.
  std::string text;
};

}  // namespace hawser
