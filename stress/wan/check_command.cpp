#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "churn/report_line.hpp"
#include "wan/bounds.hpp"
#include "wan/command_group.hpp"
#include "wan/commands.hpp"

namespace hawser::wan {
namespace {

constexpr std::uint64_t kAnswerMs = 60'000;
constexpr std::uint64_t kExchangeMs = 600'000;
/// Until a flow's rate says something: slow start takes about so many round trips at the specs' windows.
constexpr double kWarmRoundTrips = 30;
constexpr std::uint64_t kWarmMsMin = 1000;

struct FlowRate {
  double mbit = 0;  ///< Payload.
  std::uint64_t resent = 0;
};

/// An agent in each host, and what they say.
class Agents {
 public:
  explicit Agents(Lab& lab) : lab_(lab), said_(lab.spec().hosts.size()), group_(lab) {}

  /// All functions throw std::runtime_error with what went wrong.
  void start();
  double round_trip_ms(HostIndex from, HostIndex to);
  /// Of a connection between hosts.
  std::string congestion_control();
  FlowRate flow(HostIndex from, HostIndex to, std::uint32_t connections, double seconds);
  /// Seconds until everybody has got everything.
  double exchange(std::uint64_t bytes_per_pair, std::uint32_t connections);

 private:
  void tell(HostIndex host, const std::string& line) { children_[host]->tell(line); }
  std::string expect(HostIndex host, const std::string& word, std::uint64_t limit_ms);
  std::string endpoint(HostIndex host) const {
    return address_text(lab_.addresses().inside(host)) + ":" + std::to_string(ports_[host]);
  }

  Lab& lab_;
  std::vector<std::deque<std::string>> said_;
  std::vector<std::uint64_t> ports_;
  CommandGroup group_;
  std::vector<churn::ChildProcess*> children_;
};

void Agents::start() {
  for (HostIndex host = 0; host < said_.size(); ++host) {
    churn::ChildProcess::Callbacks callbacks;
    callbacks.on_line = [this, host](std::string_view line) { said_[host].emplace_back(line); };
    callbacks.on_error_line = [host](std::string_view line) {
      std::fprintf(stderr, "[host-%u] %.*s\n", host, static_cast<int>(line.size()), line.data());
    };
    children_.push_back(&group_.start(
        {.host = host, .arguments = {"/proc/self/exe", "agent"}, .no_input = false}, callbacks));
  }
  for (HostIndex host = 0; host < said_.size(); ++host) {
    const std::string line = expect(host, "ready", kAnswerMs);
    ports_.push_back(churn::ReportLine(line).number("port").value_or(0));
  }
}

std::string Agents::expect(HostIndex host, const std::string& word, std::uint64_t limit_ms) {
  const std::string who = "host " + std::to_string(host);
  group_.wait([&] { return !said_[host].empty() || children_[host]->ended() || group_.interrupted(); },
              limit_ms);
  if (group_.interrupted()) throw std::runtime_error("interrupted");
  if (said_[host].empty())
    throw std::runtime_error(who + (children_[host]->ended() ? " ended" : " did not answer in time") +
                             " instead of saying \"" + word + "\"");
  std::string line = std::move(said_[host].front());
  said_[host].pop_front();
  if (churn::ReportLine(line).word() != word) throw std::runtime_error(who + ": " + line);
  return line;
}

double Agents::round_trip_ms(HostIndex from, HostIndex to) {
  tell(from, "ping count=9 to=" + endpoint(to));
  const std::string line = expect(from, "pinged", kAnswerMs);
  return churn::ReportLine(line).real("median_us").value_or(0) / 1e3;
}

std::string Agents::congestion_control() {
  tell(0, "ping count=1 to=" + endpoint(1));
  const std::string line = expect(0, "pinged", kAnswerMs);
  return std::string(churn::ReportLine(line).get("cc"));
}

FlowRate Agents::flow(HostIndex from, HostIndex to, std::uint32_t connections, double seconds) {
  const auto warm_ms = std::max(
      kWarmMsMin, static_cast<std::uint64_t>(kWarmRoundTrips * wan::round_trip_ms(lab_.spec(), from, to)));
  const auto window_ms = static_cast<std::uint64_t>(seconds * 1000);
  tell(from, "flow connections=" + std::to_string(connections) + " warm_ms=" + std::to_string(warm_ms) +
                 " window_ms=" + std::to_string(window_ms) + " to=" + endpoint(to));
  const std::string line = expect(from, "flowed", warm_ms + window_ms + kAnswerMs);
  const churn::ReportLine said(line);
  return {.mbit = 8e3 * said.real("bytes").value_or(0) / said.real("ns").value_or(1),
          .resent = said.number("resent").value_or(0)};
}

double Agents::exchange(std::uint64_t bytes_per_pair, std::uint32_t connections) {
  const auto hosts = static_cast<HostIndex>(said_.size());
  for (HostIndex from = 0; from < hosts; ++from) {
    std::string targets;
    // Everybody begins elsewhere, so that nobody is everybody's first.
    for (HostIndex i = 1; i < hosts; ++i) targets += (i > 1 ? "," : "") + endpoint((from + i) % hosts);
    tell(from, "give connections=" + std::to_string(connections) +
                   " bytes=" + std::to_string(bytes_per_pair) + " to=" + targets);
  }
  for (HostIndex host = 0; host < hosts; ++host) expect(host, "connected", kAnswerMs);
  for (HostIndex host = 0; host < hosts; ++host) tell(host, "go");
  double slowest_s = 0;
  for (HostIndex host = 0; host < hosts; ++host) {
    const std::string line = expect(host, "gave", kExchangeMs);
    slowest_s = std::max(slowest_s, churn::ReportLine(line).real("ns").value_or(0) / 1e9);
  }
  return slowest_s;
}

std::vector<PairKind> pairs_to_measure(const Spec& spec, bool all) {
  if (!all) return pair_kinds(spec);
  std::vector<PairKind> pairs;
  for (HostIndex from = 0; from < spec.host_count(); ++from)
    for (HostIndex to = 0; to < spec.host_count(); ++to)
      if (from != to) pairs.push_back({.from = from, .to = to, .pairs = 1});
  return pairs;
}

void measure_pairs(Agents& agents, const Spec& spec, const CheckOptions& options) {
  std::printf(
      "like pair   pairs   round trip ms (spec)   1 flow Mbit/s  resent   %u flows Mbit/s  resent   at "
      "most\n",
      options.connections);
  for (const PairKind& kind : pairs_to_measure(spec, options.all_pairs)) {
    const double round_trip = agents.round_trip_ms(kind.from, kind.to);
    const FlowRate one = agents.flow(kind.from, kind.to, 1, options.seconds);
    const FlowRate many = agents.flow(kind.from, kind.to, options.connections, options.seconds);
    std::printf("%3u -> %-3u %6u   %13.2f (%4.4g)   %13.1f %7llu   %14.1f %7llu   %7.1f\n", kind.from,
                kind.to, kind.pairs, round_trip, round_trip_ms(spec, kind.from, kind.to), one.mbit,
                static_cast<unsigned long long>(one.resent), many.mbit,
                static_cast<unsigned long long>(many.resent),
                pair_bound(spec, kind.from, kind.to).bits_per_s / 1e6);
    std::fflush(stdout);
  }
}

void measure_exchange(Agents& agents, Lab& lab, const CheckOptions& options) {
  const ExchangeBound bound = exchange_bound(lab.spec());
  constexpr std::uint64_t kMib = 1 << 20;
  const auto mib = static_cast<std::uint64_t>(std::ceil(options.seconds / bound.s_per_byte / kMib));
  for (const std::uint32_t connections : {1U, options.connections}) {
    const double cpu_before_s = lab.router().cpu_s();
    const double s = agents.exchange(mib * kMib, connections);
    const double at_least_s = bound.s_per_byte * static_cast<double>(mib * kMib);
    std::printf(
        "everybody to everybody, %llu MiB per pair, %u flows per pair: %.2f s; at least %.2f s (%s): %.0f %% "
        "of "
        "the bound; router: %.0f %% of a core\n",
        static_cast<unsigned long long>(mib), connections, s, at_least_s, bound.by.c_str(),
        100 * at_least_s / s, 100 * (lab.router().cpu_s() - cpu_before_s) / s);
    std::fflush(stdout);
    if (options.connections == 1) return;
  }
}

}  // namespace

int check_lab(const CheckOptions& options) {
  auto spec = spec_of(options.lab);
  if (!spec) return kExitUsage;
  // What moves or forbids would make other measurements of it.
  spec->events.clear();
  for (HostSpec& host : spec->hosts) {
    host.nat.reset();
    host.carrier.reset();
  }
  auto lab = Lab::make(*spec, options.lab.congestion_control);
  if (!lab) return exit_of(lab.error());
  int status = 0;
  try {
    Agents agents(**lab);
    agents.start();
    std::printf("%s: %s; %u hosts, %s, MTU %u; without NAT and script\n", spec->name.c_str(),
                spec->summary.c_str(), spec->host_count(), agents.congestion_control().c_str(), spec->mtu);
    measure_pairs(agents, *spec, options);
    measure_exchange(agents, **lab, options);
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "hawser-wan: the check ended early: %s\n", error.what());
    status = 1;
  }
  (*lab)->stop_and_report();
  return status;
}

}  // namespace hawser::wan
