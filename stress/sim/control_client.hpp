#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/badge.hpp"
#include "engine/peer_engine.hpp"
#include "sim/event_queue.hpp"

namespace hawser::sim {

struct ControlConnection;

/// What a client has of the control network.
struct ControlEnd {
  ControlConnection* connection = nullptr;
  std::uint64_t heard_service = 0;  ///< Of the master that has said something last; 0: none has.
  std::uint64_t dial = 0;  ///< Number of the dial in progress; 0 if there is none.
};

/// Whoever has a connection to the master, one at a time: a process of the run, or a stranger.
class ControlClient {
 public:
  ControlClient() = default;
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;
  virtual ~ControlClient() = default;

  virtual const std::string& name() const = 0;
  virtual std::string host() const = 0;
  virtual bool gone() const = 0;
  virtual bool stopped() const = 0;
  /// What it says need not be what an honest peer says.
  virtual bool may_lie() const = 0;
  /// What it proves when it connects, in a run with keys; none: nothing.
  virtual std::optional<Badge> badge() const = 0;
  /// Runs the task there after the delay: dropped when it is gone by then, later when it is stopped.
  virtual void in_process(Duration delay, EventQueue::Task task) = 0;
  /// MasterUp, MasterSaid or MasterDown.
  virtual void hear(const EngineEvent& event) = 0;

  ControlEnd control;  ///< Of the control network.
};

}  // namespace hawser::sim
