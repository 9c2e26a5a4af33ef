#include "runtime/log.hpp"

#include <atomic>
#include <cstdio>
#include <mutex>

namespace hawser {
namespace {

struct Log {
  std::mutex mutex;
  LogSink sink;
  std::atomic<LogLevel> level{LogLevel::warning};
};

/// Never destroyed: threads of the library may log while the process ends.
Log& the_log() {
  static Log* const log = new Log;
  return *log;
}

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::error: return "error";
    case LogLevel::warning: return "warning";
    case LogLevel::info: return "info";
    case LogLevel::debug: return "debug";
    case LogLevel::off: break;
  }
  return "";
}

}  // namespace

void set_log_sink(LogSink sink) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  log.sink = std::move(sink);
}

void set_log_level(LogLevel level) { the_log().level = level; }

bool log_enabled(LogLevel level) { return level != LogLevel::off && level <= the_log().level.load(); }

void write_log(const std::string& who, const LogEvent& event) noexcept {
  if (!log_enabled(event.level)) return;
  try {
    const std::string line =
        std::string(event.what) + ": " + event.text + (who.empty() ? "" : " [" + who + "]");
    Log& log = the_log();
    const std::lock_guard lock(log.mutex);
    if (log.sink)
      log.sink(event.level, line);
    else
      std::fprintf(stderr, "hawser %s: %s\n", level_name(event.level), line.c_str());
  } catch (...) {
    std::fprintf(stderr, "hawser %s: %s: %s\n", level_name(event.level), event.what, what_was_thrown().sentence.data());
  }
}

void log_failure(const std::string& who, const Thrown& thrown) noexcept {
  LogEvent event{LogLevel::error, "failed", {}};
  try {
    event.text = thrown.sentence.data();
  } catch (...) {
    event.what = "failed for want of memory";
  }
  write_log(who, event);
}

}  // namespace hawser
