#include "collective/link_schedule.hpp"

#include <vector>

#include "base/limits.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

OpKey key_of(std::uint64_t tag) { return {.epoch = {1}, .view = {7}, .tag = tag, .sequence = 0}; }

LinkSchedule::Frame chunk_of(std::uint64_t tag, std::uint64_t chunk, std::span<const std::byte> payload) {
  LinkSchedule::Frame frame;
  frame.header.key = key_of(tag);
  frame.header.chunk = chunk;
  frame.header.payload_bytes = static_cast<std::uint32_t>(payload.size());
  frame.payload = payload;
  return frame;
}

const std::vector<std::byte> kPayload(256 << 10);

}  // namespace

TEST_CASE("before the other side is ready only the eager share is sent") {
  LinkSchedule link;
  link.connection_up(0);
  for (std::uint64_t chunk = 0; chunk < 16; ++chunk) link.enqueue(chunk_of(1, chunk, kPayload));
  std::size_t sent = 0;
  while (link.next({}, 0)) ++sent;
  CHECK(sent * kPayload.size() == limits::kEagerBytesMax);
  CHECK_FALSE(link.has_work());
  SECTION("its word lets the rest go") {
    link.set_ready(key_of(1));
    while (link.next({}, 0)) ++sent;
    CHECK(sent == 16);
  }
  SECTION("a dropped collective gives its share back") {
    link.drop(key_of(1));
    link.enqueue(chunk_of(2, 0, kPayload));
    CHECK(link.next({}, 0)->header.key == key_of(2));
  }
  SECTION("a broken connection gives its share back, and the same chunks go again") {
    link.connection_down(0);
    link.connection_up(1);
    for (std::uint64_t chunk = 0; chunk < 4; ++chunk) CHECK(link.next({}, 1)->header.chunk == chunk);
    CHECK_FALSE(link.next({}, 1));
  }
}

TEST_CASE("collectives take turns") {
  LinkSchedule link;
  link.connection_up(0);
  for (const std::uint64_t tag : {1, 2, 3}) {
    link.set_ready(key_of(tag));
    for (std::uint64_t chunk = 0; chunk < 4; ++chunk) link.enqueue(chunk_of(tag, chunk, kPayload));
  }
  std::vector<std::uint64_t> tags;
  while (const auto frame = link.next({}, 0)) tags.push_back(frame->header.key.tag);
  CHECK(tags == std::vector<std::uint64_t>{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3});
}

TEST_CASE("what a broken connection had not delivered goes over its sisters, in order") {
  LinkSchedule link;
  link.connection_up(0);
  link.connection_up(1);
  link.set_ready(key_of(1));
  for (std::uint64_t chunk = 0; chunk < 6; ++chunk) link.enqueue(chunk_of(1, chunk, kPayload));
  for (int i = 0; i < 4; ++i) link.next({}, 0);
  std::vector<OpKey> progressed;
  CHECK(link.acknowledged(0, 2, progressed));
  CHECK(progressed == std::vector<OpKey>{key_of(1)});
  link.connection_down(0);
  std::vector<std::uint64_t> chunks;
  while (const auto frame = link.next({}, 1)) chunks.push_back(frame->header.chunk);
  CHECK(chunks == std::vector<std::uint64_t>{2, 3, 4, 5});
}

TEST_CASE("after a drop nothing of the collective is sent again, and counts still agree") {
  LinkSchedule link;
  link.connection_up(0);
  link.connection_up(1);
  for (const std::uint64_t tag : {1, 2}) link.set_ready(key_of(tag));
  link.enqueue(chunk_of(1, 0, kPayload));
  link.enqueue(chunk_of(2, 0, kPayload));
  link.next({}, 0);
  link.next({}, 0);
  CHECK(link.drop(key_of(1)) == std::vector<std::uint32_t>{0});
  std::vector<OpKey> progressed;
  CHECK(link.acknowledged(0, 1, progressed));
  CHECK(progressed.empty());
  link.connection_down(0);
  CHECK(link.next({}, 1)->header.key == key_of(2));
  CHECK_FALSE(link.next({}, 1));
}

TEST_CASE("an acknowledgement of what was never sent is an error") {
  LinkSchedule link;
  link.connection_up(0);
  std::vector<OpKey> progressed;
  CHECK_FALSE(link.acknowledged(0, 1, progressed));
  CHECK(link.acknowledged(0, 0, progressed));
  link.set_ready(key_of(1));
  link.enqueue(chunk_of(1, 0, kPayload));
  link.next({}, 0);
  CHECK(link.acknowledged(0, 1, progressed));
  CHECK_FALSE(link.acknowledged(0, 0, progressed));
}

TEST_CASE("acknowledgements go in company, or after a while, on their own connection") {
  LinkSchedule link;
  link.connection_up(0);
  link.connection_up(1);
  const Instant start{};
  CHECK_FALSE(link.received(start, 1, 100));
  CHECK_FALSE(link.next({}, 1));
  REQUIRE(link.acknowledgement_due());
  CHECK_FALSE(link.release_acknowledgements(start));
  CHECK(link.release_acknowledgements(*link.acknowledgement_due()));
  CHECK_FALSE(link.next({}, 0));
  const auto frame = link.next({}, 1);
  REQUIRE(frame);
  CHECK(frame->header.kind == FrameKind::acknowledge);
  CHECK(frame->header.count == 1);
  CHECK_FALSE(link.acknowledgement_due());
  CHECK(link.received(start, 1, 1 << 20));
  CHECK(link.next({}, 1)->header.count == 2);
}

TEST_CASE("a long payload that trickles in is acknowledged now and then, and counts as progress") {
  LinkSchedule receiver;
  receiver.connection_up(0);
  const Instant start{seconds(1)};
  CHECK(receiver.receiving(start, 0));
  CHECK(receiver.next(start, 0)->header.count == 0);
  CHECK_FALSE(receiver.receiving(start + milliseconds(499), 0));
  CHECK(receiver.receiving(start + milliseconds(500), 0));
  LinkSchedule sender;
  sender.connection_up(0);
  sender.enqueue(chunk_of(1, 0, kPayload));
  sender.next(start, 0);
  std::vector<OpKey> progressed;
  CHECK(sender.acknowledged(0, 0, progressed));
  CHECK(progressed == std::vector<OpKey>{key_of(1)});
  CHECK(sender.owes(key_of(1)));
}

}  // namespace hawser
