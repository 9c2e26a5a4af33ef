#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/instant.hpp"
#include "sim/coverage.hpp"
#include "sim/profile.hpp"

namespace hawser::sim {

struct SimulationOptions {
  std::uint64_t seed = 1;
  std::uint32_t peers = 0;  ///< 0: the seed decides.
  std::uint64_t steps = 0;  ///< Events with faults among them; 0: the seed decides.
  Modes modes{};
  /// Gets a line for everything that happens, where set.
  std::function<void(const std::string&)> on_trace;
};

struct SimulationResult {
  std::uint64_t events = 0;
  std::uint64_t commits = 0;
  Duration virtual_time{};
  std::uint64_t history = 0;  ///< Hash of all that happened.
  Counts coverage;
  std::optional<std::string> violation;  ///< A sentence.
};

/// Runs one seed from its start to the quiet end: peers join, faults happen for a number of events, then all
/// heals, and the run ends when every call that was open has ended and all the living have reduced together.
/// Same options, same result. Throws nothing.
SimulationResult simulate(const SimulationOptions& options);

}  // namespace hawser::sim
