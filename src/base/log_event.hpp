#pragma once

#include <string>

namespace hawser {

enum class LogLevel : int { off = -1, error = 0, warning = 1, info = 2, debug = 3 };

/// A structured trace event: what happened (a stable name), and about what (a text for a person).
struct LogEvent {
  LogLevel level = LogLevel::debug;
  const char* what = "";  ///< Static string such as "peer-lost"; scenarios and coverage count these.
  std::string text;
};

}  // namespace hawser
