#include <array>
#include <cstring>
#include <string>

#include "base/bug_found.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "wire/byte_order.hpp"
#include "wire/frame_codec.hpp"
#include "wire/random_message.hpp"

namespace hawser {
namespace {

using HeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

FrameHeader any_header(Random& random) {
  FrameHeader header{.kind = static_cast<FrameKind>(1 + random.below(3)),
                     .direction = static_cast<Direction>(random.below(2)),
                     .key = testing::any_key(random),
                     .signature = random.next(),
                     .chunk = testing::any_number(random),
                     .count = testing::any_number(random),
                     .payload_bytes = 0};
  if (header.kind == FrameKind::chunk)
    header.payload_bytes = static_cast<std::uint32_t>(random.below(limits::kFramePayloadBytesMax + 1));
  return header;
}

HeaderBytes encoded(const FrameHeader& header, std::uint64_t payload_checksum = 7) {
  HeaderBytes bytes;
  encode_frame_header(header, payload_checksum, bytes);
  return bytes;
}

/// Changes bytes behind the checksum's back.
Result<DecodedFrame> decode_with(std::size_t at, std::uint64_t value, std::size_t width) {
  HeaderBytes bytes = encoded({.kind = FrameKind::ready});
  for (std::size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
  constexpr std::size_t kChecksumAt = kFrameHeaderBytes - 8;
  FieldWriter(std::span(bytes).subspan(kChecksumAt)).u64(checksum(std::span(bytes).first(kChecksumAt)));
  return decode_frame_header(bytes);
}

}  // namespace

TEST_CASE("frame headers come back as they were") {
  Random random(1);
  for (int i = 0; i < 5000; ++i) {
    const FrameHeader header = any_header(random);
    const std::uint64_t payload_checksum = random.next();
    const auto decoded = decode_frame_header(encoded(header, payload_checksum));
    REQUIRE(decoded.ok());
    REQUIRE(decoded->header == header);
    REQUIRE(decoded->payload_checksum == payload_checksum);
  }
}

TEST_CASE("a frame header has the bytes that the protocol says") {
  const HeaderBytes bytes = encoded({.kind = FrameKind::chunk,
                                     .direction = Direction::down,
                                     .key = {.epoch = Epoch{0x1112131415161718},
                                             .view = ViewId{0x0102030405060708},
                                             .tag = 3,
                                             .sequence = 4},
                                     .signature = 5,
                                     .chunk = 6,
                                     .count = 7,
                                     .payload_bytes = 0x00012345},
                                    8);
  static constexpr unsigned kExpected[] = {
      0xf5, 'H', 'W', 'F', 1,    1,    0,    0,    0x45, 0x23, 0x01, 0,    0, 0, 0, 0, 8, 7, 6, 5,
      4,    3,   2,   1,   0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 3, 0, 0, 0, 0, 0, 0, 0,
      4,    0,   0,   0,   0,    0,    0,    0,    5,    0,    0,    0,    0, 0, 0, 0, 6, 0, 0, 0,
      0,    0,   0,   0,   7,    0,    0,    0,    0,    0,    0,    0,    8, 0, 0, 0, 0, 0, 0, 0};
  for (std::size_t i = 0; i < std::size(kExpected); ++i) {
    INFO("byte " << i);
    CHECK(std::to_integer<unsigned>(bytes[i]) == kExpected[i]);
  }
  CHECK(FieldReader(std::span(bytes).subspan(80)).u64() == checksum(std::span(bytes).first(80)));
}

TEST_CASE("every corrupted byte of a frame header is found") {
  Random random(2);
  const HeaderBytes bytes = encoded(any_header(random));
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (unsigned flip = 1; flip < 256; ++flip) {
      HeaderBytes corrupted = bytes;
      corrupted[at] ^= static_cast<std::byte>(flip);
      const auto decoded = decode_frame_header(corrupted);
      REQUIRE_FALSE(decoded.ok());
      REQUIRE(decoded.status() == Status::refused);
    }
}

TEST_CASE("a header with a right checksum and wrong fields is refused") {
  CHECK(decode_with(4, 2, 1).ok());
  CHECK_FALSE(decode_with(4, 0, 1).ok());
  CHECK(decode_with(4, 10, 1).ok());
  CHECK_FALSE(decode_with(4, 11, 1).ok());
  CHECK_FALSE(decode_with(5, 2, 1).ok());
  CHECK_FALSE(decode_with(6, 1, 2).ok());
  CHECK_FALSE(decode_with(12, 1, 4).ok());
  // Payload: none but in a chunk, and not more than the limit.
  CHECK_FALSE(decode_with(8, 4, 4).ok());
  CHECK(decode_with(4, 1 | std::uint64_t{limits::kFramePayloadBytesMax} << 32, 8).ok());
  CHECK_FALSE(decode_with(4, 1 | std::uint64_t{limits::kFramePayloadBytesMax + 1} << 32, 8).ok());
}

TEST_CASE("an own header that breaks the limits is a bug") {
  HeaderBytes bytes;
  CHECK_THROWS_AS(encode_frame_header({.payload_bytes = limits::kFramePayloadBytesMax + 1}, 0, bytes),
                  BugFound);
  CHECK_THROWS_AS(encode_frame_header({.kind = FrameKind::ready, .payload_bytes = 4}, 0, bytes), BugFound);
}

TEST_CASE("the checksum is XXH3-64 on every machine") {
  // Lengths on both sides of each of XXH3's internal branches. Values of xxHash 0.8's plain implementation.
  struct Known {
    std::size_t length;
    std::uint64_t value;
  };
  static constexpr Known kKnown[] = {
      {0, 0x2d06800538d394c2},     {1, 0xc44bdff4074eecdb},    {3, 0x6811538b444fc6dc},
      {4, 0xed503340c589a28b},     {8, 0xe5b43ab074c9c13b},    {9, 0x089b8d25b20fb877},
      {16, 0x0a0ec5ae8679cb7f},    {17, 0x57c52d21ce492c1e},   {128, 0x696069c4f1e6a91a},
      {129, 0xb1ada52285757beb},   {240, 0xb80284837259eee4},  {241, 0x44dbd3180a664e27},
      {1024, 0xc6c700c409d40c4b},  {1025, 0x3ef78c3256f23450}, {65536, 0x513812aaf46c6769},
      {100000, 0x45169176f633139f}};
  std::string text;
  for (std::size_t i = 0; i < 100000; ++i) text += static_cast<char>(i * 131 + i / 256);
  for (const Known& known : kKnown) {
    INFO(known.length << " bytes");
    CHECK(checksum(std::as_bytes(std::span(text)).first(known.length)) == known.value);
  }
}

}  // namespace hawser
