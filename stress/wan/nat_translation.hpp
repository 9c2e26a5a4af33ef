#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/instant.hpp"
#include "base/random.hpp"
#include "wan/packet.hpp"

namespace hawser::wan {

/// On how much of the other end something depends (RFC 4787, sections 4.1 and 5).
enum class NatScope : std::uint8_t { endpoint_independent, address, address_and_port };

/// How a NAT behaves, in the terms of RFC 4787 (UDP) and RFC 5382 (TCP). All protocols are treated alike.
struct NatKind {
  /// For which other ends an inside endpoint has one outer port. All: `address_and_port` is also called symmetric.
  NatScope mapping = NatScope::endpoint_independent;
  /// From where something comes in over a mapping: from everywhere, from addresses that it was used to, or from such
  /// endpoints.
  NatScope filtering = NatScope::address_and_port;
  /// The outer port is that of the inside, where that is free. Under a mapping that depends on the other end, flows to
  /// different ends may share it, as with Linux.
  bool keeps_ports = true;
  /// Hosts behind it reach each other by its outer address.
  bool hairpin = false;
  /// No SYN without ACK comes in, whatever has gone out: no simultaneous open through two of these.
  bool outgoing_only = false;
  /// Flows that begin inside go to this port only.
  std::optional<std::uint16_t> out_port{};
  /// This outer port leads to the host behind it, to the same port.
  std::optional<std::uint16_t> forward_port{};
  /// What was not used for longer is forgotten. RFC 5382 demands two hours and four minutes of an established flow.
  Duration idle = seconds(7440);
  friend bool operator==(const NatKind&, const NatKind&) = default;
};

/// A NAT of one outer address, as a state machine without clock: it rewrites the flows of packets that pass, and says
/// which do not. A **mapping** ties an inside endpoint to an outer port; each remote endpoint that it is used with is a
/// **session** of it. A mapping without sessions is gone, and its port is free.
///
/// ICMP errors go with the flow that they are about and begin nothing. Fragments are dropped, but the first of each.
class NatTranslation {
 public:
  struct Config {
    NatKind kind{};
    std::uint32_t outer_address = 0;
    std::uint32_t forward_to = 0;  ///< Inside, for kind.forward_port.
    std::uint64_t seed = 0;        ///< Of ports that are not kept.
    std::size_t sessions_max = 65536;  ///< The one that was idle longest makes room.
  };
  explicit NatTranslation(const Config& config);

  /// A packet from inside: the source becomes the outer endpoint. False: it does not pass.
  bool goes_out(Instant now, Packet& packet);
  /// A packet to the outer address: the destination becomes the inside endpoint. False: it does not pass.
  bool comes_in(Instant now, Packet& packet);
  /// The inside address that a packet to the outer address is for, whether or not it may pass.
  std::optional<std::uint32_t> is_for(const Flow& flow) const;
  std::size_t sessions() const { return by_use_.size(); }
  std::size_t mappings() const { return mappings_.size(); }

 private:
  /// The parts of the other end that a mapping depends on; the others 0.
  using Scope = Endpoint;
  struct InsideKey {
    std::uint8_t protocol = 0;
    Endpoint inside;
    Scope scope;
    friend auto operator<=>(const InsideKey&, const InsideKey&) = default;
  };
  struct OuterKey {
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;
    Scope scope;
    friend auto operator<=>(const OuterKey&, const OuterKey&) = default;
  };
  using MappingId = std::uint64_t;
  struct Mapping {
    Endpoint inside;
    OuterKey outer;
    std::vector<InsideKey> keys;  ///< One, and those that came in over it from other ends.
    std::size_t sessions = 0;
  };
  using SessionKey = std::pair<MappingId, Endpoint>;
  struct Session {
    SessionKey key;
    Instant last_use;
  };
  using Order = std::list<Session>;

  Scope scope_of(const Endpoint& remote) const;
  bool is_forwarded(std::uint8_t protocol, std::uint16_t port) const;
  bool lets_in(MappingId mapping, const Endpoint& remote) const;
  std::optional<MappingId> from_outside(const Flow& flow) const;
  std::optional<MappingId> map(std::uint8_t protocol, const Endpoint& inside, const Endpoint& remote);
  std::optional<std::uint16_t> free_port(std::uint8_t protocol, const Endpoint& inside, const Scope& scope);
  void use(Instant now, MappingId mapping, const Endpoint& remote);
  void forget_idle(Instant now);
  void forget(Order::iterator session);

  Config config_;
  Random random_;
  MappingId made_ = 0;
  std::map<MappingId, Mapping> mappings_;
  std::map<InsideKey, MappingId> by_inside_;
  std::map<OuterKey, MappingId> by_outer_;
  Order by_use_;  ///< Idle longest first.
  std::map<SessionKey, Order::iterator> by_key_;
};

}  // namespace hawser::wan
