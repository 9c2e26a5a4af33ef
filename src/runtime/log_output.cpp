#include "runtime/log_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "base/loggable_text.hpp"

namespace hawser {
namespace {

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::error: return "error";
    case LogLevel::warning: return "warning";
    case LogLevel::notice: return "notice";
    case LogLevel::info: return "info";
    case LogLevel::debug: return "debug";
    case LogLevel::off: break;
  }
  return "";
}

std::string utc_text(std::chrono::system_clock::time_point at) {
  const auto since_1970 = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_1970);
  const std::time_t whole = static_cast<std::time_t>(seconds.count());
  std::tm utc{};
  if (::gmtime_r(&whole, &utc) == nullptr) return "(no time)";
  std::array<char, 32> day{};
  std::strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%s.%03dZ", day.data(), static_cast<int>((since_1970 - seconds).count()));
  return text.data();
}

/// Pipes and terminals can be opened once more, for this process only, in a way that never waits. Setting O_NONBLOCK
/// on the descriptor itself would also change it for the programs that share it. -1: not this one.
int open_without_waiting(int descriptor) {
  struct stat what {};
  if (::fstat(descriptor, &what) != 0) return -1;
  if (!S_ISFIFO(what.st_mode) && ::isatty(descriptor) == 0) return -1;
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/// At this moment. A pipe that nobody reads any more is not: writing to it would raise SIGPIPE.
bool is_writable(int descriptor) {
  pollfd asked{.fd = descriptor, .events = POLLOUT, .revents = 0};
  return ::poll(&asked, 1, 0) == 1 && asked.revents == POLLOUT;
}

}  // namespace

std::string log_line(LogLevel level, std::string_view text, std::chrono::system_clock::time_point at) {
  std::string line = utc_text(at) + " hawser " + level_name(level) + ": ";
  line += make_loggable(text, kLogLineBytesMax - line.size() - 1);
  line += '\n';
  return line;
}

void LogOutput::write(LogLevel level, std::string_view text, std::chrono::system_clock::time_point at) {
  if (lost_ > 0) {
    const std::string told =
        "log-lines-lost: " + std::to_string(lost_) +
        " lines before the next one were lost: what reads them was too slow, or there was no memory";
    if (write_at_once(log_line(LogLevel::warning, told, at))) lost_ = 0;
  }
  if (lost_ > 0 || !write_at_once(log_line(level, text, at))) ++lost_;
}

bool LogOutput::write_at_once(std::string line) {
  if (torn_) line.insert(line.begin(), '\n');
  if (!is_writable(descriptor_)) return false;
  const int own = open_without_waiting(descriptor_);
  ssize_t taken = 0;
  do {
    taken = ::write(own >= 0 ? own : descriptor_, line.data(), line.size());
  } while (taken < 0 && errno == EINTR);
  if (own >= 0) ::close(own);
  if (taken <= 0) return false;
  torn_ = static_cast<std::size_t>(taken) < line.size();
  return !torn_;
}

}  // namespace hawser
