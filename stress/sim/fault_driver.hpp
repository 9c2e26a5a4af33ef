#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/link_network.hpp"
#include "sim/port_strangers.hpp"
#include "sim/stranger_crowd.hpp"
#include "sim/world.hpp"

namespace hawser::sim {

/// Decides what goes wrong, and when: between any two events, and with a greater chance where a control
/// message has just been sent that changes something.
class FaultDriver {
 public:
  explicit FaultDriver(World& world);

  /// Starts the first processes.
  void begin();
  /// After each event: perhaps something happens.
  void after_event();
  /// Faults are over: what was cut heals, who was stopped goes on or dies, the master runs.
  void end();

 private:
  enum class Kind {
    kill,
    start,
    leave,
    stop,
    silence,
    slow,
    cut_link,
    cut_pair,
    partition,
    blackhole,
    cut_control,
    half_open_control,
    master,
    hostile,
    spurious_tick,
    master_stop,
    split,
    strangers,
    lie,
    knock,
    device,
    relay_kill,
    relay_start,
    relay_stop,
    relay_cut
  };
  void message_sent(const char* kind);
  void happen();
  void happen(Kind kind);
  Process& start_process();
  void start_bad_member();
  void start_relay(Duration delay);
  void happen_to_relays(Kind kind);
  Process* any_relay();
  void kill_relay();
  void cut_relay(Process& relay);
  void end_incomplete_parties();
  void run(Process& process, Duration delay);
  void lie();
  void kill(Process& process);
  void heal(Process& process);
  void break_a_device();
  void stop(Process& process);
  void silence(Process& process);
  void slow_down(Process& process);
  void restart_master();
  void stop_master();
  void split();
  MasterProcess& any_master();
  void cut_control(Process& process);
  bool may_be_away(const Process& process) const;
  void inject_hostile();
  void block(Process& a, Process& b);
  Process* any(bool running_only);
  std::vector<Process*> runners();
  Ending any_ending();

  World& world_;
  FaultProfile faults_;
  std::vector<Kind> drawn_from_;
  bool over_ = false;
  std::map<std::uint64_t, Instant> half_open_at_;  ///< By process: its last.
  Instant master_killed_at_{};
  std::uint32_t started_ = 0;
  std::uint32_t relays_started_ = 0;
  PartyId party_;  ///< Of the last who was started.
  Process* bad_ = nullptr;
  StrangerCrowd strangers_;
  PortStrangers port_strangers_;
};

/// A header that no honest sender would write at this moment, and that the wire codec lets through.
FrameInFlight hostile_frame(Random& random, const FrameHeader& like);

}  // namespace hawser::sim
