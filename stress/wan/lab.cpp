#include "wan/lab.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "wan/host_list.hpp"

namespace hawser::wan {
namespace {

/// More than this late, a frame's delay is not the spec's any more.
constexpr double kLateMsMax = 5;

Result<void> check_congestion_control(const std::string& name) {
  if (name.empty()) return {};
  const std::vector<std::string> available = available_congestion_controls();
  if (std::ranges::find(available, name) != available.end()) return {};
  std::string known;
  for (const std::string& one : available) known += ' ' + one;
  return Error{.status = Status::invalid_argument,
               .sentence = "this kernel has no congestion control " + name + "; it has:" + known +
                           " (others may be modules: modprobe tcp_" + name + ")"};
}

void print_report(const RouterReport& report, std::uint64_t device_drops) {
  const Tally& tally = report.tally;
  const auto count = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::fprintf(stderr,
               "router: %llu segments delivered of %llu; lost by chance %llu, queues full %llu, outages "
               "%llu, NAT %llu, addresses of nobody %llu\n",
               count(tally.delivered), count(tally.entered), count(tally.lost), count(tally.dropped_queue),
               count(tally.dropped_outage), count(tally.dropped_nat),
               count(tally.dropped_nowhere));
  for (const auto& [link, segments] : report.queue_drops)
    std::fprintf(stderr, "router: the queue of %s dropped %llu segments\n", link.c_str(), count(segments));
  std::fprintf(
      stderr,
      "router: %.1f s, CPU %.1f s (%.0f %% of a core), %llu frames, late by %.2f ms (p99), %.2f ms (max); "
      "longest turn %.2f ms, overslept by at most %.2f ms\n",
      report.wall_s, report.cpu_s, report.wall_s > 0 ? 100 * report.cpu_s / report.wall_s : 0.0,
      count(report.frames), report.late_ms_p99, report.late_ms_max, report.turn_ms_max,
      report.overslept_ms_max);
  if (report.capture_failed) std::fprintf(stderr, "router: WARNING: the capture could not be written whole\n");
  if (!report.priority.empty())
    std::fprintf(stderr, "router: WARNING: no real-time priority: %s\n", report.priority.c_str());
  if (report.late_ms_p99 > kLateMsMax)
    std::fprintf(stderr, "router: WARNING: too late; this machine is too busy for this spec\n");
  if (device_drops + report.refused > 0)
    std::fprintf(
        stderr,
        "router: WARNING: %llu frames dropped between hosts and router, which is no part of the spec\n",
        count(device_drops + report.refused));
}

}  // namespace

Result<std::unique_ptr<Lab>> Lab::make(const Spec& spec, const std::string& congestion_control,
                                       const Recordings& recordings) {
  if (auto known = check_congestion_control(congestion_control); !known) return known.error();
  if (auto allowed = check_permissions(); !allowed) return allowed.error();
  std::unique_ptr<Lab> lab(new Lab(spec));
  auto list = make_host_list(lab->addresses_);
  if (!list) return list.error();
  lab->host_list_ = std::move(*list);
  for (HostIndex host = 0; host < spec.host_count(); ++host) {
    auto network = make_host_network(spec, lab->addresses_.inside(host), congestion_control);
    if (!network) return network.error();
    lab->networks_.push_back(std::move(*network));
  }
  lab->router_ = std::make_unique<Router>(lab->spec_, lab->networks_, recordings);
  if (auto started = lab->router_->start(); !started) return started.error();
  return lab;
}

std::string Lab::name_space_path(HostIndex host) const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(networks_[host].name_space.number());
}

void Lab::stop_and_report() {
  router_->stop();
  std::uint64_t drops = 0;
  for (const HostNetwork& network : networks_) {
    const auto of_host = device_drops(network);
    if (of_host)
      drops += *of_host;
    else
      std::fprintf(stderr, "router: WARNING: %s\n", of_host.error().sentence.c_str());
  }
  print_report(router_->report(), drops);
}

}  // namespace hawser::wan
