#include "wan/ip_packet.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "wan/ip_rewrite.hpp"

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
constexpr std::uint8_t kFin = 0x01, kPush = 0x08, kWindowReduced = 0x80;
constexpr std::uint8_t kNeedsChecksum = 1;

}  // namespace

std::optional<Packet> read_packet(std::shared_ptr<const std::byte[]> frame, std::size_t size, HostIndex from,
                                  std::uint32_t address) {
  if (size < kOffloadHeaderBytes + kIpHeaderBytesMin) return std::nullopt;
  OffloadHeader offload;
  std::memcpy(&offload, frame.get(), sizeof offload);
  const std::byte* ip = frame.get() + kOffloadHeaderBytes;
  const std::size_t ip_bytes = size - kOffloadHeaderBytes;
  const auto read = read_headers({ip, ip_bytes}, ip_bytes);
  if (!read || read->flow_on_wire.from.address != address || read->flow_on_wire.to.address == address)
    return std::nullopt;

  Packet packet{.from = from, .to = from, .flow = read->flow, .kind = read->kind};
  packet.header_bytes = static_cast<std::uint32_t>(read->header_bytes);
  packet.payload_bytes = static_cast<std::uint32_t>(ip_bytes - read->header_bytes);
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
  OffloadHeader offload;
  std::memcpy(&offload, frame.head.data(), sizeof offload);
  std::byte* const ip = frame.head.data() + kOffloadHeaderBytes;
  if (packet.kind == PacketKind::error) {
    frame.changed.assign(frame.payload.begin(), frame.payload.end());
    rewrite_error({ip, packet.header_bytes}, frame.changed, packet.flow);
    frame.payload = frame.changed;
  } else {
    rewrite({ip, packet.header_bytes}, packet.flow, (offload.flags & kNeedsChecksum) != 0);
  }
  if (parcel.count == packet.segments()) return frame;

  if (parcel.count == 1) {
    offload.gso_type = kGsoNone;
    offload.gso_size = 0;
  }
  std::memcpy(frame.head.data(), &offload, sizeof offload);

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
