// Three peers on awkward networks: how soon they are one group, run after run, each with a master and a network of its
// own.

#include <algorithm>
#include <array>
#include <cstdio>

#include "churn/reporter.hpp"
#include "hostile/bench_lab.hpp"
#include "hostile/options.hpp"
#include "hostile/stage.hpp"

namespace hawser::hostile {
namespace {

constexpr std::uint32_t kPeers = 3;
/// Whoever is not up by then does not come up.
constexpr std::uint64_t kGivenUpMs = 40'000;

struct SetupCase {
  const char* name = "";
  const char* what = "";
  const char* spec = "";
  bool first_dials_loopback = false;  ///< The one that is on the master's host.
};

constexpr SetupCase kCases[] = {
    {.name = "loopback",
     .what = "one peer dials the master on 127.0.0.1, two its real address",
     .spec = "summary = \"three hosts\"\n"
             "[[hosts]]\ncount = 3\nup_mbit = 300\ndown_mbit = 300\n"
             "[[paths]]\nfrom = \"*\"\nto = \"*\"\ndelay_ms = 2\n",
     .first_dials_loopback = true},
    {.name = "one-nat",
     .what = "nothing comes in at one of three but on flows that went out",
     .spec = "summary = \"three hosts, one of them behind a NAT\"\n"
             "[[hosts]]\ncount = 2\nup_mbit = 300\ndown_mbit = 300\n"
             "[[hosts]]\ncount = 1\nup_mbit = 100\ndown_mbit = 100\nnat = true\n"
             "[[paths]]\nfrom = \"*\"\nto = \"*\"\ndelay_ms = 10\n"},
};

struct SetupTally {
  std::vector<double> up_s;
  std::uint32_t never = 0;
  std::uint32_t refused = 0;
  std::string last_refusal;
};

/// From the start of the peers to the first step of each that all of them take.
void run_once(const SetupCase& one, const SetupBenchOptions& options, SetupTally& tally) {
  const BenchLab lab(one.spec);
  Stage stage(options.log);
  const std::string port = ":48500";
  const std::string listen = one.first_dials_loopback ? "0.0.0.0" : lab.address(0);
  (void)stage.start_listening("master", {"master", "--listen", listen + port, "--network", lab.network(0)});
  std::array<bool, kPeers> is_up{};
  const std::uint64_t begin = churn::now_ns();
  for (std::uint32_t i = 0; i < kPeers; ++i) {
    const bool over_loopback = one.first_dials_loopback && i == 0;
    stage.start("peer-" + std::to_string(i),
                {"member", "--master", (over_loopback ? "127.0.0.1" : lab.address(0)) + port, "--name",
                 "peer-" + std::to_string(i), "--elements", "1024", "--network", lab.network(i)},
                [&, i](const churn::ReportLine& line) {
                  if (line.word() == "step" && line.number("world") == kPeers) is_up[i] = true;
                  if (line.word() != "refused") return;
                  ++tally.refused;
                  tally.last_refusal = line.get("text");
                });
  }
  const bool up = stage.wait([&] { return std::ranges::all_of(is_up, [](bool each) { return each; }); }, kGivenUpMs);
  if (up)
    tally.up_s.push_back(static_cast<double>(churn::now_ns() - begin) / 1e9);
  else
    ++tally.never;
  stage.end_all();
}

bool measure(const SetupCase& one, const SetupBenchOptions& options) {
  SetupTally tally;
  for (std::uint32_t run = 0; run < options.runs; ++run) run_once(one, options, tally);
  std::ranges::sort(tally.up_s);
  const auto in_time = std::ranges::count_if(tally.up_s, [&](double up_s) { return up_s <= options.bound_s; });
  std::printf("%-10s %3u of %3u %10.2f %8.2f %8u %8u  %s\n", one.name, static_cast<unsigned>(in_time), options.runs,
              tally.up_s.empty() ? 0.0 : tally.up_s[tally.up_s.size() / 2],
              tally.up_s.empty() ? 0.0 : tally.up_s.back(), tally.never, tally.refused, one.what);
  if (!tally.last_refusal.empty()) std::printf("    %s\n", tally.last_refusal.c_str());
  std::fflush(stdout);
  return static_cast<std::uint32_t>(in_time) == options.runs;
}

}  // namespace

int run_setup_bench(const SetupBenchOptions& options) {
  std::printf("%u peers; from their start until each has taken a step with all of them; bound %.1f s\n\n", kPeers,
              options.bound_s);
  std::printf("%-10s %10s %10s %8s %8s %8s\n", "", "in time", "median, s", "max, s", "never", "refused");
  bool well = true;
  for (const SetupCase& one : kCases)
    if (options.only.empty() || std::ranges::find(options.only, one.name) != options.only.end())
      well = measure(one, options) && well;
  return well ? 0 : 1;
}

}  // namespace hawser::hostile
