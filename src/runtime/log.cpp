#include "runtime/log.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>

#include "runtime/log_output.hpp"

namespace hawser {
namespace {

struct Log {
  std::mutex mutex;
  LogSink sink;
  LogOutput standard_error{STDERR_FILENO};
  std::atomic<LogLevel> level{LogLevel::notice};
};

/// Never destroyed: threads of the library may log while the process ends.
Log& the_log() {
  static Log* const log = new Log;
  return *log;
}

}  // namespace

void set_log_sink(LogSink sink) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  log.sink = std::move(sink);
}

void set_log_level(LogLevel level) { the_log().level = level; }

bool log_enabled(LogLevel level) { return level != LogLevel::off && level <= the_log().level.load(); }

void write_log(const std::string& who, const LogEvent& event) {
  if (!log_enabled(event.level)) return;
  const std::string line =
      std::string(event.what) + ": " + event.text + (who.empty() ? "" : " [" + who + "]");
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  if (log.sink)
    log.sink(event.level, line);
  else
    log.standard_error.write(event.level, line, std::chrono::system_clock::now());
}

}  // namespace hawser
