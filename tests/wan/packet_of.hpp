#pragma once

#include "wan/network.hpp"

namespace hawser::wan::testing {

inline constexpr std::uint32_t kHeader = 52;
inline constexpr std::uint32_t kSegment = 1448;
/// A full segment is 1500 bytes on the wire.
inline constexpr std::uint32_t kWireSegment = kHeader + kSegment;

struct PacketArguments {
  HostIndex from = 0;
  HostIndex to = 1;
  std::uint32_t segments = 1;
  std::uint16_t from_port = 1000;
  std::uint16_t to_port = 2000;
};

/// Of a host without a NAT.
constexpr std::uint32_t public_address(HostIndex host) { return kPublicRange.address + 1 + host; }

/// Full segments of the flow's data; their bytes are nobody's business here.
inline Packet packet_of(const PacketArguments& a) {
  return {.from = a.from,
          .to = a.to,
          .flow = {.protocol = 6,
                   .from = {.address = public_address(a.from), .port = a.from_port},
                   .to = {.address = public_address(a.to), .port = a.to_port}},
          .header_bytes = kHeader,
          .payload_bytes = a.segments * kSegment,
          .segment_payload_bytes = kSegment,
          .bytes = nullptr};
}

inline Instant at(Duration since_start) { return Instant(seconds(1000)) + since_start; }

/// Lets all that is under way arrive, as a driver would that never is late.
inline std::vector<Delivery> drain(Network& network, Instant until) {
  std::vector<Delivery> all;
  while (const auto due = network.next_deadline()) {
    if (*due > until) break;
    for (Delivery& delivery : network.advance(*due)) all.push_back(std::move(delivery));
  }
  return all;
}

}  // namespace hawser::wan::testing
