#include <CLI/CLI.hpp>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "base/planted_fault.hpp"
#include "sim/sweep.hpp"

namespace {

using namespace hawser;  // NOLINT(google-build-using-namespace): the tool's own file.

struct Options {
  std::uint64_t seed = 0;
  std::uint32_t peers = 0;
  std::uint64_t steps = 0;
  sim::Modes modes;
  bool verbose = false;
  std::string seeds;
  double minutes = 0;
  std::uint64_t from = 0;
  unsigned jobs = 1;
  std::uint64_t violations_max = 1;
  std::string fault;
  bool expect_violation = false;
  bool quiet = false;
};

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

bool plant_by_name(const std::string& name) {
  if (name.empty()) return true;
  std::string names;
  for (const auto& [known, fault] : kPlantedFaults) {
    if (name == known) {
      plant(fault);
      return true;
    }
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  say("no such fault: " + name + "; there are " + names);
  return false;
}

std::string program(const Options& options) {
  return "hawser-sim" + (options.fault.empty() ? std::string() : " --fault " + options.fault) +
         (options.modes.masters ? " --masters" : "") + (options.modes.lease ? " --lease" : "") +
         (options.modes.rows ? " --rows" : "") + (options.modes.relays ? " --relays" : "") +
         (options.modes.messages ? " --messages" : "") + (options.modes.gives_up ? " --gives-up" : "");
}

/// Replays one seed. True if it shows a violation.
bool replay(const Options& options) {
  sim::SimulationOptions one{
      .seed = options.seed,
      .peers = options.peers,
      .steps = options.steps,
      .modes = options.modes,
      .on_trace = {}};
  if (options.verbose) one.on_trace = say;
  const sim::SimulationResult result = sim::simulate(one);
  if (result.violation)
    say("VIOLATION with seed " + std::to_string(options.seed) + ", event " + std::to_string(result.events) +
        ": " + *result.violation +
        "\n  replay: " + sim::replay_command(program(options), options.seed, options.peers, options.steps));
  say("seed " + std::to_string(options.seed) + ": " + std::to_string(result.events) + " events, " +
      std::to_string(result.commits) + " commits, " +
      std::to_string(whole_milliseconds(result.virtual_time)) + " ms of virtual time, history " +
      std::to_string(result.history));
  return result.violation.has_value();
}

bool read_range(const std::string& text, sim::SweepOptions& sweep) {
  unsigned long long first = 0;
  unsigned long long last = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%llu..%llu%c", &first, &last, &rest) != 2 || first > last || last == 0)
    return false;
  sweep.first = first;
  sweep.last = last;
  return true;
}

bool sweep_seeds(const Options& options, sim::SweepOptions& sweep) {
  sweep.peers = options.peers;
  sweep.steps = options.steps;
  sweep.modes = options.modes;
  sweep.jobs = options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
  sweep.violations_max = options.violations_max;
  sweep.program = program(options);
  sweep.say = say;
  if (options.seeds.empty()) {
    std::random_device device;
    sweep.first = options.from != 0 ? options.from : (std::uint64_t{device()} << 20) + 1;
    sweep.time = std::chrono::seconds(static_cast<std::int64_t>(options.minutes * 60));
    say("seeds from " + std::to_string(sweep.first) + " on, for " + std::to_string(sweep.time->count()) +
        " s");
  }
  const sim::SweepResult result = sim::sweep(sweep);
  if (!options.quiet) say(sim::report(result));
  if (result.first_violation)
    say("first violation with seed " + std::to_string(*result.first_violation) + ", found within " +
        std::to_string(result.seeds) + " seeds");
  return result.violations != 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Drives the master's and the peers' state machines under a virtual clock and a faulty network.");
  const auto* seed = app.add_option("--seed", options.seed, "Replay this one seed");
  app.add_option("--peers", options.peers, "Peers at the start (default: the seed decides)")
      ->check(CLI::Range(1, 64));
  app.add_option("--steps", options.steps, "Events with faults among them (default: the seed decides)");
  app.add_flag("--masters", options.modes.masters,
               "Several masters, save in the runs in which no call may fail (default: one)");
  app.add_flag("--lease", options.modes.lease, "The same, and a lease decides which of them serves");
  app.add_flag("--rows", options.modes.rows,
               "No group has all links, as if it had more than 128 members (default: the seed decides, one in eight)");
  app.add_flag("--relays", options.modes.relays, "Some relays in each run (default: none)");
  app.add_flag("--messages", options.modes.messages, "Members send each other messages (default: they don't)");
  app.add_flag("--gives-up", options.modes.gives_up, "Calls have bounds or are cancelled (default: neither)");
  app.add_flag("--verbose", options.verbose, "With --seed: a line for everything that happens");
  const auto* seeds = app.add_option("--seeds", options.seeds, "Sweep a range, as in 1..10000");
  const auto* minutes = app.add_option("--minutes", options.minutes, "Sweep for so long");
  app.add_option("--from", options.from, "With --minutes: the first seed (default: fresh at random)");
  app.add_option("--jobs", options.jobs, "Simulations at a time; 0: one per core (default 1)");
  app.add_option("--violations", options.violations_max, "Stop a sweep after so many (default 1)");
  app.add_option("--fault", options.fault, "Plant this bug first (docs/simulator.md names them)");
  app.add_flag("--expect-violation", options.expect_violation,
               "Succeed if there is a violation, fail if not");
  app.add_flag("--quiet", options.quiet, "No coverage table after a sweep");
  CLI11_PARSE(app, argc, argv);
  if (!plant_by_name(options.fault)) return 2;
  if (seed->count() + seeds->count() + minutes->count() != 1) {
    say("give one of --seed, --seeds and --minutes; --help says more");
    return 2;
  }
  sim::SweepOptions sweep;
  if (seeds->count() != 0 && !read_range(options.seeds, sweep)) {
    say("--seeds wants a range such as 1..10000");
    return 2;
  }
  const bool violated = seed->count() != 0 ? replay(options) : sweep_seeds(options, sweep);
  return violated == options.expect_violation ? 0 : 1;
}
