#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "wire/checksum.hpp"
#include "wire/recent_checksums.hpp"

namespace hawser {
namespace {

std::vector<std::byte> random_bytes(Random& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return bytes;
}

}  // namespace

TEST_CASE("bytes that come in pieces have the checksum of the whole") {
  Random random(1);
  ChecksumStream stream;
  for (const std::size_t size : {0, 1, 63, 64, 240, 241, 1024, 70'001, 524'288}) {
    const auto bytes = random_bytes(random, size);
    const std::uint64_t whole = checksum(bytes);
    for (int round = 0; round < 4; ++round) {
      stream.begin();
      for (std::size_t at = 0; at < size;) {
        const std::size_t count = std::min<std::size_t>(size - at, 1 + random.below(size));
        stream.add(std::span(bytes).subspan(at, count));
        at += count;
      }
      CHECK(stream.value() == whole);
    }
  }
}

TEST_CASE("a checksum is remembered for the same chunk of the same collective alone") {
  Random random(2);
  RecentChecksums recent;
  FrameHeader header;
  header.direction = Direction::down;
  header.key = {.epoch = Epoch{3}, .view = ViewId{4}, .tag = 5, .sequence = 6};
  header.chunk = 7;
  header.payload_bytes = 1000;
  const auto bytes = random_bytes(random, header.payload_bytes);
  const auto others = random_bytes(random, header.payload_bytes);
  CHECK(recent.of(header, bytes) == checksum(bytes));
  CHECK(recent.of(header, others) == checksum(bytes));
  FrameHeader other = header;
  SECTION("another collective") { ++other.key.sequence; }
  SECTION("another chunk") { ++other.chunk; }
  SECTION("a chunk that has the same place") { other.chunk += 256; }
  SECTION("another view") { other.key.epoch = Epoch{4}; }
  SECTION("after a connection broke") { recent.forget(); }
  CHECK(recent.of(other, others) == checksum(others));
}

TEST_CASE("an empty payload is not mistaken for a remembered one") {
  RecentChecksums recent;
  FrameHeader header;
  CHECK(recent.of(header, {}) == checksum({}));
}

}  // namespace hawser
