#include "wan/ip_rewrite.hpp"

#include <vector>

#include "catch.hpp"

namespace hawser::wan::ip_rewrite_test {
namespace {

constexpr Endpoint kHost{.address = 0xc0a84d01, .port = 5000};
constexpr Endpoint kOuter{.address = 0x0a4d0001, .port = 61234};
constexpr Endpoint kServer{.address = 0x0a4d0002, .port = 80};

using Bytes = std::vector<std::byte>;

Bytes ip_header(std::uint8_t protocol, const Endpoint& from, const Endpoint& to, std::size_t payload) {
  Bytes ip(20);
  put(&ip[0], 2, 0x4500);
  put(&ip[2], 2, static_cast<std::uint32_t>(20 + payload));
  put(&ip[8], 2, 0x4000u | protocol);
  put(&ip[12], 4, from.address);
  put(&ip[16], 4, to.address);
  put(&ip[10], 2, ~folded_sum(ip) & 0xffffu);
  return ip;
}

std::uint16_t pseudo_sum(const Bytes& packet) {
  const auto length = static_cast<std::uint32_t>(packet.size() - 20);
  return folded_sum(std::span(packet).subspan(12, 8), get(&packet[9], 1) + length);
}

bool has_right_ip_sum(std::span<const std::byte> packet) { return folded_sum(packet.first(20)) == 0xffff; }
bool has_right_sum(const Bytes& packet) {
  return folded_sum(std::span(packet).subspan(20), pseudo_sum(packet)) == 0xffff;
}

/// TCP or UDP with some payload of odd length and right checksums.
Bytes packet_of(std::uint8_t protocol, const Endpoint& from, const Endpoint& to) {
  const std::size_t header = protocol == kTcp ? 20 : 8;
  const std::size_t field = protocol == kTcp ? 16 : 6;
  Bytes packet = ip_header(protocol, from, to, header + 33);
  packet.resize(20 + header + 33);
  for (std::size_t i = 20 + header; i < packet.size(); ++i) packet[i] = static_cast<std::byte>(i * 37);
  put(&packet[20], 2, from.port);
  put(&packet[22], 2, to.port);
  if (protocol == kTcp) put(&packet[32], 2, 0x5018);
  if (protocol == kUdp) put(&packet[24], 2, 8 + 33);
  put(&packet[20 + field], 2, ~folded_sum(std::span(packet).subspan(20), pseudo_sum(packet)) & 0xffffu);
  REQUIRE(has_right_sum(packet));
  return packet;
}

/// What `about` brings on, from its destination.
Bytes error_about(const Bytes& about, std::size_t kept) {
  const auto read = read_headers(about, about.size());
  REQUIRE(read);
  Bytes packet = ip_header(kIcmp, read->flow.to, read->flow.from, 8 + kept);
  packet.resize(28 + kept);
  put(&packet[20], 1, 3);
  put(&packet[21], 1, 3);
  for (std::size_t i = 0; i < kept; ++i) packet[28 + i] = about[i];
  put(&packet[22], 2, ~folded_sum(std::span(packet).subspan(20)) & 0xffffu);
  return packet;
}

TEST_CASE("addresses and ports change with all checksums") {
  const std::uint8_t protocol = GENERATE(kTcp, kUdp);
  Bytes packet = packet_of(protocol, kHost, kServer);
  const auto read = read_headers(packet, packet.size());
  REQUIRE(read);
  REQUIRE(read->header_bytes == (protocol == kTcp ? 40 : 28));
  rewrite(std::span(packet).first(read->header_bytes), {.protocol = protocol, .from = kOuter, .to = kServer}, false);
  CHECK(packet == packet_of(protocol, kOuter, kServer));
  CHECK(has_right_ip_sum(packet));
  rewrite(std::span(packet).first(read->header_bytes), {.protocol = protocol, .from = kOuter, .to = kHost}, false);
  CHECK(packet == packet_of(protocol, kOuter, kHost));
}

TEST_CASE("a checksum that is left to the device covers addresses only") {
  Bytes packet = packet_of(kTcp, kHost, kServer);
  put(&packet[36], 2, pseudo_sum(packet));
  rewrite(std::span(packet).first(40), {.protocol = kTcp, .from = kOuter, .to = kServer}, true);
  CHECK(get(&packet[36], 2) == pseudo_sum(packet));
  CHECK(get(&packet[20], 2) == kOuter.port);
}

TEST_CASE("UDP without a checksum stays without") {
  Bytes packet = packet_of(kUdp, kHost, kServer);
  put(&packet[26], 2, 0);
  rewrite(std::span(packet).first(28), {.protocol = kUdp, .from = kOuter, .to = kServer}, false);
  CHECK(get(&packet[26], 2) == 0);
  CHECK(get(&packet[20], 2) == kOuter.port);
}

TEST_CASE("an echo's identifier is the port of who asks") {
  Bytes packet = ip_header(kIcmp, kHost, kServer, 8);
  packet.resize(28);
  put(&packet[20], 1, 8);
  put(&packet[24], 2, kHost.port);
  put(&packet[22], 2, ~folded_sum(std::span(packet).subspan(20)) & 0xffffu);
  const auto read = read_headers(packet, packet.size());
  REQUIRE(read);
  CHECK(read->flow == Flow{.protocol = kIcmp, .from = kHost, .to = {.address = kServer.address}});
  rewrite(packet, {.protocol = kIcmp, .from = kOuter, .to = {.address = kServer.address}}, false);
  CHECK(get(&packet[24], 2) == kOuter.port);
  CHECK(folded_sum(std::span(packet).subspan(20)) == 0xffff);
  CHECK(has_right_ip_sum(packet));
}

TEST_CASE("an ICMP error is read as an answer, and rewritten inside and outside") {
  const std::uint8_t protocol = GENERATE(kTcp, kUdp);
  const bool is_short = GENERATE(false, true);
  // The server saw the outer address, and its error comes back to it.
  const Bytes about = packet_of(protocol, kOuter, kServer);
  Bytes error = error_about(about, is_short ? 28 : about.size());
  const auto read = read_headers(error, error.size());
  REQUIRE(read);
  CHECK(read->kind == PacketKind::error);
  CHECK(read->flow == Flow{.protocol = protocol, .from = kServer, .to = kOuter});
  REQUIRE(read->header_bytes == 20);
  rewrite_error(std::span(error).first(20), std::span(error).subspan(20),
                {.protocol = protocol, .from = kServer, .to = kHost});
  CHECK(get(&error[16], 4) == kHost.address);
  CHECK(has_right_ip_sum(error));
  CHECK(folded_sum(std::span(error).subspan(20)) == 0xffff);
  Bytes inner(error.begin() + 28, error.end());
  if (!is_short) CHECK(inner == packet_of(protocol, kHost, kServer));
  CHECK(get(&inner[12], 4) == kHost.address);
  CHECK(get(&inner[20], 2) == kHost.port);
  CHECK(has_right_ip_sum(inner));
}

TEST_CASE("a SYN without ACK opens, and a later fragment has no ports") {
  Bytes packet = packet_of(kTcp, kHost, kServer);
  put(&packet[33], 1, 0x02);
  CHECK(read_headers(packet, packet.size())->kind == PacketKind::opening);
  put(&packet[33], 1, 0x12);
  CHECK(read_headers(packet, packet.size())->kind == PacketKind::ordinary);
  put(&packet[6], 2, 5);
  const auto read = read_headers(packet, packet.size());
  REQUIRE(read);
  CHECK(read->kind == PacketKind::fragment);
  CHECK(read->flow.from.port == 0);
}

TEST_CASE("errors that are cut off are not well formed") {
  const Bytes error = error_about(packet_of(kTcp, kOuter, kServer), 53);
  for (std::size_t size = 0; size < 56; ++size) {
    Bytes shorter(error.begin(), error.begin() + static_cast<std::ptrdiff_t>(size));
    if (size >= 20) put(&shorter[2], 2, static_cast<std::uint32_t>(size));
    CHECK_FALSE(read_headers(shorter, size));
  }
}

}  // namespace
}  // namespace hawser::wan::ip_rewrite_test
