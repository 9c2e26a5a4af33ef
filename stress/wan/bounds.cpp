#include "wan/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

namespace hawser::wan {
namespace {

constexpr double kHeaderBytes = 52;

std::string host_link(const char* direction, HostIndex host) {
  return std::string(direction) + " of host " + std::to_string(host);
}

}  // namespace

double payload_share(const Spec& spec) { return (spec.mtu - kHeaderBytes) / spec.mtu; }

PairBound pair_bound(const Spec& spec, HostIndex from, HostIndex to) {
  const PathSpec& path = spec.path(from, to);
  PairBound bound{.bits_per_s = std::numeric_limits<double>::infinity()};
  const auto limit = [&](std::uint64_t bits_per_s, const std::string& by) {
    const double payload = static_cast<double>(bits_per_s) * payload_share(spec);
    if (payload < bound.bits_per_s) bound = {.bits_per_s = payload, .by = by};
  };
  limit(spec.hosts[from].up_bits_per_s, host_link("up", from));
  if (path.bits_per_s != 0) limit(path.bits_per_s, "the pair");
  if (path.cable)
    limit(spec.cables[path.cable->cable].bits_per_s, "cable " + spec.cables[path.cable->cable].name);
  limit(spec.hosts[to].down_bits_per_s, host_link("down", to));
  return bound;
}

double round_trip_ms(const Spec& spec, HostIndex from, HostIndex to) {
  return static_cast<double>((spec.path(from, to).delay + spec.path(to, from).delay).count()) / 1e3;
}

// W = (C (3 + b) / (4 (1 - b)))^(1/4) RTT^(3/4) / p^(3/4) segments with b = 0.7 and C = 0.4, and not less
// than what Reno has: sqrt(3/2 / p).
double cubic_loss_bound(const Spec& spec, HostIndex from, HostIndex to) {
  const double loss = spec.path(from, to).loss;
  const double round_trip_s = round_trip_ms(spec, from, to) / 1e3;
  if (loss <= 0 || round_trip_s <= 0) return std::numeric_limits<double>::infinity();
  const double cubic = std::pow(0.4 * 3.7 / 1.2, 0.25) * std::pow(round_trip_s / loss, 0.75);
  const double segments = std::max(cubic, std::sqrt(1.5 / loss));
  return segments * 8 * (spec.mtu - kHeaderBytes) / round_trip_s;
}

ExchangeBound exchange_bound(const Spec& spec) {
  const HostIndex hosts = spec.host_count();
  std::map<std::pair<std::uint32_t, Direction>, std::uint32_t> cable_pairs;
  ExchangeBound bound;
  const auto load = [&](std::uint32_t pairs, std::uint64_t bits_per_s, const std::string& by) {
    const double s = 8.0 * pairs / (static_cast<double>(bits_per_s) * payload_share(spec));
    if (s > bound.s_per_byte) bound = {.s_per_byte = s, .by = by};
  };
  for (HostIndex from = 0; from < hosts; ++from) {
    load(hosts - 1, spec.hosts[from].up_bits_per_s, host_link("up", from));
    load(hosts - 1, spec.hosts[from].down_bits_per_s, host_link("down", from));
    for (HostIndex to = 0; to < hosts; ++to) {
      if (from == to) continue;
      const PathSpec& path = spec.path(from, to);
      if (path.bits_per_s != 0)
        load(1, path.bits_per_s, "the pair " + std::to_string(from) + " -> " + std::to_string(to));
      if (path.cable) ++cable_pairs[{path.cable->cable, path.cable->direction}];
    }
  }
  for (const auto& [use, pairs] : cable_pairs)
    load(pairs, spec.cables[use.first].bits_per_s, "cable " + spec.cables[use.first].name);
  return bound;
}

std::vector<PairKind> pair_kinds(const Spec& spec) {
  const auto host_look = [&](HostIndex i) {
    const HostSpec& host = spec.hosts[i];
    return std::tuple(host.up_bits_per_s, host.down_bits_per_s, host.up_queue_bytes, host.down_queue_bytes,
                      host.nat, host.carrier);
  };
  const auto path_look = [&](HostIndex from, HostIndex to) {
    const PathSpec& path = spec.path(from, to);
    return std::tuple(
        path.delay, path.jitter, path.reorder, path.loss, path.bits_per_s, path.queue_bytes,
        path.cable ? 2 * path.cable->cable + static_cast<std::uint32_t>(path.cable->direction) + 1 : 0);
  };
  const auto look = [&](HostIndex from, HostIndex to) {
    return std::tuple(host_look(from), host_look(to), path_look(from, to), path_look(to, from));
  };
  std::map<decltype(look(0, 0)), std::size_t> known;
  std::vector<PairKind> kinds;
  for (HostIndex from = 0; from < spec.host_count(); ++from)
    for (HostIndex to = 0; to < spec.host_count(); ++to) {
      if (from == to) continue;
      const auto [place, fresh] = known.try_emplace(look(from, to), kinds.size());
      if (fresh) kinds.push_back({.from = from, .to = to});
      ++kinds[place->second].pairs;
    }
  return kinds;
}

}  // namespace hawser::wan
