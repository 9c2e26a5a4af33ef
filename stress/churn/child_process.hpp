#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::churn {

/// How a child ended.
struct ChildEnd {
  std::int64_t status = 0;
  int signal = 0;  ///< 0: it ended by itself.
};
/// "signal 9".
std::string describe(const ChildEnd& end);

/// A child under libuv: this binary again, with pipes on its three standard streams.
/// All calls and callbacks in the loop's thread.
class ChildProcess {
 public:
  struct Callbacks {
    std::function<void(std::string_view)> on_line;        ///< A line of its standard output.
    std::function<void(std::string_view)> on_error_line;  ///< A line of its standard error.
    /// What either stream held after its last newline when it ended. Not called if that is nothing.
    std::function<void(std::string_view)> on_unended_line;
    /// It has ended and is reaped, and all that it wrote has been handed over. Called once.
    std::function<void(const ChildEnd&)> on_end;
  };

  /// Starts the running binary with these arguments. Throws std::runtime_error if the system refuses.
  ChildProcess(uv_loop_t& loop, const std::vector<std::string>& arguments, Callbacks callbacks);
  /// Only after on_end and another turn of the loop, in which the handles were closed.
  ~ChildProcess() = default;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int pid() const { return process_.pid; }
  bool ended() const { return ended_; }
  /// Sends a signal; no effect on a child that has ended.
  void signal(int number);
  /// Writes a line to its standard input, as far as the pipe takes it at once.
  void tell(std::string_view line);
  /// The last lines of its standard error, for reports of crashes.
  const std::deque<std::string>& last_error_lines() const { return last_error_lines_; }
  /// Of them, what names the cause of a crash, as the end of a sentence.
  std::string last_words() const;

 private:
  enum Stream : std::size_t { kIn, kOut, kErr };
  void start_reading(Stream stream);
  void on_bytes(Stream stream, std::string_view bytes);
  void on_stream_end(Stream stream);
  void end_if_complete();

  Callbacks callbacks_;
  uv_process_t process_{};
  std::array<uv_pipe_t, 3> pipes_{};
  std::array<std::string, 3> partial_;
  std::deque<std::string> last_error_lines_;
  ChildEnd end_;
  bool exited_ = false;
  bool ended_ = false;
  std::uint32_t open_streams_ = 2;
};

}  // namespace hawser::churn
