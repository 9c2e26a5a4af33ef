#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "wan/packet.hpp"

/// IPv4 headers: reading flows from them, and writing other addresses and ports into them.
namespace hawser::wan {

inline constexpr std::size_t kIpHeaderBytesMin = 20;
inline constexpr std::size_t kTcpHeaderBytesMin = 20;
inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;

/// Numbers of a packet, most significant byte first.
std::uint32_t get(const std::byte* from, std::size_t bytes);
void put(std::byte* to, std::size_t bytes, std::uint32_t value);
/// One's complement sum of 16-bit words (RFC 1071), folded and not inverted.
std::uint16_t folded_sum(std::span<const std::byte> words, std::uint32_t sum = 0);

struct ReadHeaders {
  Flow flow;          ///< As Packet::flow.
  Flow flow_on_wire;  ///< The same, but for an ICMP error that of the error itself.
  PacketKind kind = PacketKind::ordinary;
  std::size_t header_bytes = 0;  ///< IP and TCP or UDP; of an ICMP echo with its own.
};
/// Of the packet that begins there and shall be so long; of an ICMP error only its beginning need be there. None: it is
/// not well formed.
std::optional<ReadHeaders> read_headers(std::span<const std::byte> ip, std::size_t length);

/// Writes the flow's addresses and ports into headers that may have others, and brings the checksums along.
/// `is_offloaded`: the checksum of TCP or UDP is only the sum of its pseudo header so far.
void rewrite(std::span<std::byte> headers, const Flow& flow, bool is_offloaded);
/// Of an ICMP error: into its header, and the other way round into the packet that it is about.
void rewrite_error(std::span<std::byte> header, std::span<std::byte> icmp, const Flow& flow);

}  // namespace hawser::wan
