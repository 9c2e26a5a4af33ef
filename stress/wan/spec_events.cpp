#include "wan/spec_events.hpp"

#include <algorithm>
#include <cmath>

namespace hawser::wan {
namespace {

constexpr NumberRange kRateRangeMbit{0.001, 100'000};
constexpr NumberRange kTimeRangeS{0, 1e6};

void add_hosts(const TomlTable& table, const toml::node& node, const Spec& spec,
               std::vector<HostIndex>& hosts) {
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& one : *list) {
      if (one.is_array()) table.fail_at(one, "a list of hosts has no lists in it");
      add_hosts(table, one, spec, hosts);
    }
    return;
  }
  if (node.is_integer()) {
    const std::int64_t number = *node.value<std::int64_t>();
    if (number < 0 || number >= spec.host_count())
      table.fail_at(node, "names host " + std::to_string(number) + ", but hosts are 0 to " +
                              std::to_string(spec.host_count() - 1));
    hosts.push_back(static_cast<HostIndex>(number));
    return;
  }
  const auto group = node.is_string() ? node.value<std::string>() : std::nullopt;
  if (!group) table.fail_at(node, "hosts are named by number, group, or \"*\"");
  const std::size_t before = hosts.size();
  for (HostIndex i = 0; i < spec.host_count(); ++i)
    if (*group == "*" || spec.hosts[i].group == *group) hosts.push_back(i);
  if (hosts.size() == before) table.fail_at(node, "no host has the group " + *group);
}

std::vector<HostIndex> hosts_of(const TomlTable& table, const toml::node& node, const Spec& spec) {
  std::vector<HostIndex> hosts;
  add_hosts(table, node, spec, hosts);
  std::ranges::sort(hosts);
  hosts.erase(std::ranges::unique(hosts).begin(), hosts.end());
  return hosts;
}

PathChange read_path_change(TomlTable& table, const Spec& spec) {
  PathChange change;
  const bool one_way = table.flag("one_way").value_or(false);
  for (const HostIndex a : read_hosts_of(table, "from", spec))
    for (const HostIndex b : read_hosts_of(table, "to", spec)) {
      if (a == b) continue;
      change.pairs.emplace_back(a, b);
      if (!one_way) change.pairs.emplace_back(b, a);
    }
  if (const auto ms = table.number("delay_ms", kDelayRangeMs)) change.delay = duration_of(*ms);
  if (const auto ms = table.number("jitter_ms", kDelayRangeMs)) change.jitter = duration_of(*ms);
  change.loss = table.number("loss", kLossRange);
  change.bits_per_s = read_rate(table, "rate_mbit");
  change.outage = table.flag("outage");
  if (const auto bytes = table.number("passes_bytes", kPassesRangeBytes))
    change.passes_bytes = static_cast<std::uint32_t>(*bytes);
  if (change.bits_per_s)
    for (const auto& [from, to] : change.pairs)
      if (spec.path(from, to).bits_per_s == 0)
        table.fail("changes the rate of a path that has none: give it a rate_mbit in [[paths]]");
  return change;
}

Partition read_partition(const TomlTable& table, const toml::node& node, const Spec& spec) {
  Partition partition{.part_of_host = std::vector<std::optional<std::uint32_t>>(spec.host_count())};
  const toml::array* parts = node.as_array();
  if (parts == nullptr) table.fail_at(node, "partition is a list of parts, as [\"west\", [4, 5]]");
  std::uint32_t number = 0;
  for (const toml::node& part : *parts) {
    for (const HostIndex host : hosts_of(table, part, spec)) {
      if (partition.part_of_host[host])
        table.fail_at(part, "host " + std::to_string(host) + " stands in two parts");
      partition.part_of_host[host] = number;
    }
    ++number;
  }
  return partition;
}

}  // namespace

Duration duration_of(double ms) { return Duration(std::llround(ms * 1e3)); }

std::optional<std::uint64_t> read_rate(TomlTable& table, std::string_view key) {
  const auto mbit = table.number(key, kRateRangeMbit);
  if (!mbit) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(*mbit * 1e6));
}

std::vector<HostIndex> read_hosts_of(TomlTable& table, std::string_view key, const Spec& spec) {
  const toml::node* node = table.node(key);
  if (node == nullptr) table.fail(std::string(key) + " is needed");
  return hosts_of(table, *node, spec);
}

std::uint32_t find_cable(const TomlTable& table, const Spec& spec, const std::string& name) {
  const auto found = std::ranges::find(spec.cables, name, &CableSpec::name);
  if (found == spec.cables.end()) table.fail("there is no cable with the name " + name);
  return static_cast<std::uint32_t>(found - spec.cables.begin());
}

Event read_event(TomlTable& table, const Spec& spec) {
  Event event;
  const auto at_s = table.number("at_s", kTimeRangeS);
  if (!at_s) table.fail("at_s is needed");
  event.at = duration_of(*at_s * 1e3);
  if (table.node("host") != nullptr) {
    HostChange change{.hosts = read_hosts_of(table, "host", spec)};
    change.up_bits_per_s = read_rate(table, "up_mbit");
    change.down_bits_per_s = read_rate(table, "down_mbit");
    change.outage = table.flag("outage");
    event.change = std::move(change);
  } else if (table.node("from") != nullptr) {
    event.change = read_path_change(table, spec);
  } else if (const auto cable = table.text("cable")) {
    CableChange change{.cable = find_cable(table, spec, *cable)};
    change.bits_per_s = read_rate(table, "rate_mbit");
    change.outage = table.flag("outage");
    event.change = change;
  } else if (const toml::node* parts = table.node("partition")) {
    event.change = read_partition(table, *parts, spec);
  } else if (table.flag("heal").value_or(false)) {
    event.change = Heal{};
  } else {
    table.fail("says nothing to do: host, from and to, cable, partition, or heal = true");
  }
  return event;
}

}  // namespace hawser::wan
