#include "wan/ip_packet.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "base/assert.hpp"

namespace hawser::wan {
namespace {

/// struct virtio_net_hdr of linux/virtio_net.h, which C++ can't include: it has a field named class.
struct OffloadHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t header_bytes = 0;
  std::uint16_t gso_size = 0;  ///< Payload of each segment; this and the others in the machine's byte order.
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(OffloadHeader) == kOffloadHeaderBytes);
constexpr std::uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoEcn = 0x80;

constexpr std::size_t kIpHeaderBytesMin = 20;
constexpr std::size_t kTcpHeaderBytesMin = 20;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kFin = 0x01, kPush = 0x08, kWindowReduced = 0x80;

std::uint32_t get(const std::byte* from, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<std::uint32_t>(from[i]);
  return value;
}

void put(std::byte* to, std::size_t bytes, std::uint32_t value) {
  for (std::size_t i = bytes; i-- > 0; value >>= 8) to[i] = static_cast<std::byte>(value & 0xff);
}

/// One's complement sum of 16-bit words (RFC 1071), folded and not inverted.
std::uint16_t folded_sum(std::span<const std::byte> words, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) sum += get(&words[i], 2);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

}  // namespace

std::string address_text(HostIndex host) {
  const std::uint32_t address = address_of(host);
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string(address >> shift & 0xff);
    if (shift > 0) text += '.';
  }
  return text;
}

std::optional<Packet> read_packet(std::shared_ptr<const std::byte[]> frame, std::size_t size, HostIndex from,
                                  HostIndex hosts) {
  if (size < kOffloadHeaderBytes + kIpHeaderBytesMin) return std::nullopt;
  OffloadHeader offload;
  std::memcpy(&offload, frame.get(), sizeof offload);
  const std::byte* ip = frame.get() + kOffloadHeaderBytes;
  const std::size_t ip_bytes = size - kOffloadHeaderBytes;
  const std::size_t ip_header = (get(ip, 1) & 0xf) * 4;
  if (get(ip, 1) >> 4 != 4 || ip_header < kIpHeaderBytesMin || ip_bytes < ip_header ||
      get(ip + 2, 2) != ip_bytes)
    return std::nullopt;
  const std::uint32_t to = get(ip + 16, 4) - address_of(0);
  if (get(ip + 12, 4) != address_of(from) || to >= hosts || to == from) return std::nullopt;

  Packet packet{.from = from, .to = to};
  packet.flow.protocol = static_cast<std::uint8_t>(get(ip + 9, 1));
  std::size_t header = ip_header;
  const bool first_fragment = (get(ip + 6, 2) & 0x1fff) == 0;
  if ((packet.flow.protocol == kTcp || packet.flow.protocol == kUdp) && first_fragment) {
    const std::byte* transport = ip + ip_header;
    if (ip_bytes < ip_header + 8) return std::nullopt;
    packet.flow.from_port = static_cast<std::uint16_t>(get(transport, 2));
    packet.flow.to_port = static_cast<std::uint16_t>(get(transport + 2, 2));
    if (packet.flow.protocol == kTcp) {
      if (ip_bytes < ip_header + kTcpHeaderBytesMin) return std::nullopt;
      const std::size_t tcp_header = (get(transport + 12, 1) >> 4) * 4;
      if (tcp_header < kTcpHeaderBytesMin || ip_bytes < ip_header + tcp_header) return std::nullopt;
      header += tcp_header;
    }
  }
  packet.header_bytes = static_cast<std::uint32_t>(header);
  packet.payload_bytes = static_cast<std::uint32_t>(ip_bytes - header);
  packet.segment_payload_bytes = packet.payload_bytes;
  if (offload.gso_type != kGsoNone) {
    if ((offload.gso_type & ~kGsoEcn) != kGsoTcp4 || offload.gso_size == 0 || packet.flow.protocol != kTcp)
      return std::nullopt;
    packet.segment_payload_bytes = offload.gso_size;
  }
  packet.bytes = std::move(frame);
  return packet;
}

// A part of a super-packet gets the headers that its first segment would have had on the wire, and the length
// of all of it, as the kernel does when it cuts one.
Frame write_frame(const Parcel& parcel) {
  const Packet& packet = *parcel.packet;
  Frame frame;
  frame.head_bytes = kOffloadHeaderBytes + packet.header_bytes;
  HAWSER_ASSERT(frame.head_bytes <= frame.head.size());
  std::memcpy(frame.head.data(), packet.bytes.get(), frame.head_bytes);
  frame.payload = {packet.bytes.get() + frame.head_bytes + parcel.payload_begin(), parcel.payload_bytes()};
  if (parcel.count == packet.segments()) return frame;

  OffloadHeader offload;
  std::memcpy(&offload, frame.head.data(), sizeof offload);
  if (parcel.count == 1) {
    offload.gso_type = kGsoNone;
    offload.gso_size = 0;
  }
  std::memcpy(frame.head.data(), &offload, sizeof offload);

  std::byte* ip = frame.head.data() + kOffloadHeaderBytes;
  const std::size_t ip_header = (get(ip, 1) & 0xf) * 4;
  const auto payload = static_cast<std::uint32_t>(frame.payload.size());
  put(ip + 2, 2, packet.header_bytes + payload);
  put(ip + 4, 2, get(ip + 4, 2) + parcel.first);
  put(ip + 10, 2, 0);
  put(ip + 10, 2, static_cast<std::uint16_t>(~folded_sum({ip, ip_header})));

  std::byte* tcp = ip + ip_header;
  put(tcp + 4, 4, get(tcp + 4, 4) + parcel.payload_begin());
  std::uint32_t flags = get(tcp + 13, 1);
  if (!parcel.has_last()) flags &= ~std::uint32_t{kFin | kPush};
  if (parcel.first > 0) flags &= ~std::uint32_t{kWindowReduced};
  put(tcp + 13, 1, flags);
  // The checksum is left to offload: the field holds the pseudo header's sum, which has the length in it.
  const std::uint32_t length = packet.header_bytes - static_cast<std::uint32_t>(ip_header) + payload;
  put(tcp + 16, 2, folded_sum({ip + 12, 8}, kTcp + length));
  return frame;
}

}  // namespace hawser::wan
