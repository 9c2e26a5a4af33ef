#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace hawser::wan {

using HostIndex = std::uint32_t;

/// An IPv4 address, in host byte order, and a port.
struct Endpoint {
  std::uint32_t address = 0;
  std::uint16_t port = 0;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// What a middlebox tells flows apart by. Without ports (ICMP) they are 0, but for an echo: its identifier is the port
/// of the side that asks (RFC 5508).
struct Flow {
  std::uint8_t protocol = 0;
  Endpoint from{};
  Endpoint to{};
  friend auto operator<=>(const Flow&, const Flow&) = default;
};

/// What a middlebox wants to know of a packet besides its flow.
enum class PacketKind : std::uint8_t {
  ordinary,
  opening,   ///< A TCP SYN without ACK.
  error,     ///< An ICMP error. Its flow is that of an answer to the packet that it is about.
  fragment,  ///< Not the first one of its packet: it has no ports.
};

/// What a host handed over at once: one IP packet, or a TCP super-packet that stands for many segments on the
/// wire, each with the same headers (segmentation offload).
struct Packet {
  HostIndex from = 0;
  HostIndex to = 0;
  Flow flow;  ///< As it is on its way: a NAT changes it, and leaves the bytes.
  PacketKind kind = PacketKind::ordinary;
  std::uint32_t header_bytes = 0;           ///< IP and TCP or UDP; each segment has them.
  std::uint32_t payload_bytes = 0;          ///< Of all segments together.
  std::uint32_t segment_payload_bytes = 0;  ///< Of each but the last. Not 0 if there is payload.
  std::shared_ptr<const std::byte[]> bytes;

  std::uint32_t segments() const {
    if (payload_bytes == 0) return 1;
    return (payload_bytes + segment_payload_bytes - 1) / segment_payload_bytes;
  }
};

/// Neighbouring segments of a packet, which travel together: queues and losses cut packets between segments.
struct Parcel {
  std::shared_ptr<const Packet> packet;
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  std::uint32_t payload_begin() const { return first * packet->segment_payload_bytes; }
  std::uint32_t payload_bytes() const {
    const std::uint64_t end = std::uint64_t{first + count} * packet->segment_payload_bytes;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(end, packet->payload_bytes)) - payload_begin();
  }
  /// What the wire carries: the headers count once per segment.
  std::uint32_t wire_bytes() const { return count * packet->header_bytes + payload_bytes(); }
  /// One segment of full size, or the only one.
  std::uint32_t segment_wire_bytes() const {
    return packet->header_bytes + std::min(packet->segment_payload_bytes, packet->payload_bytes);
  }
  bool has_last() const { return first + count == packet->segments(); }
  Parcel part(std::uint32_t from, std::uint32_t segments) const { return {packet, first + from, segments}; }
};

}  // namespace hawser::wan
