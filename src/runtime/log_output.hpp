#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log_event.hpp"

namespace hawser {

/// PIPE_BUF of Linux: a pipe takes so many bytes whole or not at all.
inline constexpr std::size_t kLogLineBytesMax = 4096;

/// "2026-11-29T13:05:07.123Z hawser notice: TEXT" and a newline: the time is UTC, control characters of the text are
/// replaced, and what is beyond kLogLineBytesMax is cut off.
std::string log_line(LogLevel level, std::string_view text, std::chrono::system_clock::time_point at);

/// Log lines on a file descriptor that others own, such as stderr. Nothing here waits for whoever reads it: an I/O
/// thread that waited would be silent towards its peers, and be expelled. Lines that the descriptor does not take at
/// once are lost; they are counted, and the next line that gets through is preceded by one with their number.
/// Not thread-safe.
class LogOutput {
 public:
  explicit LogOutput(int descriptor) : descriptor_(descriptor) {}

  void write(LogLevel level, std::string_view text, std::chrono::system_clock::time_point at);
  /// One could not even be made.
  void line_lost() noexcept { ++lost_; }
  /// Since the last line that got through.
  std::uint64_t lost() const { return lost_; }

 private:
  bool write_at_once(std::string line);

  int descriptor_;
  std::uint64_t lost_ = 0;
  bool torn_ = false;  ///< The last write took the beginning of a line only.
};

}  // namespace hawser
