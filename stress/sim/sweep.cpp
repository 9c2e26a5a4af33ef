#include "sim/sweep.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <thread>
#include <vector>

namespace hawser::sim {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char line[256];
  std::snprintf(line, sizeof line, pattern, values...);
  return line;
}

class Sweep {
 public:
  explicit Sweep(const SweepOptions& options) : options_(options), next_(options.first) {}

  SweepResult run() {
    std::vector<std::thread> workers;
    for (unsigned job = 1; job < options_.jobs; ++job) workers.emplace_back([this] { work(); });
    work();
    for (std::thread& worker : workers) worker.join();
    result_.wall_seconds = seconds_since(start_);
    result_.cpu_seconds = static_cast<double>(std::clock() - cpu_start_) / CLOCKS_PER_SEC;
    return result_;
  }

 private:
  void work() {
    for (;;) {
      if (stop_ || (options_.time && Clock::now() - start_ >= *options_.time)) return;
      const std::uint64_t seed = next_++;
      if (options_.last != 0 && seed > options_.last) return;
      take(seed, simulate({.seed = seed,
                           .peers = options_.peers,
                           .steps = options_.steps,
                           .modes = options_.modes,
                           .on_trace = {}}));
    }
  }

  void take(std::uint64_t seed, const SimulationResult& one) {
    const std::lock_guard lock(mutex_);
    ++result_.seeds;
    result_.events += one.events;
    result_.commits += one.commits;
    result_.virtual_seconds += static_cast<double>(one.virtual_time.count()) / 1e6;
    add(result_.coverage, one.coverage);
    if (one.violation) {
      ++result_.violations;
      result_.first_violation = std::min(seed, result_.first_violation.value_or(seed));
      if (options_.say)
        options_.say("VIOLATION with seed " + std::to_string(seed) + ", event " + std::to_string(one.events) +
                     ": " + *one.violation +
                     "\n  replay: " + replay_command(options_.program, seed, options_.peers, options_.steps));
      if (result_.violations >= options_.violations_max) stop_ = true;
    }
    const double wall = seconds_since(start_);
    if (!options_.say || wall < next_progress_) return;
    next_progress_ = wall + 10;
    options_.say(
        format("%8.0f s  %llu seeds (%.0f/s), %.1f M events (%.2f M/s), %llu commits, %llu violations", wall,
               static_cast<unsigned long long>(result_.seeds), static_cast<double>(result_.seeds) / wall,
               static_cast<double>(result_.events) / 1e6, static_cast<double>(result_.events) / 1e6 / wall,
               static_cast<unsigned long long>(result_.commits),
               static_cast<unsigned long long>(result_.violations)));
  }

  const SweepOptions& options_;
  const Clock::time_point start_ = Clock::now();
  const std::clock_t cpu_start_ = std::clock();
  std::atomic<std::uint64_t> next_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  SweepResult result_;
  double next_progress_ = 10;
};

}  // namespace

SweepResult sweep(const SweepOptions& options) { return Sweep(options).run(); }

std::string replay_command(const std::string& program, std::uint64_t seed, std::uint32_t peers,
                           std::uint64_t steps) {
  return program + " --seed " + std::to_string(seed) + (peers ? " --peers " + std::to_string(peers) : "") +
         (steps ? " --steps " + std::to_string(steps) : "") + " --verbose";
}

std::string report(const SweepResult& result) {
  std::string text = "coverage of rare branches, faults and outcomes:\n" + table(result.coverage);
  for (const auto name : never_seen(result.coverage))
    text += "warning: never seen in this sweep: " + std::string(name) + "\n";
  text +=
      format("%llu seeds, %.1f M events, %llu collectives committed, %.0f s of virtual time in %.1f s\n",
             static_cast<unsigned long long>(result.seeds), static_cast<double>(result.events) / 1e6,
             static_cast<unsigned long long>(result.commits), result.virtual_seconds, result.wall_seconds);
  text += format("%.1f seeds/s, %.2f M events/s, %.2f M for each second of CPU time, %llu violations\n",
                 static_cast<double>(result.seeds) / result.wall_seconds,
                 static_cast<double>(result.events) / 1e6 / result.wall_seconds,
                 static_cast<double>(result.events) / 1e6 / result.cpu_seconds,
                 static_cast<unsigned long long>(result.violations));
  return text;
}

}  // namespace hawser::sim
