#include "sim/simulation.hpp"

#include <algorithm>
#include <exception>
#include <map>
#include <set>

#include "sim/fault_driver.hpp"
#include "sim/world.hpp"

namespace hawser::sim {
namespace {

std::string seconds_of(Duration time) {
  return std::to_string(whole_milliseconds(time) / 1000) + "." +
         std::to_string(whole_milliseconds(time) % 1000 / 100) + " s";
}

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options)
      : world_(draw_profile(options.seed, options.peers, options.steps, options.modes), options.seed),
        faults_(world_) {
    world_.on_trace = options.on_trace;
    world_.checker.explain_mismatches();
    if (world_.profile.faults.gentle) world_.checker.allow_no_error();
  }

  SimulationResult run() {
    SimulationResult result;
    try {
      run_phases();
      if (world_.master.running() && world_.masters().size() == 1) world_.checker.kept(world_.master.machine().attested());
    } catch (const std::exception& error) {
      result.violation = error.what();
    }
    result.events = world_.queue.executed();
    result.commits = world_.checker.committed();
    result.virtual_time = world_.queue.now().time_since_epoch();
    result.history = world_.queue.history();
    result.coverage = world_.coverage.counts();
    if (world_.profile.faults.gentle) result.coverage["sim: gentle run"] = 1;
    if (world_.masters().size() > 1) result.coverage["sim: several masters"] = 1;
    if (world_.profile.master.has_lease) result.coverage["sim: masters with a lease"] = 1;
    return result;
  }

 private:
  void run_phases() {
    faults_.begin();
    const std::uint64_t fault_events = world_.profile.fault_events;
    // Where all processes have died nothing is left to happen; the quiet phase starts new ones.
    while (world_.queue.executed() < fault_events && world_.next_due()) {
      step();
      faults_.after_event();
    }
    if (world_.tracing()) world_.trace("-------- faults are over");
    faults_.end();
    settle();
    world_.quarantine.inspect();
  }

  void step() {
    if (!world_.step()) throw Violation("nothing is left to happen, and the run is not over");
    if (world_.queue.executed() % 256 == 0) check_hangs();
    if (world_.queue.executed() > world_.profile.fault_events + 3000000)
      throw Violation("three million events after the last fault the run has not come to rest");
  }

  /// No call takes longer than its bounds allow, whatever goes wrong meanwhile.
  void check_hangs() {
    const Profile& profile = world_.profile;
    const Duration bound = profile.master.call_wait + profile.engine.master_redial + profile.master.silence +
                           profile.master.stall * 4 + profile.master.link_open * 2 + profile.master.recovery +
                           seconds(10);
    for (const Process* process : world_.living()) {
      if (process->stopped()) continue;
      for (const auto& [id, call] : process->calls()) {
        const Duration age = world_.queue.now() - call.made;
        if (profile.faults.gentle && call.given_up_at &&
            world_.queue.now() > *call.given_up_at + world_.checker.giving_up_takes(process->group()))
          throw Violation(process->name() + ": a call goes on " +
                          seconds_of(world_.queue.now() - *call.given_up_at) + " after it was given up");
        if (age > (call.kind == Call::Kind::connect ? profile.engine.connect + seconds(10) : bound))
          throw Violation(process->name() + ": a call hangs for " + seconds_of(age) + " already");
      }
    }
  }

  void settle() {
    const Instant healed = world_.queue.now();
    std::uint64_t seen = world_.checker.successes();
    while (!settled_) {
      step();
      if (world_.checker.successes() != seen) {
        seen = world_.checker.successes();
        settled_ = is_settled(healed);
      }
      if (!settled_ && world_.queue.now() > healed + world_.profile.settle) complain(healed);
      if (world_.queue.executed() % 64 == 0 && alone_in_some_group()) settled_ = is_settled(healed);
    }
  }

  bool is_settled(Instant healed) {
    return open_calls_are_newer_than(healed) && all_reduced_since(healed) && news_has_come();
  }

  bool open_calls_are_newer_than(Instant instant) {
    for (const Process* process : world_.living())
      for (const auto& [id, call] : process->calls())
        if (call.made <= instant) return false;
    return true;
  }

  std::map<std::uint32_t, std::set<PeerId>> groups() {
    std::map<std::uint32_t, std::set<PeerId>> found;
    for (const Process* process : world_.living()) found[process->group()].insert(process->id());
    return found;
  }

  bool alone_in_some_group() {
    const auto all = groups();
    return std::any_of(all.begin(), all.end(), [](const auto& group) { return group.second.size() == 1; });
  }

  /// All the living know the sizes of the world, and that nobody waits for admission.
  bool news_has_come() {
    std::uint32_t size = 0;
    std::uint32_t largest = 0;
    const auto all = groups();
    for (const auto& [number, peers] : all) {
      size += static_cast<std::uint32_t>(peers.size());
      largest = std::max(largest, static_cast<std::uint32_t>(peers.size()));
    }
    const hawser::World expected_world{
        .size = size, .group_count = static_cast<std::uint32_t>(all.size()), .largest_group_size = largest};
    for (const Process* process : world_.living()) {
      const EngineInfo info = process->info();
      if (!info.connected || !(info.world == expected_world) || info.pending > waiting_relays()) return false;
    }
    return true;
  }

  /// Where a group has too many members for relays these come again and again.
  std::uint32_t waiting_relays() {
    std::uint32_t waiting = 0;
    for (const Process* relay : world_.living_relays()) waiting += relay->info().connected ? 0 : 1;
    return waiting;
  }

  /// In each group all the living have been in one collective; whoever is alone is at least a member.
  bool all_reduced_since(Instant instant) {
    for (const auto& [number, peers] : groups()) {
      if (peers.size() == 1 && world_.find(*peers.begin())->info().connected) continue;
      if (!world_.checker.committed_by_all(peers, instant)) return false;
    }
    return true;
  }

  void complain(Instant healed) {
    for (const Process* process : world_.living())
      for (const auto& [id, call] : process->calls())
        if (call.made <= healed)
          throw Violation(process->name() + ": a call made before the faults were over hangs for " +
                          seconds_of(world_.queue.now() - call.made));
    throw Violation("all has healed " + seconds_of(world_.queue.now() - healed) + " ago, and " +
                    (all_reduced_since(healed) ? "somebody does not know the sizes of the world"
                                               : "there was no collective of all the living"));
  }

  World world_;
  FaultDriver faults_;
  bool settled_ = false;
};

}  // namespace

SimulationResult simulate(const SimulationOptions& options) { return Simulation(options).run(); }

}  // namespace hawser::sim
