#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "membership/master_machine.hpp"
#include "sim/control_network.hpp"

namespace hawser::sim {

/// The master: a MasterMachine that can be killed and started anew, without memory.
class MasterProcess {
 public:
  explicit MasterProcess(World& world) : world_(world) {}

  void start();
  void kill(Ending ending);
  /// SIGSTOP, and SIGCONT: its connections stand, and what comes waits.
  void stop();
  void resume();
  bool stopped() const { return stopped_; }
  bool running() const { return machine_.has_value(); }
  /// How many times it was started.
  std::uint64_t incarnation() const { return incarnation_; }
  void deliver(const MasterEvent& event);
  const MasterMachine& machine() const { return *machine_; }

  /// What operators have decided; it outlives the master.
  AdmissionRules rules;

 private:
  void arm_timer();
  void timer(std::uint64_t incarnation);

  World& world_;
  std::optional<MasterMachine> machine_;
  std::uint64_t incarnation_ = 0;
  std::optional<Instant> timer_at_;
  int barren_ticks_ = 0;
  bool stopped_ = false;
};

}  // namespace hawser::sim
