#include "bench/prefetch_bench.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <hawser/hawser.hpp>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "bench/prefetch_figures.hpp"
#include "bench/worker_group.hpp"

namespace hawser::bench {
namespace {

std::vector<std::string> worker_arguments(const char* role, const PrefetchGroup& group,
                                          const std::string& master) {
  const std::initializer_list<std::pair<const char*, std::string>> values{
      {"--master", master},
      {"--world", std::to_string(group.members)},
      {"--parent", std::to_string(getpid())},
      {"--prefetch-members", std::to_string(group.members)},
      {"--prefetch-bytes", std::to_string(group.bytes)},
      {"--prefetch-reduce-bytes", std::to_string(group.reduce_bytes)},
      {"--prefetch-share", std::to_string(group.share_percent)},
      {"--prefetch-pause-ms", std::to_string(group.pause_ms)},
      {"--prefetch-steps", std::to_string(group.steps)},
      {"--prefetch-newcomers", std::to_string(group.newcomers)},
  };
  std::vector<std::string> arguments{"bench", "worker", role};
  for (const auto& [name, value] : values) arguments.insert(arguments.end(), {name, value});
  return arguments;
}

/// Puts what was told to where it belongs.
class Telling {
 public:
  explicit Telling(const PrefetchGroup& group) : case_{.group = group, .newcomers = {}, .quiet_after = {}} {
    case_.newcomers.resize(group.newcomers);
  }

  void add(const std::string& line) {
    auto& newcomers = case_.newcomers;
    if (const auto step = ToldStep::parse(line); step && step->newcomer <= newcomers.size()) {
      const bool after = step->newcomer == newcomers.size();
      auto& steps = after         ? case_.quiet_after
                    : step->quiet ? newcomers[step->newcomer].quiet_before
                                  : newcomers[step->newcomer].while_waiting;
      steps.push_back(*step);
    }
    if (auto join = ToldJoin::parse(line); join && join->newcomer < newcomers.size())
      newcomers[join->newcomer].joins.push_back(std::move(*join));
    if (auto prefetch = ToldPrefetch::parse(line); prefetch && prefetches_ < newcomers.size())
      newcomers[prefetches_++].prefetch = std::move(*prefetch);
  }
  /// None if something is missing.
  std::optional<PrefetchCase> whole() {
    if (prefetches_ != case_.newcomers.size()) return std::nullopt;
    for (const Newcomer& newcomer : case_.newcomers)
      if (newcomer.joins.size() != case_.group.members) return std::nullopt;
    return std::move(case_);
  }

 private:
  PrefetchCase case_;
  std::size_t prefetches_ = 0;  ///< One newcomer comes after the other.
};

std::optional<PrefetchCase> measure(const PrefetchGroup& group) {
  auto master = Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 300});
  auto serving = master ? master->start() : Result<void>(master.error());
  if (!serving) {
    std::fprintf(stderr, "hawser bench: no master: %s\n", serving.error().sentence.c_str());
    return std::nullopt;
  }
  WorkerGroup workers(group.members, worker_arguments("prefetch-member", group, master->address()));
  Telling telling(group);
  while (const auto line = workers.next_line()) {
    if (ToldWaiting::parse(*line))
      workers.add(1, worker_arguments("prefetch-newcomer", group, master->address()));
    telling.add(*line);
  }
  if (!workers.wait_for_end()) return std::nullopt;
  return telling.whole();
}

}  // namespace

int run_prefetch_bench(const SharedStateOptions& options) try {
  PrefetchOptions prefetch = options.prefetch;
  prefetch.group.newcomers = options.rounds;
  std::vector<PrefetchCase> cases;
  bool well = true;
  print_prefetch_heading(prefetch);
  for (const std::uint32_t share : prefetch.shares_percent) {
    prefetch.group.share_percent = share;
    auto of = measure(prefetch.group);
    if (!of) {
      std::fprintf(stderr, "hawser bench: prefetching with a share of %u%% failed\n", share);
      well = false;
      continue;
    }
    print_prefetch_row(*of);
    if (!of->right()) std::fprintf(stderr, "hawser bench: WRONG CONTENT OR INCOMPLETE\n");
    well = well && of->right();
    cases.push_back(std::move(*of));
  }
  if (!options.json.empty() && !write_prefetch_json(cases, options.json)) {
    std::fprintf(stderr, "hawser bench: can't write %s\n", options.json.c_str());
    well = false;
  }
  return well ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "hawser bench: %s\n", error.what());
  return 1;
}

}  // namespace hawser::bench
