#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "membership/lease.hpp"
#include "membership/master_machine.hpp"
#include "sim/control_network.hpp"

namespace hawser::sim {

/// The master: a MasterMachine that can be killed and started anew, without memory.
class MasterProcess {
 public:
  /// The first of several begins a run, the others stand by.
  MasterProcess(World& world, std::size_t number) : world_(world), number_(number) {}

  const std::string& name() const { return name_; }
  std::size_t number() const { return number_; }

  void start();
  void kill(Ending ending);
  /// SIGSTOP, and SIGCONT: its connections stand, and what comes waits.
  void stop();
  void resume();
  bool stopped() const { return stopped_; }
  bool running() const { return machine_.has_value(); }
  bool serves() const { return running() && machine_->snapshot().serves; }
  /// Another one for each start of any master; the first is 1.
  std::uint64_t incarnation() const { return incarnation_; }
  /// Whose word it is: it has served, and stood by again, so many times.
  std::uint64_t service() const { return incarnation_ * 1'000'000 + services_; }
  void deliver(const MasterEvent& event);
  const MasterMachine& machine() const { return *machine_; }

  /// What operators have decided; it outlives the master.
  AdmissionRules rules;

 private:
  void arm_timer();
  void timer(std::uint64_t incarnation);
  void look_for_others();
  void others_seen(std::uint64_t incarnation);
  void step(const MasterEvent& event);
  void look_at_lease();
  void perform_lease(const LeaseActions& actions);
  void ask_for_lease(const LeaseRequest& request);
  void arm_lease_timer();

  World& world_;
  const std::size_t number_;
  const std::string name_ = number_ == 0 ? "master" : "master" + std::to_string(number_ + 1);
  std::optional<MasterMachine> machine_;
  std::uint64_t incarnation_ = 0;
  std::uint64_t services_ = 0;
  std::optional<Instant> timer_at_;
  int barren_ticks_ = 0;
  bool stopped_ = false;
  bool looks_ = false;
  std::optional<LeaseMachine> lease_;
  std::optional<Instant> lease_timer_at_;
};

}  // namespace hawser::sim
