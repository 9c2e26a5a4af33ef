#include "runtime/log.hpp"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string_view>

namespace hawser {
namespace {

/// Has room for most lines, so that what is told of a lack of memory needs none.
constexpr std::size_t kLineBytes = 4096;

struct Log {
  Log() { line.reserve(kLineBytes); }
  std::mutex mutex;
  LogSink sink;
  std::string line;
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
      std::fprintf(stderr, "hawser %s: %s\n", level_name(level), log.line.c_str());
  } catch (...) {
    std::fprintf(stderr, "hawser %s: %s: %s\n", level_name(level), what, what_was_thrown().sentence.data());
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
