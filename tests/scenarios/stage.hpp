#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "command.hpp"
#include "sim/world.hpp"

namespace hawser::scenarios {

/// Where a scenario plays: a simulated master and peers over a network with fixed delays of one millisecond,
/// moved by commands. docs/simulator.md lists the commands.
class Stage {
 public:
  /// Performs one command. What is to be seen goes to `out`, a line each. Throws ScriptError, and
  /// sim::Violation where a checker finds a broken promise.
  void perform(const std::string& line, std::vector<std::string>& out);

  /// What the processes' applications report to.
  void call_ended(const sim::Process& process, const sim::Call& call, const CallDone& done);

 private:
  using Handler = void (Stage::*)(const Command&);
  static Handler handler(const std::string& name);

  // The cast.
  void configure(const Command& command);
  void master(const Command& command);
  void peer(const Command& command);
  void relay(const Command& command);
  // Calls.
  void connect(const Command& command);
  void update(const Command& command);
  void optimize(const Command& command);
  void reduce(const Command& command);
  void leave(const Command& command);
  // Time.
  void run(const Command& command);
  void wait(const Command& command);
  void until(const Command& command);
  // What goes wrong.
  void kill(const Command& command);
  void kill_master(const Command& command);
  void stop(const Command& command);
  void resume(const Command& command);
  void silence(const Command& command);
  void speak(const Command& command);
  void cut(const Command& command);
  void cut_control(const Command& command);
  void partition(const Command& command);
  void blackhole(const Command& command);
  void heal(const Command& command);
  void repeat(const Command& command);
  void damage(const Command& command);
  void hostile(const Command& command);
  void stop_master(const Command& command);
  void resume_master(const Command& command);
  void nat(const Command& command);
  void stranger_says(const Command& command);
  // What is to be seen.
  void show(const Command& command);
  void show_master();
  void watch(const Command& command);

  sim::World& world();
  sim::Process& process(const std::string& name);
  std::vector<sim::Process*> processes(const Command& command);
  /// The one of that name; a new one if there is none.
  sim::Stranger& stranger(const std::string& name);
  sim::LinkEnd* any_connection(const Command& command);
  void step();
  void say(const std::string& line);
  std::string view_of(const View& view);
  std::string lasted(const sim::Call& call);
  std::string describe_end(const sim::Call& call, const CallDone& done);
  bool waits_for(const std::vector<sim::Process*>& whom);

  sim::Profile profile_;
  std::unique_ptr<sim::World> world_;
  std::set<std::string> watched_;  ///< Names of log events that are shown.
  std::string awaited_who_;
  std::string awaited_kind_;
  std::uint64_t awaited_times_ = 0;
  std::vector<std::string>* out_ = nullptr;
};

}  // namespace hawser::scenarios
