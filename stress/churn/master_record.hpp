#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "child_process.hpp"
#include "held_port.hpp"
#include "loop_timer.hpp"

namespace hawser::churn {

/// What the orchestrator knows of one master: the only one, or one of several of which one serves.
struct MasterRecord {
  MasterRecord(uv_loop_t& loop, std::uint32_t number) : index(number), back(loop) {}

  std::uint32_t index;
  std::string name = "master";     ///< In the log.
  std::string address;             ///< Empty before it said so, if it chooses its port.
  std::unique_ptr<HeldPort> port;  ///< Of one of several on the loopback: known before the first of them is started.
  std::unique_ptr<ChildProcess> process;
  bool listens = false;  ///< The process has said so.
  bool killed = false;   ///< By us.
  bool paused = false;
  LoopTimer back;     ///< When it is started again, or goes on.
  std::string waits;  ///< Why it does not serve, as it said last.

  bool up() const { return process && !process->ended(); }
  bool running() const { return up() && listens && !killed && !paused; }
};

}  // namespace hawser::churn
