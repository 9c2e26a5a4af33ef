// What a spec says of NATs.
#include "wan/spec_nats.hpp"

#include <algorithm>
#include <string>

#include "wan/spec_events.hpp"

namespace hawser::wan {
namespace {

constexpr NumberRange kIdleRangeS{1, 1e6};
constexpr NumberRange kPortRange{1, 65535};

NatScope read_scope(TomlTable& table, const char* key, NatScope otherwise) {
  const auto text = table.text(key);
  if (!text) return otherwise;
  if (*text == "endpoint-independent") return NatScope::endpoint_independent;
  if (*text == "address-dependent") return NatScope::address;
  if (*text == "address-and-port-dependent") return NatScope::address_and_port;
  table.fail_at(*table.node(key), std::string(key) + " is \"" + *text +
                                      "\", but must be \"endpoint-independent\", \"address-dependent\" or "
                                      "\"address-and-port-dependent\"");
}

std::optional<std::uint16_t> read_port(TomlTable& table, const char* key) {
  const auto port = table.whole(key, kPortRange);
  return port ? std::optional(static_cast<std::uint16_t>(*port)) : std::nullopt;
}

std::optional<Duration> read_idle(TomlTable& table, const char* key) {
  const auto idle_s = table.number(key, kIdleRangeS);
  return idle_s ? std::optional(duration_of(*idle_s * 1e3)) : std::nullopt;
}

std::uint32_t find_nat(TomlTable& table, const char* key, const Spec& spec, const std::string& name) {
  const auto found = std::ranges::find(spec.nats, name, &NatSpec::name);
  if (found == spec.nats.end() || name.empty())
    table.fail_at(*table.node(key), "there is no [[nats]] with the name \"" + name + "\"");
  return static_cast<std::uint32_t>(found - spec.nats.begin());
}

}  // namespace

NatSpec read_nat(TomlTable& table, const Spec& spec) {
  const NatKind usual;
  NatSpec nat;
  nat.name = table.text("name").value_or("");
  if (nat.name.empty()) table.fail("a name is needed");
  if (std::ranges::find(spec.nats, nat.name, &NatSpec::name) != spec.nats.end())
    table.fail_at(*table.node("name"), "two [[nats]] have the name \"" + nat.name + "\"");
  nat.kind = {.mapping = read_scope(table, "mapping", usual.mapping),
              .filtering = read_scope(table, "filtering", usual.filtering),
              .keeps_ports = table.flag("keeps_ports").value_or(usual.keeps_ports),
              .hairpin = table.flag("hairpin").value_or(usual.hairpin),
              .outgoing_only = table.flag("outgoing_only").value_or(usual.outgoing_only),
              .out_port = read_port(table, "out_port"),
              .forward_port = read_port(table, "forward_port"),
              .idle = read_idle(table, "idle_s").value_or(usual.idle)};
  nat.is_lan = table.flag("lan").value_or(false);
  if (nat.is_lan && nat.kind.forward_port)
    table.fail_at(*table.node("forward_port"), "a port is forwarded to one host, and several may be behind a lan");
  return nat;
}

std::optional<std::uint32_t> read_nat_use(TomlTable& table, Spec& spec) {
  const auto idle = read_idle(table, "nat_idle_s");
  const toml::node* const node = table.node("nat");
  if (node != nullptr && node->is_string()) {
    if (idle) table.fail_at(*table.node("nat_idle_s"), "a NAT with a name has its idle_s in [[nats]]");
    return find_nat(table, "nat", spec, *table.text("nat"));
  }
  if (node != nullptr && !node->is_boolean())
    table.fail_at(*node, "nat must be true, false, or the name of a [[nats]] in quotes");
  if (!table.flag("nat").value_or(false)) return std::nullopt;
  NatSpec own;
  own.kind.idle = idle.value_or(own.kind.idle);
  const auto known = std::ranges::find(spec.nats, own);
  if (known != spec.nats.end()) return static_cast<std::uint32_t>(known - spec.nats.begin());
  spec.nats.push_back(own);
  return static_cast<std::uint32_t>(spec.nats.size() - 1);
}

std::optional<std::uint32_t> read_carrier_use(TomlTable& table, const Spec& spec) {
  const auto name = table.text("carrier");
  if (!name) return std::nullopt;
  const std::uint32_t nat = find_nat(table, "carrier", spec, *name);
  if (spec.nats[nat].is_lan || spec.nats[nat].kind.forward_port)
    table.fail_at(*table.node("carrier"), "a carrier has no lan and forwards no port");
  return nat;
}

}  // namespace hawser::wan
