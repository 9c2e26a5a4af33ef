// From which address a packet comes and to which host it goes, and what NATs make of both.
#include "wan/network.hpp"

namespace hawser::wan {

/// From its host to the network that its destination is in. Sets `to`, which a NAT that hosts share may still correct.
Network::Way Network::leave_home(Instant now, Packet& packet) {
  const std::uint32_t address = packet.flow.to.address;
  const auto is_behind = [&](std::uint32_t box) {
    for (auto one = addresses_.box_of(packet.from); one; one = addresses_.boxes()[*one].carrier)
      if (*one == box) return true;
    return false;
  };
  if (const auto host = addresses_.host_at(address)) {
    packet.to = *host;
    if (addresses_.share_a_lan(packet.from, *host)) return Way::open;
    if (addresses_.box_of(*host)) return Way::nowhere;
    return leave_boxes(now, packet, std::nullopt) ? Way::open : Way::stopped;
  }
  const auto box = addresses_.box_at(address);
  // Behind a carrier nobody is reached by the address that the carrier gives.
  if (!box || addresses_.boxes()[*box].carrier) return Way::nowhere;
  const bool turns_back = is_behind(*box);
  if (turns_back && !spec_.nats[addresses_.boxes()[*box].kind].kind.hairpin) return Way::stopped;
  if (!leave_boxes(now, packet, turns_back ? box : std::nullopt)) return Way::stopped;
  packet.to = nominal_host(*box, packet.flow);
  return Way::open;
}

/// Out of all NATs around its host, or up to this one.
bool Network::leave_boxes(Instant now, Packet& packet, std::optional<std::uint32_t> last) {
  for (auto box = addresses_.box_of(packet.from); box; box = addresses_.boxes()[*box].carrier) {
    if (!nats_[*box].goes_out(now, packet)) return false;
    if (box == last) break;
  }
  return true;
}

/// By whose links it travels. Nobody may be found now, and somebody when it arrives: a NAT learns meanwhile.
HostIndex Network::nominal_host(std::uint32_t box, const Flow& flow) const {
  const auto inside = nats_[box].is_for(flow);
  if (!inside) return addresses_.boxes()[box].first;
  if (const auto host = addresses_.host_at(*inside)) return *host;
  // Of a home behind a carrier.
  const auto home = addresses_.box_at(*inside);
  return addresses_.boxes()[home.value_or(box)].first;
}

/// Into all NATs around the host that it is for. Sets `to`.
bool Network::enter_home(Instant now, Packet& packet) {
  while (const auto box = addresses_.box_at(packet.flow.to.address))
    if (!nats_[*box].comes_in(now, packet)) return false;
  const auto host = addresses_.host_at(packet.flow.to.address);
  if (!host) return false;
  packet.to = *host;
  return true;
}

}  // namespace hawser::wan
