/// The default sink of the log: what its lines look like, and that nobody who logs waits for whoever reads them.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "runtime/log.hpp"
#include "runtime/log_output.hpp"

using namespace hawser;

namespace {

using SystemClock = std::chrono::system_clock;

constexpr int kLines = 10'000;

/// Two ends of something that bytes pass through. Reading never waits, writing does as it does by default.
struct Ends {
  Ends(int reader, int writer) : read_end(reader), write_end(writer) {
    REQUIRE(read_end >= 0);
    REQUIRE(write_end >= 0);
    REQUIRE(::fcntl(read_end, F_SETFL, O_NONBLOCK) == 0);
  }
  ~Ends() {
    close_reader();
    ::close(write_end);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;

  void close_reader() {
    if (read_end >= 0) ::close(std::exchange(read_end, -1));
  }
  /// All that is there.
  std::string drain() const {
    std::string text;
    std::array<char, 65536> bytes{};
    for (ssize_t got = 0; (got = ::read(read_end, bytes.data(), bytes.size())) > 0;)
      text.append(bytes.data(), static_cast<std::size_t>(got));
    return text;
  }

  int read_end;
  int write_end;
};

std::array<int, 2> pipe_ends() {
  std::array<int, 2> ends{-1, -1};
  REQUIRE(::pipe(ends.data()) == 0);
  return ends;
}

struct Pipe : Ends {
  explicit Pipe(std::array<int, 2> ends = pipe_ends()) : Ends(ends[0], ends[1]) {}
};

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

void write_lines(LogOutput& output, int count) {
  for (int i = 0; i < count; ++i) output.write(LogLevel::notice, "a line that is about something", SystemClock::now());
}

/// Fills it, drains it, and sees that the number of lost lines is told.
void check_that_losses_are_told(const Ends& ends) {
  LogOutput output(ends.write_end);
  write_lines(output, kLines);
  const std::uint64_t lost = output.lost();
  CHECK(lost > 0);
  const std::size_t before = lines_in(ends.drain());
  CHECK(before + lost == kLines);
  write_lines(output, 1);
  CHECK(output.lost() == 0);
  const std::string after = ends.drain();
  CHECK(lines_in(after) == 2);
  CHECK(after.find(" " + std::to_string(lost) + " ") < after.find('\n'));
  write_lines(output, 1);
  CHECK(lines_in(ends.drain()) == 1);
}

}  // namespace

TEST_CASE("a line begins with the time in UTC and its level") {
  const SystemClock::time_point at{std::chrono::milliseconds(1'795'957'507'123)};
  CHECK(log_line(LogLevel::notice, "peer-lost: Ada is out [master]", at) ==
        "2026-11-29T13:05:07.123Z hawser notice: peer-lost: Ada is out [master]\n");
  CHECK(log_line(LogLevel::error, "x", SystemClock::time_point{}) == "1970-01-01T00:00:00.000Z hawser error: x\n");
}

TEST_CASE("a line is one line of bounded length, cut between two characters") {
  const SystemClock::time_point at{};
  const std::string control = log_line(LogLevel::info, "a\nb\x1b[2J", at);
  CHECK(lines_in(control) == 1);
  CHECK(control.find('\x1b') == std::string::npos);
  std::string long_text;
  for (int i = 0; i < 5000; ++i) long_text += "\xc3\xa4";
  const std::size_t bytes = log_line(LogLevel::info, long_text, at).size();
  CHECK(bytes <= kLogLineBytesMax);
  CHECK(bytes >= kLogLineBytesMax - 1);
  CHECK(log_line(LogLevel::info, "a" + long_text, at).size() != bytes);
}

TEST_CASE("a pipe that nobody reads holds nobody up, and the losses are told once it is read") {
  check_that_losses_are_told(Pipe());
}

TEST_CASE("a terminal that shows nothing holds nobody up") {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0) return;
  REQUIRE(::grantpt(master) == 0);
  REQUIRE(::unlockpt(master) == 0);
  const Ends terminal(master, ::open(::ptsname(master), O_RDWR | O_NOCTTY));
  LogOutput output(terminal.write_end);
  write_lines(output, kLines);
  const std::uint64_t lost = output.lost();
  CHECK(lost > 0);
  // A terminal may hold back what it shows: it takes lines again when it is drained, though not at once.
  std::string shown;
  while (output.lost() > 0) {
    shown += terminal.drain();
    write_lines(output, 1);
  }
  CHECK_FALSE(shown.empty());
}

TEST_CASE("a socket that nobody reads holds nobody up") {
  std::array<int, 2> ends{-1, -1};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  check_that_losses_are_told(Ends(ends[0], ends[1]));
}

TEST_CASE("two that log to one pipe do not wait for its last free page") {
  const Pipe pipe;
  std::array<std::uint64_t, 2> lost{};
  std::vector<std::thread> threads;
  for (std::uint64_t& lost_here : lost)
    threads.emplace_back([&] {
      LogOutput output(pipe.write_end);
      const std::string text(3000, 'x');
      for (int line = 0; line < kLines; ++line) output.write(LogLevel::notice, text, SystemClock::now());
      lost_here = output.lost();
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(lost[0] > 0);
  CHECK(lost[1] > 0);
}

TEST_CASE("without a reader lines are lost, and no signal ends the process") {
  Pipe pipe;
  pipe.close_reader();
  LogOutput output(pipe.write_end);
  write_lines(output, 3);
  CHECK(output.lost() == 3);
  LogOutput closed(-1);
  write_lines(closed, 2);
  CHECK(closed.lost() == 2);
}

TEST_CASE("by default stderr gets notices, and no infos") {
  const Pipe pipe;
  const int before = ::dup(STDERR_FILENO);
  REQUIRE(::dup2(pipe.write_end, STDERR_FILENO) == STDERR_FILENO);
  for (const LogLevel level : {LogLevel::error, LogLevel::warning, LogLevel::notice, LogLevel::info, LogLevel::debug})
    write_log("Ada", {level, "something", "happened"});
  REQUIRE(::dup2(before, STDERR_FILENO) == STDERR_FILENO);
  ::close(before);
  CHECK(lines_in(pipe.drain()) == 3);
  CHECK(log_enabled(LogLevel::notice));
  CHECK_FALSE(log_enabled(LogLevel::info));
  CHECK_FALSE(log_enabled(LogLevel::off));
}
