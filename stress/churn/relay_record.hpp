#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "child_process.hpp"
#include "loop_timer.hpp"

namespace hawser::churn {

/// What the orchestrator knows of one relay.
struct RelayRecord {
  RelayRecord(uv_loop_t& loop, std::uint32_t number)
      : index(number), name("relay" + std::to_string(number)), back(loop) {}

  std::uint32_t index;
  std::string name;
  std::unique_ptr<ChildProcess> process;
  bool killed = false;   ///< By us.
  bool stopped = false;
  LoopTimer back;  ///< When it is started again, or goes on.

  bool up() const { return process && !process->ended(); }
};

}  // namespace hawser::churn
