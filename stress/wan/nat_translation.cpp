#include "wan/nat_translation.hpp"

#include <iterator>

namespace hawser::wan {
namespace {

constexpr std::uint16_t kPortMin = 1024;
constexpr std::uint32_t kPorts = 65536 - kPortMin;
/// Before a free one is looked for in order.
constexpr int kPortDraws = 64;
constexpr std::uint8_t kTcp = 6, kUdp = 17;

}  // namespace

NatTranslation::NatTranslation(const Config& config) : config_(config), random_(config.seed) {}

NatTranslation::Scope NatTranslation::scope_of(const Endpoint& remote) const {
  switch (config_.kind.mapping) {
    case NatScope::endpoint_independent: return {};
    case NatScope::address: return {.address = remote.address};
    case NatScope::address_and_port: return remote;
  }
  return {};
}

bool NatTranslation::is_forwarded(std::uint8_t protocol, std::uint16_t port) const {
  return (protocol == kTcp || protocol == kUdp) && config_.kind.forward_port == port;
}

bool NatTranslation::goes_out(Instant now, Packet& packet) {
  forget_idle(now);
  if (packet.kind == PacketKind::fragment) return false;
  Flow& flow = packet.flow;
  const auto known = by_inside_.find({flow.protocol, flow.from, scope_of(flow.to)});
  std::optional<MappingId> mapping;
  if (known != by_inside_.end()) mapping = known->second;
  if (packet.kind == PacketKind::error) {
    if (!mapping) return false;
  } else {
    const bool goes_on = mapping && by_key_.contains({*mapping, flow.to});
    if (!goes_on && config_.kind.out_port && *config_.kind.out_port != flow.to.port) return false;
    if (!mapping) mapping = map(flow.protocol, flow.from, flow.to);
    if (!mapping) return false;
    use(now, *mapping, flow.to);
  }
  flow.from = {.address = config_.outer_address, .port = mappings_.at(*mapping).outer.port};
  return true;
}

bool NatTranslation::comes_in(Instant now, Packet& packet) {
  forget_idle(now);
  if (packet.kind == PacketKind::fragment) return false;
  Flow& flow = packet.flow;
  const bool forwarded = is_forwarded(flow.protocol, flow.to.port);
  if (packet.kind == PacketKind::opening && config_.kind.outgoing_only && !forwarded) return false;
  std::optional<MappingId> mapping = from_outside(flow);
  const bool is_error = packet.kind == PacketKind::error;
  if (!mapping && forwarded && !is_error)
    mapping = map(flow.protocol, {.address = config_.forward_to, .port = flow.to.port}, flow.from);
  if (!mapping || (!forwarded && !lets_in(*mapping, flow.from))) return false;
  Mapping& found = mappings_.at(*mapping);
  if (!is_error) {
    use(now, *mapping, flow.from);
    // What answers goes out over the same mapping.
    const InsideKey back{flow.protocol, found.inside, scope_of(flow.from)};
    if (by_inside_.emplace(back, *mapping).second) found.keys.push_back(back);
  }
  flow.to = found.inside;
  return true;
}

std::optional<std::uint32_t> NatTranslation::is_for(const Flow& flow) const {
  if (const auto mapping = from_outside(flow)) return mappings_.at(*mapping).inside.address;
  if (is_forwarded(flow.protocol, flow.to.port)) return config_.forward_to;
  return std::nullopt;
}

bool NatTranslation::lets_in(MappingId mapping, const Endpoint& remote) const {
  switch (config_.kind.filtering) {
    case NatScope::endpoint_independent: return true;
    case NatScope::address: {
      const auto first = by_key_.lower_bound({mapping, {.address = remote.address}});
      return first != by_key_.end() && first->first.first == mapping &&
             first->first.second.address == remote.address;
    }
    case NatScope::address_and_port: return by_key_.contains({mapping, remote});
  }
  return false;
}

/// The mapping for this very end; else one of the same port that lets it in.
std::optional<NatTranslation::MappingId> NatTranslation::from_outside(const Flow& flow) const {
  const auto exact = by_outer_.find({flow.protocol, flow.to.port, scope_of(flow.from)});
  if (exact != by_outer_.end()) return exact->second;
  for (auto at = by_outer_.lower_bound({flow.protocol, flow.to.port, {}});
       at != by_outer_.end() && at->first.protocol == flow.protocol && at->first.port == flow.to.port; ++at)
    if (lets_in(at->second, flow.from)) return at->second;
  return std::nullopt;
}

std::optional<NatTranslation::MappingId> NatTranslation::map(std::uint8_t protocol, const Endpoint& inside,
                                                             const Endpoint& remote) {
  const Scope scope = scope_of(remote);
  const auto port = free_port(protocol, inside, scope);
  if (!port) return std::nullopt;
  const MappingId id = ++made_;
  const InsideKey key{protocol, inside, scope};
  const OuterKey outer{protocol, *port, scope};
  by_inside_[key] = id;
  by_outer_[outer] = id;
  mappings_[id] = {.inside = inside, .outer = outer, .keys = {key}};
  return id;
}

std::optional<std::uint16_t> NatTranslation::free_port(std::uint8_t protocol, const Endpoint& inside,
                                                       const Scope& scope) {
  if (is_forwarded(protocol, inside.port) && inside.address == config_.forward_to) return inside.port;
  const auto is_free = [&](std::uint16_t port) {
    return !is_forwarded(protocol, port) && !by_outer_.contains({protocol, port, scope});
  };
  if (config_.kind.keeps_ports && is_free(inside.port)) return inside.port;
  const auto begin = static_cast<std::uint32_t>(random_.below(kPorts));
  for (int draw = 0; draw < kPortDraws; ++draw) {
    const auto port = static_cast<std::uint16_t>(kPortMin + random_.below(kPorts));
    if (is_free(port)) return port;
  }
  for (std::uint32_t i = 0; i < kPorts; ++i) {
    const auto port = static_cast<std::uint16_t>(kPortMin + (begin + i) % kPorts);
    if (is_free(port)) return port;
  }
  return std::nullopt;
}

void NatTranslation::use(Instant now, MappingId mapping, const Endpoint& remote) {
  const SessionKey key{mapping, remote};
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    known->second->last_use = now;
    by_use_.splice(by_use_.end(), by_use_, known->second);
    return;
  }
  by_use_.push_back({.key = key, .last_use = now});
  by_key_.emplace(key, std::prev(by_use_.end()));
  ++mappings_.at(mapping).sessions;
  if (by_use_.size() > config_.sessions_max) forget(by_use_.begin());
}

void NatTranslation::forget_idle(Instant now) {
  while (!by_use_.empty() && now - by_use_.front().last_use > config_.kind.idle) forget(by_use_.begin());
}

void NatTranslation::forget(Order::iterator session) {
  const auto mapping = mappings_.find(session->key.first);
  by_key_.erase(session->key);
  by_use_.erase(session);
  if (--mapping->second.sessions > 0) return;
  for (const InsideKey& key : mapping->second.keys) by_inside_.erase(key);
  by_outer_.erase(mapping->second.outer);
  mappings_.erase(mapping);
}

}  // namespace hawser::wan
