#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/instant.hpp"
#include "wan/nat_translation.hpp"
#include "wan/packet.hpp"

namespace hawser::wan {

inline constexpr HostIndex kHostsMax = 250;
inline constexpr std::uint32_t kMtuMin = 576;
inline constexpr std::uint32_t kMtuMax = 65535;

struct NatSpec {
  std::string name;  ///< "": what a host with nat = true has.
  NatKind kind{};
  /// One for all hosts that name it, which reach each other by their inside addresses; else each has one of its own.
  bool is_lan = false;
  friend bool operator==(const NatSpec&, const NatSpec&) = default;
};

/// A host and its access link. Rates are of IP packets, without the framing below them.
struct HostSpec {
  std::string group;
  std::uint64_t up_bits_per_s = 0;
  std::uint64_t down_bits_per_s = 0;
  std::uint64_t up_queue_bytes = 0;
  std::uint64_t down_queue_bytes = 0;
  std::optional<std::uint32_t> nat{};      ///< Behind one of this kind: an index in Spec::nats.
  std::optional<std::uint32_t> carrier{};  ///< Behind, or in place of, that: one that all who name it share.
};

/// Something that many pairs share, with this rate and queue in each direction.
struct CableSpec {
  std::string name;
  std::uint64_t bits_per_s = 0;
  std::uint64_t queue_bytes = 0;
};

enum class Direction : std::uint8_t { there, back };

/// From one host to another; the way back has its own.
struct PathSpec {
  Duration delay{};
  Duration jitter{};  ///< Each packet's delay is longer by something between 0 and this.
  bool reorder = false;
  double loss = 0;               ///< Probability, per segment on the wire.
  std::uint64_t bits_per_s = 0;  ///< Of this pair alone; 0: no limit of its own.
  std::uint64_t queue_bytes = 0;
  struct CableUse {
    std::uint32_t cable = 0;
    Direction direction = Direction::there;
  };
  std::optional<CableUse> cable;
};

/// What the script can do. What is not given stays as it is.
struct HostChange {
  std::vector<HostIndex> hosts;
  std::optional<std::uint64_t> up_bits_per_s;
  std::optional<std::uint64_t> down_bits_per_s;
  std::optional<bool> outage;
};
struct PathChange {
  std::vector<std::pair<HostIndex, HostIndex>> pairs;
  std::optional<Duration> delay;
  std::optional<Duration> jitter;
  std::optional<double> loss;
  std::optional<std::uint64_t> bits_per_s;
  std::optional<bool> outage;
  /// IP packets of more bytes vanish, and nobody is told: a path MTU black hole (RFC 2923). 0: all pass.
  std::optional<std::uint32_t> passes_bytes;
};
struct CableChange {
  std::uint32_t cable = 0;
  std::optional<std::uint64_t> bits_per_s;
  std::optional<bool> outage;
};
/// Hosts reach each other only within a part; hosts in no part, nobody. Replaces an earlier partition.
struct Partition {
  std::vector<std::optional<std::uint32_t>> part_of_host;
};
/// Ends the partition and all outages.
struct Heal {};

struct Event {
  Duration at{};
  std::variant<HostChange, PathChange, CableChange, Partition, Heal> change;
};

/// A whole network, complete and checked: every size within its limit, every index there.
struct Spec {
  std::string name;
  std::string summary;
  std::uint64_t seed = 1;
  std::uint32_t mtu = 1500;
  std::map<std::string, std::string> sysctls;  ///< By full name, as "net.ipv4.tcp_rmem".
  std::vector<NatSpec> nats;
  std::vector<HostSpec> hosts;
  std::vector<CableSpec> cables;
  std::vector<Event> events;    ///< In the order of time.
  std::vector<PathSpec> paths;  ///< hosts x hosts; use path().

  HostIndex host_count() const { return static_cast<HostIndex>(hosts.size()); }
  const PathSpec& path(HostIndex from, HostIndex to) const { return paths[from * hosts.size() + to]; }
  PathSpec& path(HostIndex from, HostIndex to) { return paths[from * hosts.size() + to]; }
};

}  // namespace hawser::wan
