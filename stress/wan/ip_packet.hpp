#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "wan/packet.hpp"

namespace hawser::wan {

/// What a TUN device with IFF_VNET_HDR puts before each packet: struct virtio_net_hdr.
inline constexpr std::size_t kOffloadHeaderBytes = 10;
/// With the largest IP packet.
inline constexpr std::size_t kFrameBytesMax = kOffloadHeaderBytes + 65535;

/// 10.77.0.1 is host 0. In host byte order.
inline constexpr std::uint32_t kNetworkAddress = 0x0a4d0000;
inline constexpr std::uint32_t kNetworkMask = 0xffff0000;
constexpr std::uint32_t address_of(HostIndex host) { return kNetworkAddress + 1 + host; }
/// "10.77.0.1".
std::string address_text(HostIndex host);

/// Reads the headers of what the device of host `from` handed out. None if that is not an IPv4 packet from
/// this host to another of `hosts`, whole and well formed.
std::optional<Packet> read_packet(std::shared_ptr<const std::byte[]> frame, std::size_t size, HostIndex from,
                                  HostIndex hosts);

/// A parcel as a device takes it: headers of its own, which say what part of the stream it is, and the bytes
/// of the packet.
struct Frame {
  std::array<std::byte, kOffloadHeaderBytes + 60 + 60> head{};
  std::size_t head_bytes = 0;
  std::span<const std::byte> payload;
};
Frame write_frame(const Parcel& parcel);

}  // namespace hawser::wan
