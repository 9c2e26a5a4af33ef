#include "bench/idle_bench.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <hawser/hawser.hpp>
#include <sstream>

#include "bench/process_usage.hpp"
#include "bench/worker_group.hpp"

namespace hawser::bench {

int run_idle_bench(const IdleOptions& options) try {
  auto master = Master::create({.listen = "127.0.0.1:0"});
  auto serving = master ? master->start() : Result<void>(master.error());
  if (!serving) {
    std::fprintf(stderr, "hawser bench: no master: %s\n", serving.error().sentence.c_str());
    return 1;
  }
  const std::string peers = std::to_string(options.peers);
  WorkerGroup workers(options.peers,
                      {"bench", "worker", "idle", "--master", master->address(), "--world", peers, "--parent",
                       std::to_string(getpid()), "--idle-seconds", std::to_string(options.seconds)});
  std::printf("%u peers, connected, nothing to do for %.0f s\n\n", options.peers, options.seconds);
  std::printf("%-8s %10s %20s %22s\n", "peer", "CPU ms", "voluntary switches", "involuntary switches");
  std::uint32_t told = 0;
  while (const auto line = workers.next_line()) {
    std::istringstream words(*line);
    std::string kind;
    std::uint32_t rank = 0;
    ProcessUsage usage;
    if (!(words >> kind >> rank >> usage.cpu_s >> usage.voluntary_switches >> usage.involuntary_switches))
      continue;
    ++told;
    std::printf("%-8u %10.2f %20llu %22llu\n", rank, 1e3 * usage.cpu_s,
                static_cast<unsigned long long>(usage.voluntary_switches),
                static_cast<unsigned long long>(usage.involuntary_switches));
  }
  const ProcessUsage all = process_usage();
  std::printf("%-8s %10.2f %20llu %22llu   in all its life\n", "master", 1e3 * all.cpu_s,
              static_cast<unsigned long long>(all.voluntary_switches),
              static_cast<unsigned long long>(all.involuntary_switches));
  return workers.wait_for_end() && told == options.peers ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "hawser bench: %s\n", error.what());
  return 1;
}

}  // namespace hawser::bench
