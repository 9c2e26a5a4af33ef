#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "wan/packet.hpp"

namespace hawser::wan {

/// What a TUN device with IFF_VNET_HDR puts before each packet: struct virtio_net_hdr.
inline constexpr std::size_t kOffloadHeaderBytes = 10;
/// With the largest IP packet.
inline constexpr std::size_t kFrameBytesMax = kOffloadHeaderBytes + 65535;

/// Reads the headers of what the device of host `from` handed out; where it goes is not looked up. None if that is not
/// an IPv4 packet from this address to another, whole and well formed.
std::optional<Packet> read_packet(std::shared_ptr<const std::byte[]> frame, std::size_t size, HostIndex from,
                                  std::uint32_t address);

/// A parcel as a device takes it: headers of its own, which say what part of the stream it is and have the addresses
/// and ports of the packet's flow, and the bytes of the packet.
struct Frame {
  std::array<std::byte, kOffloadHeaderBytes + 60 + 60> head{};
  std::size_t head_bytes = 0;
  std::span<const std::byte> payload;
  std::vector<std::byte> changed{};  ///< Instead of the packet's bytes: the payload of an ICMP error.
};
Frame write_frame(const Parcel& parcel);

}  // namespace hawser::wan
