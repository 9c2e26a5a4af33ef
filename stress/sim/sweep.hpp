#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "sim/coverage.hpp"
#include "sim/simulation.hpp"

namespace hawser::sim {

struct SweepOptions {
  std::uint64_t first = 1;
  std::uint64_t last = 0;  ///< 0: until the time is over.
  std::optional<std::chrono::seconds> time;
  std::uint32_t peers = 0;
  std::uint64_t steps = 0;
  Modes modes{};
  unsigned jobs = 1;
  std::uint64_t violations_max = 1;    ///< Stop after so many.
  std::string program = "hawser-sim";  ///< How a replay starts this program.
  /// One line now and then, and one for each violation.
  std::function<void(const std::string&)> say;
};

struct SweepResult {
  std::uint64_t seeds = 0;
  std::uint64_t events = 0;
  std::uint64_t commits = 0;
  std::uint64_t violations = 0;
  std::optional<std::uint64_t> first_violation;  ///< Its seed: the smallest seen.
  double cpu_seconds = 0;  ///< Of all threads.
  double wall_seconds = 0;
  double virtual_seconds = 0;
  Counts coverage;
};

/// Runs many seeds, `jobs` at a time.
SweepResult sweep(const SweepOptions& options);
/// Totals, coverage table, branches never seen.
std::string report(const SweepResult& result);
/// The one command that replays a seed.
std::string replay_command(const std::string& program, std::uint64_t seed, std::uint32_t peers,
                           std::uint64_t steps);

}  // namespace hawser::sim
