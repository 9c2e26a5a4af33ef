#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "child_process.hpp"

namespace hawser::churn {

/// What the orchestrator knows of one worker process. Kept after its end.
struct WorkerRecord {
  std::uint32_t index = 0;
  std::string name;
  std::uint32_t place = 0;  ///< Whose disk it has; of those that are up, no two have the same.
  std::unique_ptr<ChildProcess> process;
  std::uint64_t spawned_ns = 0;
  std::uint64_t progress_ns = 0;  ///< When it last joined or committed a round, or was continued.
  std::uint64_t round_ns = 0;     ///< When it committed its last round, as it says.
  std::uint64_t peer_id = 0;      ///< 0 before it joins.
  bool admitted = false;          ///< It has been a member at least once.
  bool synced = false;
  bool stopped = false;
  bool killed = false;               ///< By us.
  std::uint64_t device_fault_ns = 0;  ///< When its devices failed, by which it shall end; 0: they did not.
  std::uint64_t leave_told_ns = 0;   ///< 0: not told.
  std::uint64_t disturbed_ns = 0;    ///< When it was last killed, stopped or told to leave; 0: never.
  std::uint64_t where_asked_ns = 0;  ///< When it was asked because it seemed to hang.
  /// It was stopped since it joined, so it may be told that it was removed.
  bool may_be_expelled = false;
  std::string where;  ///< Its last answer.

  bool up() const { return process && !process->ended(); }
  bool running() const { return up() && !stopped && !killed && leave_told_ns == 0; }
};

}  // namespace hawser::churn
