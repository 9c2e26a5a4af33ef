#include "wan/ip_packet.hpp"

#include <cstring>
#include <span>
#include <vector>

#include "catch.hpp"

namespace hawser::wan {
namespace {

/// What a device hands out for a TCP super-packet of host 0 to host 1: offload header, IPv4, TCP, payload.
struct Sample {
  std::vector<std::uint8_t> bytes;

  explicit Sample(std::size_t payload, std::uint16_t segment = 0, std::uint8_t flags = 0x18) {
    const std::uint8_t offload[] = {1,
                                    static_cast<std::uint8_t>(segment != 0 ? 1 : 0),
                                    40,
                                    0,
                                    static_cast<std::uint8_t>(segment & 0xff),
                                    static_cast<std::uint8_t>(segment >> 8),
                                    20,
                                    0,
                                    16,
                                    0};
    const std::uint16_t total = static_cast<std::uint16_t>(40 + payload);
    const std::uint8_t ip[] = {0x45,
                               0,
                               static_cast<std::uint8_t>(total >> 8),
                               static_cast<std::uint8_t>(total & 0xff),
                               0,
                               7,
                               0x40,
                               0,
                               64,
                               6,
                               0,
                               0,
                               10,
                               77,
                               0,
                               1,
                               10,
                               77,
                               0,
                               2};
    const std::uint8_t tcp[] = {0x12, 0x34, 0x56, 0x78,  0,    0,    1, 0, 0, 0,
                                0,    0,    0x50, flags, 0xff, 0xff, 0, 0, 0, 0};
    for (const auto part : {std::span<const std::uint8_t>(offload), std::span<const std::uint8_t>(ip),
                            std::span<const std::uint8_t>(tcp)})
      for (const std::uint8_t byte : part) bytes.push_back(byte);
    for (std::size_t i = 0; i < payload; ++i) bytes.push_back(static_cast<std::uint8_t>(i / 100));
  }
  std::optional<Packet> read(std::uint32_t address = 0x0a4d0001) const {
    std::shared_ptr<std::byte[]> frame(new std::byte[bytes.size()]);
    std::memcpy(frame.get(), bytes.data(), bytes.size());
    return read_packet(frame, bytes.size(), 0, address);
  }
};

std::uint32_t number(const Frame& frame, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(frame.head[10 + at + i]);
  return value;
}

TEST_CASE("a super-packet is read as its segments") {
  const auto packet = Sample(2500, 1000).read();
  REQUIRE(packet);
  CHECK(packet->from == 0);
  CHECK(packet->flow == Flow{.protocol = 6, .from = {0x0a4d0001, 0x1234}, .to = {0x0a4d0002, 0x5678}});
  CHECK(packet->kind == PacketKind::ordinary);
  CHECK(packet->segments() == 3);
  const Parcel parcel{.packet = std::make_shared<const Packet>(*packet), .first = 0, .count = 3};
  CHECK(parcel.wire_bytes() == 3 * 40 + 2500);
}

TEST_CASE("a whole packet is written as it came") {
  const Sample sample(2500, 1000);
  const Parcel parcel{.packet = std::make_shared<const Packet>(*sample.read()), .first = 0, .count = 3};
  const Frame frame = write_frame(parcel);
  CHECK(frame.head_bytes == 50);
  CHECK(frame.payload.size() == 2500);
  CHECK(std::memcmp(frame.head.data(), sample.bytes.data(), 50) == 0);
}

TEST_CASE("a part has the headers that its segments would have had") {
  const Sample sample(2500, 1000, 0x99);  // FIN, PSH, ACK, CWR
  const auto shared = std::make_shared<const Packet>(*sample.read());
  const auto [first, count, bytes, id, flags, gso] = GENERATE(
      table<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>(
          {{0, 2, 2000, 7, 0x90, 1},
           {0, 1, 1000, 7, 0x90, 0},
           {1, 1, 1000, 8, 0x10, 0},
           {1, 2, 1500, 8, 0x19, 1},
           {2, 1, 500, 9, 0x19, 0}}));
  const Frame frame = write_frame({.packet = shared, .first = first, .count = count});
  CHECK(number(frame, 2, 2) == 40 + bytes);           // total length
  CHECK(number(frame, 4, 2) == id);                   // identification
  CHECK(number(frame, 24, 4) == 256 + 1000 * first);  // sequence number
  CHECK(number(frame, 33, 1) == flags);
  CHECK(std::to_integer<std::uint32_t>(frame.head[1]) == gso);
  REQUIRE(frame.payload.size() == bytes);
  CHECK(std::memcmp(frame.payload.data(), sample.bytes.data() + 50 + 1000 * first, bytes) == 0);
  std::uint32_t ip_sum = 0;
  for (std::size_t i = 0; i < 20; i += 2) ip_sum += number(frame, i, 2);
  CHECK((ip_sum & 0xffff) + (ip_sum >> 16) == 0xffff);
  std::uint32_t pseudo = 6 + 20 + bytes;
  for (std::size_t i = 12; i < 20; i += 2) pseudo += number(frame, i, 2);
  CHECK(number(frame, 36, 2) == (pseudo & 0xffff) + (pseudo >> 16));
}

TEST_CASE("what is not whole IPv4 between hosts is no packet") {
  CHECK(Sample(100).read());
  CHECK_FALSE(Sample(100).read(0x0a4d0003));  // not the host's address
  CHECK_FALSE(Sample(100).read(0x0a4d0002));  // to itself
  Sample cut(100);
  cut.bytes.pop_back();
  CHECK_FALSE(cut.read());
  Sample six(100);
  six.bytes[10] = 0x65;
  CHECK_FALSE(six.read());
  Sample header(0);
  header.bytes[10 + 20 + 12] = 0xf0;  // a TCP header longer than the packet
  CHECK_FALSE(header.read());
  for (std::size_t size = 0; size < 50; ++size) {
    Sample shorter(0);
    shorter.bytes.resize(size);
    CHECK_FALSE(shorter.read());
  }
}

}  // namespace
}  // namespace hawser::wan
