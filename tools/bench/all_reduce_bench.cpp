#include "bench/all_reduce_bench.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <hawser/hawser.hpp>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "bench/figures.hpp"
#include "bench/worker_group.hpp"

namespace hawser::bench {
namespace {

std::vector<std::string> worker_arguments(const AllReduceOptions& options, const std::string& master,
                                          std::uint32_t world) {
  std::string sizes;
  for (const std::uint64_t bytes : options.sizes) sizes += (sizes.empty() ? "" : ",") + std::to_string(bytes);
  const std::initializer_list<std::pair<const char*, std::string>> values{
      {"--master", master},
      {"--world", std::to_string(world)},
      {"--parent", std::to_string(getpid())},
      {"--sizes", sizes},
      {"--rounds", std::to_string(options.rounds)},
      {"--seconds", std::to_string(options.seconds)},
      {"--connections", std::to_string(options.connections)},
      {"--type", options.names.type},
      {"--op", options.names.op},
      {"--plan", options.names.plan},
      {"--quantize", options.names.quantize},
  };
  std::vector<std::string> arguments{"bench", "worker", "all-reduce"};
  for (const auto& [name, value] : values) arguments.insert(arguments.end(), {name, value});
  if (options.in_place) arguments.emplace_back("--in-place");
  if (options.check_same_host) arguments.emplace_back("--check-same-host");
  if (options.tls_same_host) arguments.emplace_back("--tls");
  if (options.attest) arguments.emplace_back("--attest");
  if (options.io_threads != 0) arguments.insert(arguments.end(), {"--io-threads", std::to_string(options.io_threads)});
  return arguments;
}

/// A run's secret for this process and its workers, by HAWSER_SECRET_FILE. It is gone with its owner.
class BenchSecret {
 public:
  BenchSecret()
      : file_(std::filesystem::temp_directory_path() / ("hawser_bench_" + std::to_string(getpid()) + ".key")) {
    if (const auto made = create_secret(file_); !made) throw std::runtime_error(made.error().sentence);
    ::setenv("HAWSER_SECRET_FILE", file_.c_str(), 1);
  }
  BenchSecret(const BenchSecret&) = delete;
  BenchSecret& operator=(const BenchSecret&) = delete;
  ~BenchSecret() {
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);
  }

 private:
  std::string file_;
};

/// What the workers of one group say about one size in one round, put together.
class Gathering {
 public:
  explicit Gathering(std::uint32_t world) : world_(world) {}

  /// The measurement, when the last worker has told its part.
  std::optional<Measurement> add(const std::string& line) {
    std::istringstream words(line);
    std::string kind, verdict;
    std::uint64_t round = 0;
    Measurement part;
    words >> kind >> round >> part.bytes >> part.ms >> part.cpu_s >> part.peak_bytes >> part.plan >>
        part.ops >> verdict;
    if (!words || kind != "case") return std::nullopt;
    Whole& whole = open_[{round, part.bytes}];
    part.world = world_;
    part.right = verdict == "right";
    for (std::string thread; words >> thread;) {
      const std::size_t name_ends = thread.rfind('=');
      if (name_ends != std::string::npos)
        part.thread_cpu_s[thread.substr(0, name_ends)] = std::strtod(thread.c_str() + name_ends + 1, nullptr) / 1e9;
    }
    whole.measurement.merge(part);
    if (++whole.parts < world_) return std::nullopt;
    Measurement done = std::move(whole.measurement);
    open_.erase({round, part.bytes});
    return done;
  }

 private:
  struct Whole {
    Measurement measurement;
    std::uint32_t parts = 0;
  };
  std::uint32_t world_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Whole> open_;
};

bool measure_world(const AllReduceOptions& options, std::uint32_t world, Figures& figures) {
  auto master = Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 300});
  auto serving = master ? master->start() : Result<void>(master.error());
  if (!serving) {
    std::fprintf(stderr, "hawser bench: no master: %s\n", serving.error().sentence.c_str());
    return false;
  }
  WorkerGroup workers(world, worker_arguments(options, master->address(), world));
  Gathering gathering(world);
  while (const auto line = workers.next_line()) {
    const auto measurement = gathering.add(*line);
    if (!measurement) continue;
    figures.add(*measurement);
    if (options.lines) print_line(options.label, *measurement);
  }
  return workers.wait_for_end();
}

}  // namespace

int run_all_reduce_bench(const AllReduceOptions& options) try {
  std::optional<BenchSecret> secret;
  if (options.tls_same_host || options.attest) secret.emplace();
  Figures figures;
  bool well = true;
  if (!options.lines) print_heading(options);
  for (const std::uint32_t world : options.worlds) {
    well = measure_world(options, world, figures) && well;
    if (!options.lines) print_table(figures, world, options.per_thread);
  }
  well = well && figures.all_right();
  if (!figures.all_right()) std::fprintf(stderr, "hawser bench: WRONG RESULTS\n");
  if (!options.json.empty() && !write_json(figures, options)) {
    std::fprintf(stderr, "hawser bench: can't write %s\n", options.json.c_str());
    well = false;
  }
  return well ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "hawser bench: %s\n", error.what());
  return 1;
}

}  // namespace hawser::bench
