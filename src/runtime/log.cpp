#include "runtime/log.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string_view>

#include "runtime/log_output.hpp"

namespace hawser {
namespace {

/// Has room for most lines, so that what is told of a lack of memory needs none.
constexpr std::size_t kLineBytes = 4096;

struct Log {
  Log() { line.reserve(kLineBytes); }
  std::mutex mutex;
  LogSink sink;
  LogOutput standard_error{STDERR_FILENO};
  std::string line;
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

namespace {

void write(LogLevel level, const char* what, std::string_view text, std::string_view who) noexcept {
  try {
    if (!log_enabled(level)) return;
    Log& log = the_log();
    const std::lock_guard lock(log.mutex);
    log.line.assign(what).append(": ").append(text);
    if (!who.empty()) log.line.append(" [").append(who).append("]");
    if (log.sink)
      log.sink(level, log.line);
    else
      log.standard_error.write(level, log.line, std::chrono::system_clock::now());
  } catch (...) {
    // The sink threw, or there is no memory.
    Log& log = the_log();
    const std::lock_guard lock(log.mutex);
    log.standard_error.line_lost();
  }
}

}  // namespace

void write_log(const std::string& who, const LogEvent& event) noexcept {
  write(event.level, event.what, event.text, who);
}

void log_failure(const std::string& who, const Thrown& thrown) noexcept {
  write(LogLevel::error, "failed", thrown.sentence.data(), who);
}

}  // namespace hawser
