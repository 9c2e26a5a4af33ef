// What a message of a stranger costs the master: time of its process, the kernel's share included.

#include <cstdio>
#include <string>
#include <vector>

#include "churn/reporter.hpp"
#include "hostile/flood_messages.hpp"
#include "hostile/loopback_run.hpp"
#include "hostile/options.hpp"

namespace hawser::hostile {
namespace {

struct CostCase {
  const char* name = "";
  FloodKind kind = FloodKind::opens;
  double opens_per_second = 0;
  std::uint32_t connections = 0;
  std::uint32_t sources = 1;
  bool keeps = false;
  double pings_per_second = 1;
  std::vector<std::string> answers;  ///< That the messages lead to, each to one; empty: count the connections.
};

/// At rates that no limit holds back, then at rates that most are refused.
std::vector<CostCase> cases() {
  const std::vector<std::string> to_hello{"welcomes", "refusals"};
  return {
      {.name = "connection without a word", .opens_per_second = 1000, .connections = 200, .sources = 64},
      {.name = "Ping", .kind = FloodKind::pings, .opens_per_second = 400, .connections = 200, .sources = 4, .keeps = true,
       .pings_per_second = 20, .answers = {"pongs"}},
      {.name = "Hello", .kind = FloodKind::hellos, .opens_per_second = 1000, .connections = 200, .sources = 64,
       .answers = to_hello},
      {.name = "Hello, as long as may be", .kind = FloodKind::long_hellos, .opens_per_second = 1000, .connections = 200,
       .sources = 64, .answers = to_hello},
      {.name = "Resume", .kind = FloodKind::resumes, .opens_per_second = 1000, .connections = 200, .sources = 64,
       .answers = {"expelled", "refusals"}},
      {.name = "StatusQuery", .kind = FloodKind::statuses, .opens_per_second = 50, .connections = 200, .sources = 64,
       .answers = {"statuses"}},
      {.name = "Ping, as many as are taken", .kind = FloodKind::pings, .opens_per_second = 400, .connections = 200,
       .sources = 4, .keeps = true, .pings_per_second = 0, .answers = {"pongs"}},
      {.name = "StatusQuery, most refused", .kind = FloodKind::statuses, .opens_per_second = 1000, .connections = 200,
       .sources = 64, .answers = {"statuses", "refusals"}},
      {.name = "Hello, most not opened", .kind = FloodKind::hellos, .opens_per_second = 5000, .connections = 200},
  };
}

bool measure(const CostCase& one, const CostBenchOptions& options) {
  LoopbackRun run(options.log, 2);
  run.stage().rest(1000);
  const double idle_before = cpu_seconds(run.master_pid());
  run.stage().rest(2000);
  const double idle_rate = (cpu_seconds(run.master_pid()) - idle_before) / 2;

  FloodLine flooded;
  const double before = cpu_seconds(run.master_pid());
  const std::uint64_t begin = churn::now_ns();
  churn::ChildProcess& flood =
      run.flood({.kind = one.kind,
                 .sources = loopback_sources(one.sources),
                 .opens_per_second = one.opens_per_second,
                 .connections = one.connections,
                 .pings_per_second = one.pings_per_second,
                 .seconds = options.seconds,
                 .keeps = one.keeps,
                 .counts = true},
                flooded);
  if (!run.stage().wait([&] { return flood.ended(); }, static_cast<std::uint64_t>(1000 * options.seconds) + 20'000)) return false;
  const double seconds = static_cast<double>(churn::now_ns() - begin) / 1e9;
  const double cpu = cpu_seconds(run.master_pid()) - before - idle_rate * seconds;
  std::uint64_t counted = 0;
  for (const std::string& answer : one.answers) counted += flooded[answer];
  if (one.answers.empty()) counted = flooded["connected"];
  std::printf("%-28s %9.0f %9.0f %9.0f %9.1f %9.1f   ", one.name, static_cast<double>(flooded["connected"]) / seconds,
              static_cast<double>(flooded["pings"]) / seconds, static_cast<double>(counted) / seconds, 100 * cpu / seconds,
              counted > 0 ? 1e6 * cpu / static_cast<double>(counted) : 0.0);
  for (const auto& [kind, count] : flooded)
    if (kind != "opened" && kind != "most_at_once" && kind != "open_now" && kind != "bytes_answered" && count > 0)
      std::printf(" %s %llu", kind.c_str(), static_cast<unsigned long long>(count));
  std::printf("\n");
  std::fflush(stdout);
  return run.stage().died() == 0;
}

}  // namespace

int run_cost_bench(const CostBenchOptions& options) {
  std::printf("a master on the loopback with two idle members; strangers for %.0f s each\n\n", options.seconds);
  std::printf("%-28s %9s %9s %9s %9s %9s\n", "", "opened/s", "pings/s", "answers/s", "CPU %", "us each");
  bool well = true;
  for (const CostCase& one : cases()) well = measure(one, options) && well;
  return well ? 0 : 1;
}

}  // namespace hawser::hostile
