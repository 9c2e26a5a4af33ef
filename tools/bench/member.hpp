#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <hawser/hawser.hpp>
#include <string>

/// What all workers do besides their measurement.
namespace hawser::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct JoinOptions {
  std::string master;
  std::uint32_t world = 0;
  std::uint32_t connections = 0;  ///< 0: the library's default.
  bool check_same_host = false;
  bool tls_same_host = false;
  bool attest = false;
  std::uint32_t io_threads = 0;
  std::string listen = "127.0.0.1";  ///< Empty: all addresses.
  std::uint16_t port = 0;            ///< 0: any.
  std::string advertise{};           ///< Empty: as the master sees it.
  std::string name{};                ///< Empty: as the library names it.
};

/// Connects, and returns when all members of the measurement are there.
Result<Communicator> join(const JoinOptions& options);

/// The members' mean of a number, the same bits everywhere. Ends at nearly the same moment on all.
Result<float> agree(Communicator& comm, double mine);

/// To the process that started this one. One write, so that it does not mix with other workers' lines.
template <class... Values>
void say(const char* format, Values... values) {
  char line[512];
  const int size = std::snprintf(line, sizeof line, format, values...);
  if (::write(STDOUT_FILENO, line, static_cast<std::size_t>(size)) != size) std::_Exit(1);
}

}  // namespace hawser::bench
