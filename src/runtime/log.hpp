#pragma once

#include <functional>
#include <string>

#include "base/log_event.hpp"
#include "base/thrown.hpp"

/// The process's log. Safe from any thread.
namespace hawser {

/// Takes one line without a newline. Never called from two threads at once.
using LogSink = std::function<void(LogLevel level, const std::string& line)>;

/// An empty sink restores the default: stderr, by way of a LogOutput. On return the sink before is not running and
/// will not run.
void set_log_sink(LogSink sink);
/// Default: notice.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);

/// Writes "WHAT: TEXT [WHO]" if the event's level is enabled. `who` is the name of a communicator or master.
/// What cannot be written so, for want of memory, is told to stderr as WHAT alone.
void write_log(const std::string& who, const LogEvent& event) noexcept;
/// As an error "failed".
void log_failure(const std::string& who, const Thrown& thrown) noexcept;

}  // namespace hawser
