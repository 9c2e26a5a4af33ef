/// Chunks of a collective that this peer has not called yet: bounded from their first byte on.
#include "base/limits.hpp"
#include "lone_engine.hpp"

using namespace hawser;
using hawser::test::LoneEngine;

namespace {

constexpr std::uint32_t kChunkBytes = 512 << 10;
constexpr std::uint32_t kChunksMax = limits::kEagerBytesMax / kChunkBytes;

}  // namespace

TEST_CASE("no more is on its way in than may be parked, however many connections a link has") {
  LoneEngine engine;
  for (std::uint32_t index = 1; index <= kChunksMax; ++index) engine.link_up(index);
  for (std::uint32_t index = 0; index < kChunksMax; ++index)
    REQUIRE(engine.frame_begins(index, engine.next_chunk(index, kChunkBytes)).into != nullptr);
  CHECK(engine.frame_begins(kChunksMax, engine.next_chunk(kChunksMax, kChunkBytes)).into == nullptr);
  CHECK(engine.count<DropConnection>() == 1);
  // One who, one line.
  CHECK(engine.count<LogEvent>() == 1);
}

TEST_CASE("what a broken connection was bringing counts no more") {
  LoneEngine engine;
  engine.link_up(1);
  for (std::uint32_t round = 0; round < 3 * kChunksMax; ++round) {
    REQUIRE(engine.frame_begins(1, engine.next_chunk(round, kChunkBytes)).into != nullptr);
    engine.link_down(1);
    engine.link_up(1);
  }
  // A damaged one costs its connection, and no more.
  for (std::uint32_t round = 0; round < 3 * kChunksMax; ++round) {
    REQUIRE(engine.frame_begins(1, engine.next_chunk(round, kChunkBytes)).into != nullptr);
    engine.frame_ends(1, false);
    engine.link_up(1);
  }
  for (std::uint32_t chunk = 0; chunk < kChunksMax; ++chunk) {
    REQUIRE(engine.frame_begins(1, engine.next_chunk(chunk, kChunkBytes)).into != nullptr);
    engine.frame_ends(1);
  }
  CHECK(engine.frame_begins(1, engine.next_chunk(kChunksMax, kChunkBytes)).into == nullptr);
  CHECK(engine.count<DropConnection>() == 1);
}

TEST_CASE("a sender that repeats what a dead connection swallowed stays within its bound") {
  LoneEngine engine;
  for (std::uint32_t index = 1; index <= 2 * kChunksMax; ++index) engine.link_up(index);
  // Each chunk is on its way twice: the connections that brought it first are dead, and only the sender knows.
  for (std::uint32_t chunk = 0; chunk < kChunksMax; ++chunk)
    REQUIRE(engine.frame_begins(chunk, engine.next_chunk(chunk, kChunkBytes)).into != nullptr);
  for (std::uint32_t chunk = 0; chunk < kChunksMax; ++chunk)
    REQUIRE(engine.frame_begins(kChunksMax + chunk, engine.next_chunk(chunk, kChunkBytes)).into != nullptr);
  // The copies come in whole, then the first ones are given up.
  for (std::uint32_t chunk = 0; chunk < kChunksMax; ++chunk) engine.frame_ends(kChunksMax + chunk);
  for (std::uint32_t chunk = 0; chunk < kChunksMax; ++chunk) engine.link_down(chunk);
  // All that may be parked is parked, each once.
  CHECK(engine.frame_begins(2 * kChunksMax - 1, engine.next_chunk(0, kChunkBytes)).into == nullptr);
  CHECK(engine.count<DropConnection>() == 0);
  engine.frame_ends(2 * kChunksMax - 1);
  CHECK(engine.frame_begins(2 * kChunksMax - 1, engine.next_chunk(kChunksMax, kChunkBytes)).into == nullptr);
  CHECK(engine.count<DropConnection>() == 1);
}

TEST_CASE("three copies of everything are too much") {
  LoneEngine engine;
  for (std::uint32_t index = 1; index <= 3 * kChunksMax; ++index) engine.link_up(index);
  for (std::uint32_t copy = 0; copy < 2; ++copy)
    for (std::uint32_t chunk = 0; chunk < kChunksMax; ++chunk)
      REQUIRE(engine.frame_begins(copy * kChunksMax + chunk, engine.next_chunk(chunk, kChunkBytes)).into != nullptr);
  CHECK(engine.frame_begins(2 * kChunksMax, engine.next_chunk(0, kChunkBytes)).into == nullptr);
  CHECK(engine.count<DropConnection>() == 1);
}

TEST_CASE("the end of an earlier connection is not that of its successor") {
  LoneEngine engine;
  engine.link_up(1, 5);
  engine.link_up(1, 6);
  engine.link_down(1, 5);
  CHECK(engine.frame_begins(1, engine.next_chunk(0, 100)).into != nullptr);
  engine.frame_ends(1);
  engine.link_down(1, 6);
  CHECK(engine.frame_begins(1, engine.next_chunk(1, 100)).into == nullptr);
}
