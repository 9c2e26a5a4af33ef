#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "base/thrown.hpp"
#include "engine/peer_engine.hpp"

namespace hawser {

/// What a thread that drives an engine has to itself.
struct EngineSeat {
  WorkDesk desk;
  std::deque<RunWork> works;   ///< Asked for by what this thread brought to the engine, and not begun.
  std::deque<RunWork> patient;  ///< Those that may wait: one in a turn of the event loop.
  bool turn_posted = false;     ///< For the next of them.
  std::vector<WakeLink> wakes;  ///< Links that have frames to write since.
  bool is_working = false;
  std::vector<EngineActions> spare_actions;
};

/// Threads beside the one that runs a communicator's sockets and timers. Each has an event loop of its own, carries
/// some of the connections (it reads, verifies and writes their frames), and runs works.
class Lanes {
 public:
  struct Lane {
    asio::io_context io{1};
    EngineSeat seat;
    std::thread thread;
  };
  /// `failed` hears on a lane's thread of what was thrown there. Error: system, if the system gives no thread.
  static Result<std::unique_ptr<Lanes>> start(unsigned count, std::function<void(const Thrown&)> failed);
  /// Stops all threads, and waits for them: as long as the handler or work that each is in.
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  std::size_t size() const { return lanes_.size(); }
  /// Lanes in turn. Safe from any thread.
  Lane& next() { return *lanes_[turn_++ % lanes_.size()]; }
  /// That whose thread this is; null on any other thread.
  static Lane* current();
  /// In a child of fork(): the threads are in the parent.
  void leave_behind() noexcept;

 private:
  Lanes() = default;

  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
  std::function<void(const Thrown&)> failed_;
  std::atomic<std::size_t> turn_{0};
};

/// How many lanes a communicator has where its configuration says nothing: none on two cores or fewer.
unsigned lanes_for(unsigned cores);

}  // namespace hawser
