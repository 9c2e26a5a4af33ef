// Peers that begin together on a long path: how soon all are in, and how soon a small all-reduce is done by all, in
// plain and under TLS in turn.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "churn/given_secret.hpp"
#include "churn/reporter.hpp"
#include "hostile/bench_lab.hpp"
#include "hostile/options.hpp"
#include "hostile/scratch_folder.hpp"
#include "hostile/stage.hpp"

namespace hawser::hostile {
namespace {

constexpr std::uint64_t kReadyMs = 30'000;
constexpr std::uint64_t kGivenUpMs = 60'000;
/// For its first second a master waits for members of an earlier one.
constexpr std::uint64_t kMasterSettledMs = 1200;

struct Times {
  std::vector<double> in_ms;       ///< From the start of all to the admission of the last one.
  std::vector<double> reduced_ms;  ///< To the result at the last one.
  std::vector<double> cpu_ms;      ///< Of master and peers together meanwhile.
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// The master has a host of its own, so that all are as far from it.
std::string spec_text(const FirstBenchOptions& options) {
  return "summary = \"peers that begin together\"\n[[hosts]]\ncount = " + std::to_string(options.peers + 1) +
         "\nup_mbit = 1000\ndown_mbit = 1000\n[[paths]]\nfrom = \"*\"\nto = \"*\"\ndelay_ms = " +
         std::to_string(options.round_trip_ms / 2) + "\n";
}

void run_once(const FirstBenchOptions& options, Times& times) {
  const BenchLab lab(spec_text(options));
  Stage stage(options.log);
  churn::ChildProcess* master_process = nullptr;
  const std::string master = stage.start_listening(
      "master",
      {"master", "--listen", lab.address(options.peers) + ":48500", "--network", lab.network(options.peers)},
      &master_process);
  std::uint32_t ready = 0;
  std::uint32_t done = 0;
  std::uint64_t in_ns = 0;
  std::uint64_t reduced_ns = 0;
  std::string problem;
  std::vector<churn::ChildProcess*> peers;
  for (std::uint32_t i = 0; i < options.peers; ++i) {
    const std::string name = "peer-" + std::to_string(i);
    peers.push_back(&stage.start(
        name,
        {"member", "--master", master, "--name", name, "--address", lab.address(i), "--elements", "1", "--first-of",
         std::to_string(options.peers), "--network", lab.network(i)},
        [&](const churn::ReportLine& line) {
          const std::uint64_t at = line.number("t").value_or(0);
          if (line.word() == "ready") ++ready;
          if (line.word() == "in") in_ns = std::max(in_ns, at);
          if (line.word() == "first") {
            reduced_ns = std::max(reduced_ns, at);
            ++done;
          }
          if (line.word() == "refused" || line.word() == "error" || line.word() == "lost") problem = line.whole();
        }));
  }
  if (!stage.wait([&] { return ready == options.peers; }, kReadyMs))
    throw std::runtime_error("the peers did not start");
  stage.rest(kMasterSettledMs);
  const auto cpu_s = [&] {
    double sum = cpu_seconds(master_process->pid());
    for (const churn::ChildProcess* const peer : peers) sum += cpu_seconds(peer->pid());
    return sum;
  };
  const double cpu_before_s = cpu_s();
  const std::uint64_t begin = churn::now_ns();
  for (churn::ChildProcess* const peer : peers) peer->tell("go");
  if (!stage.wait([&] { return done == options.peers; }, kGivenUpMs))
    throw std::runtime_error("the peers did not come up: " + problem);
  times.cpu_ms.push_back((cpu_s() - cpu_before_s) * 1e3);
  times.in_ms.push_back(static_cast<double>(in_ns - begin) / 1e6);
  times.reduced_ms.push_back(static_cast<double>(reduced_ns - begin) / 1e6);
  stage.end_all();
}

void print(const char* what, const FirstBenchOptions& options, const Times& times) {
  const auto round_trips = [&](const std::vector<double>& ms) { return median(ms) / options.round_trip_ms; };
  std::printf("%-6s %4zu %10.0f %8.2f %14.0f %8.2f %10.0f %8.0f %8.0f\n", what, times.reduced_ms.size(),
              median(times.in_ms), round_trips(times.in_ms), median(times.reduced_ms), round_trips(times.reduced_ms),
              *std::ranges::min_element(times.reduced_ms), *std::ranges::max_element(times.reduced_ms),
              median(times.cpu_ms));
}

}  // namespace

int run_first_bench(const FirstBenchOptions& options) {
  const ScratchFolder scratch;
  churn::give_secret(scratch.path / "run.secret");
  const std::string secret = scratch.path / "run.secret";
  Times plain, tls;
  for (std::uint32_t run = 0; run < options.runs; ++run) {
    ::unsetenv("HAWSER_SECRET_FILE");
    run_once(options, plain);
    ::setenv("HAWSER_SECRET_FILE", secret.c_str(), 1);
    run_once(options, tls);
  }
  std::printf(
      "%u peers connect at one moment and all-reduce 4 bytes; %.0f ms round trip between all, and to the master; plain "
      "and TLS in turn; medians, of the last peer\n\n",
      options.peers, options.round_trip_ms);
  std::printf("%-6s %4s %10s %8s %14s %8s %10s %8s %8s\n", "", "runs", "in, ms", "trips", "all-reduced, ms", "trips",
              "least, ms", "most, ms", "CPU, ms");
  print("plain", options, plain);
  print("TLS", options, tls);
  const auto more = [&](const std::vector<double>& with, const std::vector<double>& without) {
    return (median(with) - median(without)) / options.round_trip_ms;
  };
  std::printf("\nTLS takes %.2f round trips more until all are in, and %.2f until all have reduced\n",
              more(tls.in_ms, plain.in_ms), more(tls.reduced_ms, plain.reduced_ms));
  return 0;
}

}  // namespace hawser::hostile
