#include "wan/ip_rewrite.hpp"

#include <algorithm>

namespace hawser::wan {
namespace {

constexpr std::size_t kIcmpHeaderBytes = 8;
constexpr std::size_t kUdpHeaderBytes = 8;
constexpr std::uint8_t kEchoReply = 0, kUnreachable = 3, kEcho = 8, kTimeExceeded = 11, kParameterProblem = 12;
constexpr std::uint8_t kSyn = 0x02, kAck = 0x10;
/// Where in a header.
constexpr std::size_t kIpChecksum = 10, kIpSource = 12, kIpDestination = 16;
constexpr std::size_t kTcpChecksum = 16, kUdpChecksum = 6, kIcmpChecksum = 2, kIcmpIdentifier = 4;

bool is_error_type(std::uint32_t type) {
  return type == kUnreachable || type == kTimeExceeded || type == kParameterProblem;
}

std::size_t ip_header_bytes(const std::byte* ip) { return (get(ip, 1) & 0xf) * 4; }

/// A checksum field, which follows the words that it covers as they change (RFC 1624).
class Checksum {
 public:
  /// Null: none. `is_inverted`: as it stands in a packet, and not only a sum.
  Checksum(std::byte* field, bool is_inverted) : field_(field), is_inverted_(is_inverted) {}

  void follow(std::uint32_t before, std::uint32_t after) {
    if (field_ == nullptr) return;
    std::uint32_t sum = get(field_, 2);
    if (is_inverted_) sum = ~sum & 0xffff;
    sum += (~before & 0xffff) + (~(before >> 16) & 0xffff) + (after & 0xffff) + (after >> 16);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    put(field_, 2, is_inverted_ ? ~sum & 0xffff : sum);
  }

 private:
  std::byte* field_;
  bool is_inverted_;
};

/// So many bytes there become this value, and the checksums that cover them know.
template <class... Checksums>
void replace(std::byte* at, std::size_t bytes, std::uint32_t value, Checksums&... checksums) {
  const std::uint32_t before = get(at, bytes);
  if (before == value) return;
  put(at, bytes, value);
  (checksums.follow(before, value), ...);
}

std::optional<Flow> flow_of_echo(const std::byte* icmp) {
  const auto identifier = static_cast<std::uint16_t>(get(icmp + kIcmpIdentifier, 2));
  if (get(icmp, 1) == kEcho) return Flow{.protocol = kIcmp, .from = {.port = identifier}, .to = {}};
  if (get(icmp, 1) == kEchoReply) return Flow{.protocol = kIcmp, .from = {}, .to = {.port = identifier}};
  return std::nullopt;
}

}  // namespace

std::uint32_t get(const std::byte* from, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<std::uint32_t>(from[i]);
  return value;
}

void put(std::byte* to, std::size_t bytes, std::uint32_t value) {
  for (std::size_t i = bytes; i-- > 0; value >>= 8) to[i] = static_cast<std::byte>(value & 0xff);
}

std::uint16_t folded_sum(std::span<const std::byte> words, std::uint32_t sum) {
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) sum += get(&words[i], 2);
  if (words.size() % 2 != 0) sum += std::to_integer<std::uint32_t>(words.back()) << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

std::optional<ReadHeaders> read_headers(std::span<const std::byte> packet, std::size_t length) {
  if (packet.size() < kIpHeaderBytesMin) return std::nullopt;
  const std::byte* const ip = packet.data();
  const std::size_t ip_header = ip_header_bytes(ip);
  if (get(ip, 1) >> 4 != 4 || ip_header < kIpHeaderBytesMin || packet.size() < ip_header || get(ip + 2, 2) != length)
    return std::nullopt;
  ReadHeaders read{.header_bytes = ip_header};
  Flow& flow = read.flow;
  flow.protocol = static_cast<std::uint8_t>(get(ip + 9, 1));
  flow.from.address = get(ip + kIpSource, 4);
  flow.to.address = get(ip + kIpDestination, 4);
  read.flow_on_wire = flow;
  if ((get(ip + 6, 2) & 0x1fff) != 0) {
    read.kind = PacketKind::fragment;
    return read;
  }
  if (flow.protocol != kTcp && flow.protocol != kUdp && flow.protocol != kIcmp) return read;
  const std::byte* const inner = ip + ip_header;
  const std::size_t there = packet.size() - ip_header;
  if (there < 8) return std::nullopt;
  if (flow.protocol == kIcmp) {
    if (const auto echo = flow_of_echo(inner)) {
      flow.from.port = echo->from.port;
      flow.to.port = echo->to.port;
      read.header_bytes += kIcmpHeaderBytes;
    } else if (is_error_type(get(inner, 1))) {
      const auto rest = packet.subspan(ip_header + kIcmpHeaderBytes);
      const auto about = rest.size() < kIpHeaderBytesMin ? std::nullopt : read_headers(rest, get(rest.data() + 2, 2));
      if (!about || about->kind == PacketKind::error) return std::nullopt;
      read.kind = PacketKind::error;
      flow = {.protocol = about->flow.protocol, .from = about->flow.to, .to = about->flow.from};
    }
  } else {
    flow.from.port = static_cast<std::uint16_t>(get(inner, 2));
    flow.to.port = static_cast<std::uint16_t>(get(inner + 2, 2));
    if (flow.protocol == kUdp) read.header_bytes += kUdpHeaderBytes;
  }
  // Of the packet that an error is about there are 8 bytes behind the IP header at least.
  if (flow.protocol == kTcp && read.kind != PacketKind::error && packet.size() == length) {
    const std::size_t tcp_header = there < kTcpHeaderBytesMin ? 0 : (get(inner + 12, 1) >> 4) * 4;
    if (tcp_header < kTcpHeaderBytesMin || there < tcp_header) return std::nullopt;
    read.header_bytes += tcp_header;
    if ((get(inner + 13, 1) & (kSyn | kAck)) == kSyn) read.kind = PacketKind::opening;
  }
  read.flow_on_wire.from.port = flow.from.port;
  read.flow_on_wire.to.port = flow.to.port;
  return read;
}

void rewrite(std::span<std::byte> headers, const Flow& flow, bool is_offloaded) {
  std::byte* const ip = headers.data();
  const std::size_t ip_header = ip_header_bytes(ip);
  std::byte* const inner = ip + ip_header;
  const std::size_t there = headers.size() - ip_header;
  const bool is_first = (get(ip + 6, 2) & 0x1fff) == 0;
  const bool is_tcp = flow.protocol == kTcp && is_first && there >= kTcpHeaderBytesMin;
  const bool is_udp = flow.protocol == kUdp && is_first && there >= kUdpHeaderBytes;
  const bool is_echo = flow.protocol == kIcmp && is_first && there >= kIcmpHeaderBytes && flow_of_echo(inner);
  std::byte* field = is_tcp ? inner + kTcpChecksum : is_udp ? inner + kUdpChecksum : nullptr;
  // Of UDP, 0 stands for none.
  if (is_udp && !is_offloaded && get(field, 2) == 0) field = nullptr;
  Checksum whole(field, !is_offloaded);
  Checksum ip_sum(ip + kIpChecksum, true);
  replace(ip + kIpSource, 4, flow.from.address, ip_sum, whole);
  replace(ip + kIpDestination, 4, flow.to.address, ip_sum, whole);
  if (is_echo) {
    Checksum icmp_sum(inner + kIcmpChecksum, true);
    replace(inner + kIcmpIdentifier, 2, get(inner, 1) == kEcho ? flow.from.port : flow.to.port, icmp_sum);
  }
  if (!is_tcp && !is_udp) return;
  // The pseudo header has no ports.
  Checksum of_ports(is_offloaded ? nullptr : field, true);
  replace(inner, 2, flow.from.port, of_ports);
  replace(inner + 2, 2, flow.to.port, of_ports);
}

void rewrite_error(std::span<std::byte> header, std::span<std::byte> icmp, const Flow& flow) {
  std::byte* const ip = header.data();
  std::byte* const about = icmp.data() + kIcmpHeaderBytes;
  Checksum outer_sum(ip + kIpChecksum, true);
  // A router on the way has an address of its own.
  const bool is_of_the_end = get(ip + kIpSource, 4) == get(about + kIpDestination, 4);
  if (is_of_the_end) replace(ip + kIpSource, 4, flow.from.address, outer_sum);
  replace(ip + kIpDestination, 4, flow.to.address, outer_sum);
  const std::size_t about_header = ip_header_bytes(about);
  const Flow there{.protocol = flow.protocol, .from = flow.to, .to = flow.from};
  rewrite({about, std::min(icmp.size() - kIcmpHeaderBytes, about_header + kTcpHeaderBytesMin)}, there, false);
  // With 8 bytes of TCP the ports are there, and the checksum is not.
  if (flow.protocol == kTcp && icmp.size() - kIcmpHeaderBytes < about_header + kTcpHeaderBytesMin) {
    put(about + about_header, 2, there.from.port);
    put(about + about_header + 2, 2, there.to.port);
  }
  put(icmp.data() + kIcmpChecksum, 2, 0);
  put(icmp.data() + kIcmpChecksum, 2, ~folded_sum(icmp) & 0xffff);
}

}  // namespace hawser::wan
