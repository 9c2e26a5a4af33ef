// The spec's tables for people.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <variant>

#include "wan/bounds.hpp"

namespace hawser::wan {
namespace {

template <class... Values>
std::string line(const char* format, Values... values) {
  char text[512];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

double mbit(std::uint64_t bits_per_s) { return static_cast<double>(bits_per_s) / 1e6; }
double kib(std::uint64_t bytes) { return static_cast<double>(bytes) / 1024; }
double ms(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }

std::string nats_of(const Spec& spec, const HostSpec& host) {
  std::string text;
  if (host.nat) text += "  behind " + (spec.nats[*host.nat].name.empty() ? "a NAT" : spec.nats[*host.nat].name);
  if (host.carrier) text += (host.nat ? ", that behind " : "  behind ") + spec.nats[*host.carrier].name;
  return text;
}

const char* scope_text(NatScope scope) {
  switch (scope) {
    case NatScope::endpoint_independent: return "endpoint-independent";
    case NatScope::address: return "address-dependent";
    case NatScope::address_and_port: return "address-and-port-dependent";
  }
  return "";
}

std::string nat_lines(const Spec& spec) {
  std::string text;
  for (const NatSpec& nat : spec.nats) {
    const NatKind& kind = nat.kind;
    text += line("NAT %s: mapping %s, filtering %s, idle %g s", nat.name.empty() ? "of its own" : nat.name.c_str(),
                 scope_text(kind.mapping), scope_text(kind.filtering), ms(kind.idle) / 1e3);
    if (kind.keeps_ports) text += ", keeps ports";
    if (kind.hairpin) text += ", hairpin";
    if (nat.is_lan) text += ", one for all";
    if (kind.outgoing_only) text += ", outgoing only";
    if (kind.out_port) text += line(", out to port %u only", unsigned{*kind.out_port});
    if (kind.forward_port) text += line(", port %u forwarded", unsigned{*kind.forward_port});
    text += '\n';
  }
  return text;
}

std::string host_lines(const Spec& spec) {
  std::string text = "hosts      group         up Mbit/s  queue KiB   down Mbit/s  queue KiB\n";
  const auto same = [](const HostSpec& a, const HostSpec& b) {
    return a.group == b.group && a.up_bits_per_s == b.up_bits_per_s &&
           a.down_bits_per_s == b.down_bits_per_s && a.up_queue_bytes == b.up_queue_bytes &&
           a.down_queue_bytes == b.down_queue_bytes && a.nat == b.nat && a.carrier == b.carrier;
  };
  for (HostIndex begin = 0; begin < spec.host_count();) {
    const HostSpec& host = spec.hosts[begin];
    HostIndex end = begin + 1;
    while (end < spec.host_count() && same(host, spec.hosts[end])) ++end;
    const std::string numbers =
        end == begin + 1 ? std::to_string(begin) : std::to_string(begin) + " to " + std::to_string(end - 1);
    text += line("%-10s %-13s %9g  %9.0f   %11g  %9.0f%s\n", numbers.c_str(),
                 host.group.empty() ? "-" : host.group.c_str(), mbit(host.up_bits_per_s),
                 kib(host.up_queue_bytes), mbit(host.down_bits_per_s), kib(host.down_queue_bytes),
                 nats_of(spec, host).c_str());
    begin = end;
  }
  return text;
}

std::string pair_lines(const Spec& spec) {
  std::string text =
      "\nlike pair   pairs  delay ms  jitter ms      loss  round trip ms  payload Mbit/s at most, by what\n";
  for (const PairKind& kind : pair_kinds(spec)) {
    const PathSpec& path = spec.path(kind.from, kind.to);
    const PairBound bound = pair_bound(spec, kind.from, kind.to);
    const double lossy = cubic_loss_bound(spec, kind.from, kind.to);
    text += line("%3u -> %-3u %6u  %8g  %9g  %8g  %13g  %8.1f  %s", kind.from, kind.to, kind.pairs,
                 ms(path.delay), ms(path.jitter), path.loss, round_trip_ms(spec, kind.from, kind.to),
                 bound.bits_per_s / 1e6, bound.by.c_str());
    if (std::isfinite(lossy) && lossy < bound.bits_per_s)
      text += line(" (one CUBIC flow: %.1f, by loss)", lossy / 1e6);
    text += '\n';
  }
  return text;
}

struct EventText {
  std::string operator()(const HostChange& change) const {
    std::string text = "host";
    for (const HostIndex host : change.hosts) text += ' ' + std::to_string(host);
    if (change.up_bits_per_s) text += line(", up %g Mbit/s", mbit(*change.up_bits_per_s));
    if (change.down_bits_per_s) text += line(", down %g Mbit/s", mbit(*change.down_bits_per_s));
    return text + outage(change.outage);
  }
  std::string operator()(const PathChange& change) const {
    std::string text = line("%zu pairs", change.pairs.size());
    if (change.delay) text += line(", delay %g ms", ms(*change.delay));
    if (change.jitter) text += line(", jitter %g ms", ms(*change.jitter));
    if (change.loss) text += line(", loss %g", *change.loss);
    if (change.bits_per_s) text += line(", rate %g Mbit/s", mbit(*change.bits_per_s));
    if (change.passes_bytes)
      text += *change.passes_bytes == 0 ? std::string(", packets of all sizes pass")
                                        : line(", packets of up to %u bytes pass", *change.passes_bytes);
    return text + outage(change.outage);
  }
  std::string operator()(const CableChange& change) const {
    std::string text = "cable " + spec.cables[change.cable].name;
    if (change.bits_per_s) text += line(", rate %g Mbit/s", mbit(*change.bits_per_s));
    return text + outage(change.outage);
  }
  std::string operator()(const Partition& partition) const {
    std::string text = "partition:";
    for (const auto& part : partition.part_of_host) text += part ? ' ' + std::to_string(*part) : " -";
    return text;
  }
  std::string operator()(const Heal&) const { return "all is well"; }
  static std::string outage(std::optional<bool> outage) {
    return !outage ? "" : *outage ? ", outage" : ", works again";
  }
  const Spec& spec;
};

}  // namespace

std::string describe(const Spec& spec) {
  std::string text = spec.name + ": " + spec.summary + "\n";
  text += line("MTU %u, seed %llu; rates are of IP packets, of which %.1f %% is payload\n\n", spec.mtu,
               static_cast<unsigned long long>(spec.seed), 100 * payload_share(spec));
  text += host_lines(spec);
  text += nat_lines(spec);
  for (const CableSpec& cable : spec.cables)
    text += line("cable %s: %g Mbit/s and a queue of %.0f KiB each way\n", cable.name.c_str(),
                 mbit(cable.bits_per_s), kib(cable.queue_bytes));
  text += pair_lines(spec);
  const ExchangeBound exchange = exchange_bound(spec);
  constexpr double kExample = 64 << 20;
  text += line("\neverybody to everybody, 64 MiB per ordered pair: %.2f s at least (%s)\n",
               kExample * exchange.s_per_byte, exchange.by.c_str());
  for (const Event& event : spec.events)
    text += line("at %g s: %s\n", ms(event.at) / 1e3, std::visit(EventText{spec}, event.change).c_str());
  for (const auto& [name, value] : spec.sysctls) text += name + " = " + value + "\n";
  return text;
}

}  // namespace hawser::wan
