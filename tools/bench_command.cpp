#include "bench_command.hpp"

#include <memory>

#include "bench/all_reduce_bench.hpp"
#include "bench/idle_bench.hpp"
#include "bench/lone_member.hpp"
#include "bench/master_bench.hpp"
#include "bench/options.hpp"
#include "bench/prefetch_bench.hpp"
#include "bench/quantization_bench.hpp"
#include "bench/shared_state_bench.hpp"
#include "bench/shared_state_tensors.hpp"
#include "bench/tls_bench.hpp"
#include "bench/worker.hpp"
#include "hawser.h"

namespace {

using hawser::bench::AllReduceOptions;
using hawser::bench::IdleOptions;
using hawser::bench::WorkerOptions;

/// What the caller chooses and the workers are told in the same words.
void add_collective_options(CLI::App& command, AllReduceOptions& options) {
  namespace bench = hawser::bench;
  command.add_option("--sizes", options.sizes, "Bytes, several with commas; K, M and G are powers of 1024")
      ->delimiter(',')
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber);
  command.add_option("--rounds", options.rounds, "Every size is measured once in each round")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command.add_option("--seconds", options.seconds,
                     "Rounds for so long, at least three, instead of a number of them");
  command.add_option("--connections", options.connections,
                     "TCP connections per link (default: 1 on one host)");
  command.add_option("--type", options.names.type, "Of the elements")
      ->capture_default_str()
      ->check(CLI::IsMember(bench::type_names()));
  command.add_option("--op", options.names.op, "The reduction")
      ->capture_default_str()
      ->check(CLI::IsMember(bench::op_names()));
  command.add_option("--plan", options.names.plan, "How the data travels")
      ->capture_default_str()
      ->check(CLI::IsMember(bench::plan_names()));
  command.add_option("--quantize", options.names.quantize, "How values are made smaller on the wire")
      ->capture_default_str()
      ->check(CLI::IsMember(bench::quantize_names()));
  command.add_flag("--in-place", options.in_place, "Send and receive buffer are the same");
  command.add_flag("--check-same-host", options.check_same_host,
                   "Payloads carry checksums, as they do between hosts");
  command.add_flag("--tls", options.tls_same_host,
                   "All connections under TLS, as between hosts of a run with keys; a member by hand needs a key");
  command.add_flag("--attest", options.attest, "Members sign their contributions; a member by hand needs a key");
  command.add_option("--io-threads", options.io_threads, "As in a communicator's configuration (default: by the cores)")
      ->check(CLI::Range(1, 64));
}

void add_all_reduce(CLI::App& bench, int& status) {
  const auto options = std::make_shared<AllReduceOptions>();
  CLI::App* command = bench.add_subcommand(
      "all-reduce", "Time, throughput, CPU time and memory of all-reduce over loopback TCP, results checked");
  command->add_option("--world", options->worlds, "Peers, several with commas (default 2,4)")
      ->delimiter(',')
      ->check(CLI::Range(2, 64));
  add_collective_options(*command, *options);
  command->add_flag("--per-thread", options->per_thread, "CPU seconds per GiB of each kind of thread, too");
  command->add_flag("--lines", options->lines,
                    "One line per measurement: label, world, bytes, ms, CPU seconds per GiB");
  command->add_option("--label", options->label, "The first word of those lines")->capture_default_str();
  command->add_option("--json", options->json, "File to write all figures to");
  command->callback([options, &status] { status = hawser::bench::run_all_reduce_bench(*options); });
}

void add_lone_member(CLI::App& bench, int& status) {
  const auto options = std::make_shared<hawser::bench::LoneMemberOptions>();
  CLI::App* command = bench.add_subcommand(
      "member", "One member of an all-reduce measurement between machines: start one on each, and a master");
  command->add_option("--master", options->master, "HOST:PORT of a running `hawser master`")->required();
  command->add_option("--world", options->world, "Members to wait for")->required()->check(CLI::Range(2, 1024));
  command->add_option("--listen", options->listen, "Address to listen on for the others (default: all)");
  command->add_option("--port", options->port, "Port to listen on (default: any)");
  command->add_option("--advertise", options->advertise,
                      "Address that the others dial, with a port if it is another (default: what the master sees)");
  command->add_option("--name", options->name, "In messages (default: HOSTNAME:PID)");
  command->add_flag("--verbose", options->verbose, "What the library does, on the standard error");
  command
      ->add_option("--beside", options->beside_bytes,
                   "Bytes: all-reduces of float32 of that size, one after the other under another tag, are under way "
                   "all the while")
      ->transform(CLI::AsSizeValue(false));
  command->add_flag("--update-topology", options->updates, "Before each call, and within its time")
      ->excludes("--beside");
  command->add_flag("--optimize-topology", options->optimize,
                    "Probe the links before the first call, and show what is known of them then");
  command
      ->add_option("--kill-at-percent", options->kill_at_percent,
                   "After the rounds of each size: the last member kills itself (SIGKILL) when so much of the median "
                   "call is over; the others repeat the call, and print how long after the kill they had the result. "
                   "With one size and at least three members")
      ->check(CLI::Range(1, 99));
  add_collective_options(*command, options->all_reduce);
  command->callback([options, &status] { status = hawser::bench::run_lone_member(*options); });
}

void add_idle(CLI::App& bench, int& status) {
  const auto options = std::make_shared<IdleOptions>();
  CLI::App* command = bench.add_subcommand(
      "idle", "CPU time and context switches of peers that are connected and do nothing");
  command->add_option("--peers", options->peers)->capture_default_str()->check(CLI::Range(2, 64));
  command->add_option("--seconds", options->seconds)->capture_default_str()->check(CLI::PositiveNumber);
  command->callback([options, &status] { status = hawser::bench::run_idle_bench(*options); });
}

void add_master(CLI::App& bench, int& status) {
  const auto options = std::make_shared<hawser::bench::MasterBenchOptions>();
  CLI::App* command = bench.add_subcommand(
      "master", "CPU time and bytes of a master with many members, in one process without sockets");
  command->add_option("--members", options->members, "In all groups together")
      ->capture_default_str()
      ->check(CLI::Range(8, 16'384));
  command->add_option("--groups", options->groups, "That the members are spread over, 8 to 1024 in each")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->add_option("--rounds", options->rounds, "Of collectives and of pings")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->callback([options, &status] { status = hawser::bench::run_master_bench(*options); });
}

void add_quantization(CLI::App& bench, int& status) {
  const auto options = std::make_shared<hawser::bench::QuantizationOptions>();
  CLI::App* command = bench.add_subcommand(
      "quantization", "Errors and bytes of the quantisation schemes, as a Markdown table");
  command->add_option("--world", options->worlds, "Peers, several with commas (default 2,4,8)")
      ->delimiter(',')
      ->check(CLI::Range(2, 64));
  command->add_option("--count", options->count, "Elements")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--steps", options->steps, "Of the runs with error feedback")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->callback([options, &status] { status = hawser::bench::run_quantization_bench(*options); });
}

void add_prefetch_options(CLI::App& command, hawser::bench::SharedStateOptions& options,
                          const CLI::Validator& bytes) {
  hawser::bench::PrefetchGroup& group = options.prefetch.group;
  command.add_flag(
      "--prefetch", options.with_prefetch,
      "Instead: what members that reduce lose while a newcomer fetches their state, and its joining");
  command.add_option("--prefetch-size", group.bytes, "Bytes of that state (default 512M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(bytes);
  command.add_option("--members", group.members, "That reduce and offer the state")
      ->capture_default_str()
      ->check(CLI::Range(2, 63));
  command
      .add_option("--share", options.prefetch.shares_percent,
                  "Percent of their uplinks for newcomers, several with commas (default 25)")
      ->delimiter(',')
      ->check(CLI::Range(1, 100));
  command.add_option("--reduce-size", group.reduce_bytes, "Bytes of each step's all-reduce (default 64M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{4}, std::uint64_t{1} << 40));
  command
      .add_option("--pause-ms", group.pause_ms,
                  "In each step the members sleep so long, as if a device computed")
      ->capture_default_str()
      ->check(CLI::Range(0, 60'000));
  command.add_option("--steps", group.steps, "Undisturbed ones before each newcomer and after the last one")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
}

void add_shared_state(CLI::App& bench, int& status) {
  const auto options = std::make_shared<hawser::bench::SharedStateOptions>();
  CLI::App* command = bench.add_subcommand(
      "shared-state", "Time, throughput and memory of shared state over loopback TCP, contents checked");
  const CLI::Validator bytes =
      CLI::Range(hawser::bench::SharedStateTensors::kBytesMin, std::uint64_t{1} << 40);
  command->add_option("--size", options->bytes, "Bytes of the state (default 256M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(bytes);
  command
      ->add_option("--receivers", options->receivers,
                   "That one member sends to, several with commas (default 1,3)")
      ->delimiter(',')
      ->check(CLI::Range(1, 63));
  command
      ->add_option("--rounds", options->rounds,
                   "After the one that follows the joining; with --prefetch: newcomers")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command
      ->add_option("--unchanged-size", options->unchanged_bytes,
                   "Bytes of a state that two members hold already (default 1G; 0: leave that out)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(0, 0) | bytes);
  command->add_flag("--kill", options->kill, "Also kill one of two sources in mid transfer");
  add_prefetch_options(*command, *options, bytes);
  command->add_flag("--compress", options->compress, "Compress on the way; the values are then of -1 to 1");
  command->add_option("--json", options->json, "File to write all figures to");
  command->callback([options, &status] {
    status = options->with_prefetch ? hawser::bench::run_prefetch_bench(*options)
                                    : hawser::bench::run_shared_state_bench(*options);
  });
}

void add_tls(CLI::App& bench, int& status) {
  const auto options = std::make_shared<hawser::bench::TlsBenchOptions>();
  CLI::App* command = bench.add_subcommand(
      "tls", "What a connection costs in plain and under TLS: bytes, new connections and memory, in one process");
  command->add_option("--rounds", options->rounds, "In plain and under TLS by turns")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--size", options->bytes, "Bytes that pass in each round (default 1G)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 40));
  command->add_option("--connections", options->connections, "Of which handshakes and memory are measured")
      ->capture_default_str()
      ->check(CLI::Range(2, 400));
  command->callback([options, &status] { status = hawser::bench::run_tls_bench(*options); });
}

void add_worker(CLI::App& bench, int& status) {
  const auto options = std::make_shared<WorkerOptions>();
  CLI::App* command = bench.add_subcommand("worker", "A member of a measurement, started by the others");
  command->group("");  // not in the help
  command->add_option("role", options->role)->required();
  command->add_option("--master", options->master)->required();
  command->add_option("--world", options->world)->required();
  command->add_option("--parent", options->parent_pid)->required();
  command->add_option("--idle-seconds", options->idle.seconds);
  command->add_option("--state-kind", options->shared_state.kind);
  command->add_option("--state-bytes", options->shared_state.bytes);
  command->add_option("--state-holders", options->shared_state.holders);
  command->add_option("--state-rounds", options->shared_state.rounds);
  command->add_flag("--state-compress", options->shared_state.compress);
  hawser::bench::PrefetchGroup& prefetch = options->prefetch;
  command->add_option("--prefetch-members", prefetch.members);
  command->add_option("--prefetch-bytes", prefetch.bytes);
  command->add_option("--prefetch-reduce-bytes", prefetch.reduce_bytes);
  command->add_option("--prefetch-share", prefetch.share_percent);
  command->add_option("--prefetch-pause-ms", prefetch.pause_ms);
  command->add_option("--prefetch-steps", prefetch.steps);
  command->add_option("--prefetch-newcomers", prefetch.newcomers);
  add_collective_options(*command, options->all_reduce);
  command->callback([options, &status] { status = hawser::bench::run_worker(*options); });
}

}  // namespace

void add_bench_command(CLI::App& app, int& status) {
  CLI::App* bench = app.add_subcommand(
      "bench", "Measure: processes of this machine over loopback, or one member on each of several machines");
  bench->require_subcommand(1);
  // The members of a measurement on this machine come and go as it wants: notices of that say nothing.
  bench->parse_complete_callback([] { (void)hawserSetLogLevel(hawserLogWarning); });
  add_all_reduce(*bench, status);
  add_lone_member(*bench, status);
  add_idle(*bench, status);
  add_master(*bench, status);
  add_quantization(*bench, status);
  add_shared_state(*bench, status);
  add_tls(*bench, status);
  add_worker(*bench, status);
}
