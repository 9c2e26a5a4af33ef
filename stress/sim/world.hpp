#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log_event.hpp"
#include "base/random.hpp"
#include "sim/checker.hpp"
#include "sim/control_network.hpp"
#include "sim/coverage.hpp"
#include "sim/event_queue.hpp"
#include "sim/hearsay.hpp"
#include "sim/lease_service.hpp"
#include "sim/letters.hpp"
#include "sim/link_network.hpp"
#include "sim/master_process.hpp"
#include "sim/names.hpp"
#include "sim/process.hpp"
#include "sim/profile.hpp"
#include "sim/stranger.hpp"

namespace hawser::sim {

/// One master, some processes, and the networks between them, under one virtual clock. Everything that
/// happens follows from the profile and the seed.
class World {
 public:
  World(Profile profile_in, std::uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Process& start_process(const std::string& name, Process::Place place);
  const std::vector<std::unique_ptr<Process>>& processes() const { return processes_; }
  /// The process whose engine goes by this id now; null if there is none.
  Process* find(PeerId id);
  /// Likewise, or the one that went by it before: who dials that address finds it there.
  Process* find_by_any_id(PeerId id);
  /// Without relays,
  std::vector<Process*> living();
  /// and these alone.
  std::vector<Process*> living_relays();
  /// Keeps it to the end of the run.
  void add_stranger(std::unique_ptr<Stranger> stranger) { strangers_.push_back(std::move(stranger)); }
  const std::vector<std::unique_ptr<Stranger>>& strangers() const { return strangers_; }
  /// The stranger that goes by this id now; null if there is none.
  const Stranger* find_stranger(PeerId id) const;
  /// One of which all are members now; none if there is none.
  Party known_party();

  /// All of them, in the order in which peers dial them.
  const std::vector<MasterProcess*>& masters() const { return masters_; }

  /// Runs the earliest event. False when nothing is left to happen.
  bool step();
  /// When the earliest event is due; none when nothing is left.
  std::optional<Instant> next_due();
  /// The deadline of this process may be another one now. It is asked for when the event is over.
  void timer_changes(Process& process);

  bool tracing() const { return static_cast<bool>(on_trace); }
  void trace(const std::string& line) const;
  void log(const std::string& who, const LogEvent& event);
  void observe(const std::string& who, const char* kind);

  const Profile profile;
  EventQueue queue;
  Random random;
  Names names;
  Hearsay hearsay;
  Coverage coverage;
  Checker checker;
  Quarantine quarantine;
  Letters letters;
  std::uint64_t master_incarnations = 0;
  LeaseService lease;    ///< Of runs whose masters have one.
  MasterProcess master;  ///< The first, or the only one.
  ControlNetwork control;
  LinkNetwork links;
  bool scripted = false;  ///< Commands make the calls and the faults.
  bool odd_calls = true;  ///< Applications may call late, or what others don't call.
  std::vector<std::unique_ptr<Application>> buried;  ///< Of processes that are gone, until the event is over.

  std::function<void(const std::string&)> on_trace;
  /// Somebody ("master" or a process) sends a control message of this kind. Only to take note of.
  std::function<void(const std::string& who, const char* kind)> on_message;
  std::function<void(const std::string& who, const LogEvent& event)> on_log;

 private:
  void judge_blame(const std::string& name);
  void judge_straggler(const std::string& name);

  void arm_timers();

  std::vector<std::unique_ptr<MasterProcess>> standbys_;
  std::vector<MasterProcess*> masters_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<std::pair<Process*, std::uint64_t>> to_arm_;  ///< And the turn in which it did something.
  std::vector<std::unique_ptr<Stranger>> strangers_;
};

}  // namespace hawser::sim
