// hawser-churn: real processes train over real TCP while some of them are killed, stopped, and replaced.
// One binary in several roles: the orchestrator starts itself again as master and as workers.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>

#include "die_with_parent.hpp"
#include "emulated_hosts.hpp"
#include "enter_network.hpp"
#include "options.hpp"

namespace hawser::churn {
namespace {

const std::map<std::string, RetryPolicy> kRetryNames{{"call", RetryPolicy::call},
                                                     {"round", RetryPolicy::round}};

void add_bounds(CLI::App& app, LibraryBounds& bounds) {
  app.add_option("--silence-ms", bounds.silence_ms, "the library's silence bound (0: its default)");
  app.add_option("--stall-ms", bounds.stall_ms, "the library's stall bound (0: its default)");
}

void add_state(CLI::App& app, StateOptions& o) {
  app.add_option("--state-bytes", o.ballast_bytes, "bytes in the shared state beside weights and optimiser")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 36));
  app.add_option("--sync-every", o.sync_every, "steps between synchronisations in a view that does not change")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--checkpoint-every", o.checkpoint_every, "synchronisations between checkpoints, 0: none")
      ->capture_default_str();
  app.add_option("--prefetch", o.prefetch,
                 "members offer their state, and half of the joiners prefetch it (0: nobody does)")
      ->capture_default_str();
}

void add_churn(CLI::App& app, ChurnOptions& o) {
  app.add_option("--seconds", o.seconds, "how long to run")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--peers", o.peers, "number of workers to keep up")
      ->capture_default_str()
      ->check(CLI::Range(2, 40));
  app.add_option("--seed", o.seed, "seed of every choice: whom, when, what")->capture_default_str();
  app.add_option("--kill-every-ms", o.kill_every_ms, "mean time between SIGKILLs, 0: none")
      ->capture_default_str();
  app.add_option("--stop-every-ms", o.stop_every_ms, "mean time between SIGSTOPs, 0: none")
      ->capture_default_str();
  app.add_option(
         "--device-fault-every-ms", o.device_fault_every_ms,
         "mean time between failures of a worker's simulated devices (HAWSER_DEVICE=sim), every second one a hang; "
         "0: none")
      ->capture_default_str();
  app.add_flag(
      "--plain", o.plain,
      "without keys and TLS; else the run gets a secret, and every second worker encrypts links on its machine, too");
  app.add_flag("--joins", o.joins, "let the number of workers swing: extra joiners, graceful leaves");
  app.add_option("--swing-every-ms", o.swing_every_ms, "mean time between those")
      ->capture_default_str()
      ->check(CLI::Range(50, 3'600'000));
  CLI::Option* const restarts = app.add_option("--master-restarts", o.master_restarts,
                                               "SIGKILL and restart the master so often, evenly spread")
                                    ->capture_default_str();
  CLI::Option* const wipe_outs =
      app.add_option("--wipe-outs", o.wipe_outs,
                     "SIGKILL all workers at once so often, evenly spread; the run goes on from checkpoints")
          ->capture_default_str();
  app.add_option("--reset-every-ms", o.reset_every_ms,
                 "mean time between resets of a worker's connection to the master, 0: none; Linux")
      ->capture_default_str();
  CLI::Option* const pauses = app.add_option("--master-pauses", o.master_pauses,
                                             "SIGSTOP the master so often, evenly spread, for 2 to 15 s each")
                                  ->capture_default_str();
  // With several masters those would be of one that may not serve, or leave no majority.
  CLI::Option* const standby =
      app.add_option("--standby", o.standby, "masters that stand by, beside the one that serves")
          ->capture_default_str()
          ->check(CLI::Range(0u, 7u))
          ->excludes(wipe_outs)
          ->excludes(restarts)
          ->excludes(pauses);
  app.add_option("--lease", o.lease, "which of them serves a lease decides, of this etcd: etcd://HOST:PORT/NAME")
      ->needs(standby);
  app.add_option("--master-kills", o.master_kills,
                 "SIGKILL the master that serves so often, and restart it to stand by. The run is over after the last "
                 "of these and of --master-stops, whatever --seconds says")
      ->capture_default_str()
      ->needs(standby);
  app.add_option("--master-stops", o.master_stops,
                 "SIGSTOP the master that serves so often, for 2 to 15 s each: another one may take over meanwhile")
      ->capture_default_str()
      ->needs(standby);
  app.add_option("--master-gap-ms", o.master_gap_ms,
                 "mean time from the first step under a master to its kill or stop")
      ->capture_default_str()
      ->check(CLI::Range(50, 3'600'000))
      ->needs(standby);
  CLI::Option* const relays =
      app.add_option("--relays", o.relays, "relays that add for the workers")
          ->capture_default_str()
          ->check(CLI::Range(0u, 8u));
  app.add_option("--relay-fault-every-ms", o.relay_fault_every_ms,
                 "mean time between SIGKILLs and SIGSTOPs of a relay, which no worker may notice; 0: none")
      ->capture_default_str()
      ->needs(relays);
  app.add_option("--scratch", o.scratch, "folder for checkpoints (default: a temporary one)");
  app.add_option("--io-threads", o.io_threads, "threads of each worker that carry its links, 0: one and three in turn")
      ->capture_default_str()
      ->check(CLI::Range(0, 64));
  app.add_option("--wan", o.wan,
                 "run in an emulated wide-area network (docs/wan.md) by this spec, one host for each of --peers; root");
  app.add_option("--text", o.text,
                 "text to learn (default: the system's licence texts, else the project's docs)");
  app.add_option("--report", o.report, "write a JSON report here");
  app.add_option("--log", o.log, "write the workers' and the master's log lines here");
  app.add_option("--hang-bound-s", o.hang_bound_s, "no committed step by anyone for so long is a hang")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--elements", o.elements, "largest checked reduce")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 32));
  app.add_option("--retry", o.retry, "after an error: call (same call again) or round (begin a new round)")
      ->transform(CLI::CheckedTransformer(kRetryNames));
  app.add_option("--mixed", o.mixed,
                 "all types, operations and collectives in every round (0: float32 sums only)")
      ->capture_default_str();
  app.add_option("--tags", o.tags, "all-reduces in flight at once in the mixed phase")
      ->capture_default_str()
      ->check(CLI::Range(1u, kTagsMax));
  add_state(app, o.state);
  add_bounds(app, o.bounds);
}

void add_recovery(CLI::App& app, RecoveryOptions& o) {
  app.add_option("--peers", o.peers, "number of workers")->capture_default_str()->check(CLI::Range(3, 40));
  app.add_option("--elements", o.elements, "elements of the reduce")->capture_default_str();
  app.add_option("--undisturbed", o.undisturbed, "undisturbed reduces before each kill")
      ->capture_default_str();
  app.add_option("--kills", o.kills, "repetitions with SIGKILL")->capture_default_str();
  app.add_option("--stops", o.stops, "repetitions with SIGSTOP")->capture_default_str();
  app.add_option("--seed", o.seed, "seed of the moments and victims")->capture_default_str();
  app.add_option("--hang-bound-s", o.hang_bound_s, "a phase that takes longer is a hang")
      ->capture_default_str();
  app.add_option("--report", o.report, "write a JSON report here");
  app.add_option("--log", o.log, "write the workers' and the master's log lines here");
  add_bounds(app, o.bounds);
}

void add_worker(CLI::App& app, WorkerOptions& o) {
  app.add_option("--master", o.master)->required();
  app.add_option("--name", o.name)->required();
  app.add_option("--seed", o.seed);
  app.add_option("--elements", o.elements);
  app.add_option("--retry", o.retry)->transform(CLI::CheckedTransformer(kRetryNames));
  app.add_option("--mixed", o.mixed);
  app.add_option("--tags", o.tags);
  app.add_option("--io-threads", o.io_threads);
  app.add_flag("--recovery", o.recovery);
  app.add_option("--text", o.text);
  app.add_option("--address", o.address);
  app.add_option("--advertise", o.advertise);
  app.add_option("--network", o.network);
  app.add_option("--scratch", o.scratch);
  app.add_flag("--from-disk", o.from_disk);
  add_state(app, o.state);
  add_bounds(app, o.bounds);
}

// Children take no part in the terminal's Ctrl-C: the orchestrator ends them in order, or their standard
// input closes and they go.
void become_child(const std::string& network) {
  std::signal(SIGINT, SIG_IGN);
  die_with_parent();
  if (!network.empty()) enter_network(network);
}

#if defined(HAWSER_CHURN_LAB)
int run_churn_in_lab(const ChurnOptions& options) {
  const EmulatedHosts::Made made = EmulatedHosts::make(options.wan, options.peers);
  if (made.hosts == nullptr) {
    std::fprintf(stderr, "hawser-churn: %s\n", made.why.c_str());
    return made.exit_status;
  }
  const int status = run_churn(options, made.hosts.get());
  made.hosts->stop_and_report();
  return status;
}
#else
int run_churn_in_lab(const ChurnOptions&) {
  std::fprintf(stderr, "hawser-churn: this build has no emulated networks (Linux and toml++ are needed)\n");
  return 64;
}
#endif

int dispatch(int argc, char** argv) {
  CLI::App app{
      "Trains on real text with real processes while they are killed, stopped, and replaced; checks every "
      "sum."};
  ChurnOptions churn;
  RecoveryOptions recovery;
  WorkerOptions worker;
  MasterOptions master;
  RelayOptions relay;
  add_churn(app, churn);
  CLI::App* recovery_app =
      app.add_subcommand("recovery", "measures a reduce with a member killed or stopped in its middle");
  add_recovery(*recovery_app, recovery);
  CLI::App* worker_app = app.add_subcommand("worker", "internal")->group("");
  add_worker(*worker_app, worker);
  CLI::App* master_app = app.add_subcommand("master", "internal")->group("");
  master_app->add_option("--listen", master.listen);
  master_app->add_option("--masters", master.masters);
  master_app->add_flag("--standby", master.standby);
  master_app->add_option("--lease", master.lease);
  master_app->add_option("--network", master.network);
  add_bounds(*master_app, master.bounds);
  CLI::App* relay_app = app.add_subcommand("relay", "internal")->group("");
  relay_app->add_option("--master", relay.master)->required();
  relay_app->add_option("--name", relay.name)->required();
  relay_app->add_option("--address", relay.address);
  relay_app->add_option("--network", relay.network);
  add_bounds(*relay_app, relay.bounds);
  app.require_subcommand(0, 1);
  CLI11_PARSE(app, argc, argv);

  if (worker_app->parsed()) {
    become_child(worker.network);
    return worker.recovery ? run_recovery_worker(worker) : run_worker(worker);
  }
  if (master_app->parsed()) {
    become_child(master.network);
    return run_master(master);
  }
  if (relay_app->parsed()) {
    become_child(relay.network);
    return run_relay(relay);
  }
  if (recovery_app->parsed()) return run_recovery(recovery);
  return churn.wan.empty() ? run_churn(churn, nullptr) : run_churn_in_lab(churn);
}

}  // namespace
}  // namespace hawser::churn

int main(int argc, char** argv) {
  try {
    return hawser::churn::dispatch(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hawser-churn: %s\n", e.what());
    return 70;
  }
}
