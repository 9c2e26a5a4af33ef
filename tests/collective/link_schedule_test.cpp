#include "collective/link_schedule.hpp"

#include <vector>

#include "base/limits.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

OpKey key_of(std::uint64_t tag) { return {.epoch = {1}, .view = {7}, .tag = tag, .sequence = 0}; }

constexpr std::size_t kBytes = 256 << 10;
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

FrameHeader chunk_of(std::uint64_t tag, std::uint64_t chunk, Direction direction = Direction::up) {
  FrameHeader frame;
  frame.direction = direction;
  frame.key = key_of(tag);
  frame.chunk = chunk;
  frame.payload_bytes = kBytes;
  return frame;
}

std::vector<std::uint64_t> chunks_sent(LinkSchedule& link, std::uint32_t connection) {
  std::vector<std::uint64_t> chunks;
  while (const auto frame = link.next({}, connection)) chunks.push_back(frame->chunk);
  return chunks;
}

}  // namespace

TEST_CASE("before the other side is ready only the eager share is sent") {
  LinkSchedule link;
  link.connection_up(0);
  for (std::uint64_t chunk = 0; chunk < 16; ++chunk) link.enqueue(chunk_of(1, chunk));
  std::size_t sent = 0;
  while (link.next({}, 0)) ++sent;
  CHECK(sent * kBytes == limits::kEagerBytesLeast);
  CHECK_FALSE(link.has_work());
  SECTION("its word lets the rest go") {
    link.set_ready(key_of(1), kNoLimit);
    while (link.next({}, 0)) ++sent;
    CHECK(sent == 16);
  }
  SECTION("it can be more") {
    link.set_eager(limits::kEagerBytesMax);
    for (std::uint64_t chunk = 16; chunk < 32; ++chunk) link.enqueue(chunk_of(1, chunk));
    while (link.next({}, 0)) ++sent;
    CHECK(sent * kBytes == limits::kEagerBytesMax);
  }
  SECTION("a dropped collective gives its share back") {
    link.drop(key_of(1));
    link.enqueue(chunk_of(2, 0));
    CHECK(link.next({}, 0)->key == key_of(2));
  }
  SECTION("a broken connection gives its share back, and the same chunks go again") {
    link.connection_down(0);
    link.connection_up(1);
    for (std::uint64_t chunk = 0; chunk < 4; ++chunk) CHECK(link.next({}, 1)->chunk == chunk);
    CHECK_FALSE(link.next({}, 1));
  }
}

TEST_CASE("collectives take turns") {
  LinkSchedule link;
  link.connection_up(0);
  for (const std::uint64_t tag : {1, 2, 3}) {
    link.set_ready(key_of(tag), kNoLimit);
    for (std::uint64_t chunk = 0; chunk < 4; ++chunk) link.enqueue(chunk_of(tag, chunk));
  }
  std::vector<std::uint64_t> tags;
  while (const auto frame = link.next({}, 0)) tags.push_back(frame->key.tag);
  CHECK(tags == std::vector<std::uint64_t>{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3});
}

TEST_CASE("a message that goes first passes what was queued before it; others take turns with collectives") {
  LinkSchedule link;
  link.connection_up(0);
  const bool first = GENERATE(true, false);
  for (std::uint64_t chunk = 0; chunk < 3; ++chunk) link.enqueue(chunk_of(1, chunk));
  FrameHeader message = chunk_of(1, 0);
  message.key = message_key(1, 0);
  link.set_ready(message.key, kNoLimit);
  if (first) link.set_first(message.key);
  CHECK(link.next({}, 0)->key == key_of(1));
  for (std::uint64_t chunk = 0; chunk < 2; ++chunk) {
    message.chunk = chunk;
    link.enqueue(message);
  }
  std::vector<bool> is_of_message;
  while (const auto frame = link.next({}, 0)) is_of_message.push_back(is_message(frame->key));
  const std::vector<bool> in_turns{true, false, true, false};
  CHECK(is_of_message == (first ? std::vector{true, true, false, false} : in_turns));
}

TEST_CASE("what a broken connection had not delivered goes over its sisters, in order") {
  LinkSchedule link;
  link.connection_up(0);
  link.connection_up(1);
  link.set_ready(key_of(1), kNoLimit);
  for (std::uint64_t chunk = 0; chunk < 6; ++chunk) link.enqueue(chunk_of(1, chunk));
  for (int i = 0; i < 4; ++i) link.next({}, 0);
  std::vector<OpKey> progressed;
  std::vector<FrameHeader> arrived;
  CHECK(link.acknowledged(0, 2, progressed, arrived));
  CHECK(progressed == std::vector<OpKey>{key_of(1)});
  CHECK(arrived == std::vector<FrameHeader>{chunk_of(1, 0), chunk_of(1, 1)});
  link.connection_down(0);
  std::vector<std::uint64_t> chunks;
  while (const auto frame = link.next({}, 1)) chunks.push_back(frame->chunk);
  CHECK(chunks == std::vector<std::uint64_t>{2, 3, 4, 5});
}

TEST_CASE("after a drop nothing of the collective is sent again, and counts still agree") {
  LinkSchedule link;
  link.connection_up(0);
  link.connection_up(1);
  for (const std::uint64_t tag : {1, 2}) link.set_ready(key_of(tag), kNoLimit);
  link.enqueue(chunk_of(1, 0));
  link.enqueue(chunk_of(2, 0));
  link.next({}, 0);
  link.next({}, 0);
  CHECK(link.drop(key_of(1)) == std::vector<std::uint32_t>{0});
  std::vector<OpKey> progressed;
  std::vector<FrameHeader> arrived;
  CHECK(link.acknowledged(0, 1, progressed, arrived));
  CHECK(progressed.empty());
  link.connection_down(0);
  CHECK(link.next({}, 1)->key == key_of(2));
  CHECK_FALSE(link.next({}, 1));
}

TEST_CASE("an acknowledgement of what was never sent is an error") {
  LinkSchedule link;
  link.connection_up(0);
  std::vector<OpKey> progressed;
  std::vector<FrameHeader> arrived;
  CHECK_FALSE(link.acknowledged(0, 1, progressed, arrived));
  CHECK(link.acknowledged(0, 0, progressed, arrived));
  link.set_ready(key_of(1), kNoLimit);
  link.enqueue(chunk_of(1, 0));
  link.next({}, 0);
  CHECK(link.acknowledged(0, 1, progressed, arrived));
  CHECK_FALSE(link.acknowledged(0, 0, progressed, arrived));
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
  CHECK(frame->kind == FrameKind::acknowledge);
  CHECK(frame->count == 1);
  CHECK_FALSE(link.acknowledgement_due());
  CHECK(link.received(start, 1, 1 << 20));
  CHECK(link.next({}, 1)->count == 2);
}

TEST_CASE("a long payload that trickles in is acknowledged now and then, and counts as progress") {
  LinkSchedule receiver;
  receiver.connection_up(0);
  const Instant start{seconds(1)};
  CHECK(receiver.receiving(start, 0));
  CHECK(receiver.next(start, 0)->count == 0);
  CHECK_FALSE(receiver.receiving(start + milliseconds(499), 0));
  CHECK(receiver.receiving(start + milliseconds(500), 0));
  LinkSchedule sender;
  sender.connection_up(0);
  sender.enqueue(chunk_of(1, 0));
  sender.next(start, 0);
  std::vector<OpKey> progressed;
  std::vector<FrameHeader> arrived;
  CHECK(sender.acknowledged(0, 0, progressed, arrived));
  CHECK(progressed == std::vector<OpKey>{key_of(1)});
  CHECK(sender.owes(key_of(1)));
}

TEST_CASE("chunks on their way up go in their order and stop at the limit; results pass them") {
  LinkSchedule link;
  link.connection_up(0);
  link.set_ready(key_of(1), 3);
  for (const std::uint64_t chunk : {4, 0, 2}) link.enqueue(chunk_of(1, chunk));
  link.enqueue(chunk_of(1, 9, Direction::down));
  CHECK(chunks_sent(link, 0) == std::vector<std::uint64_t>{9, 0, 2});
  CHECK_FALSE(link.has_work());
  CHECK(link.owes(key_of(1)));
  link.set_ready(key_of(1), 2);
  CHECK_FALSE(link.has_work());
  link.set_ready(key_of(1), 5);
  CHECK(link.has_work());
  CHECK(chunks_sent(link, 0) == std::vector<std::uint64_t>{4});
}

TEST_CASE("a window bounds what is under way, until it has arrived or its connection broke") {
  LinkSchedule link;
  link.connection_up(0);
  link.connection_up(1);
  link.set_ready(key_of(1), kNoLimit);
  const bool both = GENERATE(false, true);
  link.set_window(key_of(1), 2 * kBytes, both);
  link.enqueue(chunk_of(1, 7, Direction::down));
  for (const std::uint64_t chunk : {0, 1, 2, 3}) link.enqueue(chunk_of(1, chunk));
  CHECK(chunks_sent(link, 0) == (both ? std::vector<std::uint64_t>{7, 0} : std::vector<std::uint64_t>{7, 0, 1}));
  std::vector<OpKey> progressed;
  std::vector<FrameHeader> arrived;
  CHECK(link.acknowledged(0, 2, progressed, arrived));
  CHECK(chunks_sent(link, 1) == (both ? std::vector<std::uint64_t>{1, 2} : std::vector<std::uint64_t>{2}));
  link.connection_down(1);
  CHECK(chunks_sent(link, 0) == (both ? std::vector<std::uint64_t>{1, 2} : std::vector<std::uint64_t>{2}));
}

TEST_CASE("a pace bounds what is under way in both directions, sums first, and says that it holds back") {
  LinkSchedule link;
  link.connection_up(0);
  link.set_ready(key_of(1), kNoLimit);
  link.set_sums_first(key_of(1));
  link.set_pace(key_of(1), kBytes + 1);
  link.enqueue(chunk_of(1, 7, Direction::down));
  for (const std::uint64_t chunk : {0, 1, 2}) link.enqueue(chunk_of(1, chunk));
  // The pace, and a chunk for the connection.
  CHECK(chunks_sent(link, 0) == std::vector<std::uint64_t>{0, 1});
  CHECK_FALSE(link.has_work());
  CHECK(link.is_held_back());
  std::vector<OpKey> progressed;
  std::vector<FrameHeader> arrived;
  CHECK(link.acknowledged(0, 1, progressed, arrived));
  CHECK(link.has_work());
  CHECK_FALSE(link.is_held_back());
  CHECK(chunks_sent(link, 0) == std::vector<std::uint64_t>{2});
  link.set_pace(key_of(1), 2 * kBytes);
  CHECK(chunks_sent(link, 0) == std::vector<std::uint64_t>{7});
  CHECK_FALSE(link.is_held_back());
  // What a broken connection had counts no more.
  link.connection_down(0);
  link.connection_up(1);
  CHECK(chunks_sent(link, 1) == std::vector<std::uint64_t>{1, 2, 7});
}

TEST_CASE("memory of a payload is kept while it may be in the writing, whatever is acknowledged") {
  LinkSchedule link;
  link.connection_up(0);
  link.set_ready(key_of(1), kNoLimit);
  link.enqueue(chunk_of(1, 0));
  link.next({}, 0);
  const auto memory = std::make_shared<int>(1);
  link.keep(0, memory);
  std::vector<OpKey> progressed;
  std::vector<FrameHeader> arrived;
  // A liar acknowledges what it cannot have yet.
  CHECK(link.acknowledged(0, 1, progressed, arrived));
  CHECK(memory.use_count() == 2);
  CHECK(link.drop(key_of(1)) == std::vector<std::uint32_t>{0});
  CHECK(memory.use_count() == 2);
  CHECK_FALSE(link.next({}, 0));
  CHECK(memory.use_count() == 1);
  CHECK(link.drop(key_of(1)).empty());
}

TEST_CASE("the first connection can be left to words") {
  LinkSchedule link;
  link.connection_up(0);
  link.connection_up(1);
  link.keep_first_free(key_of(1));
  link.set_ready(key_of(1), kNoLimit);
  for (std::uint64_t chunk = 0; chunk < 3; ++chunk) link.enqueue(chunk_of(1, chunk, Direction::down));
  link.enqueue(chunk_of(2, 9, Direction::down));
  CHECK(chunks_sent(link, 0) == std::vector<std::uint64_t>{9});
  FrameHeader word;
  word.kind = FrameKind::want;
  word.key = key_of(1);
  link.enqueue(word);
  CHECK(link.next({}, 0)->kind == FrameKind::want);
  CHECK(link.next({}, 1)->chunk == 0);
  // If it is the only one it takes them too.
  link.connection_down(1);
  CHECK(chunks_sent(link, 0) == std::vector<std::uint64_t>{0, 1, 2});
}

TEST_CASE("what was cancelled is not sent again after a break") {
  LinkSchedule link;
  link.connection_up(0);
  link.set_ready(key_of(1), kNoLimit);
  for (std::uint64_t chunk = 0; chunk < 3; ++chunk) link.enqueue(chunk_of(1, chunk, Direction::down));
  REQUIRE(link.next({}, 0)->chunk == 0);
  link.cancel_all(key_of(1));
  CHECK_FALSE(link.has_work());
  CHECK(link.owes(key_of(1)));
  link.connection_down(0);
  link.connection_up(1);
  CHECK_FALSE(link.next({}, 1));
  CHECK_FALSE(link.owes(key_of(1)));
}

}  // namespace hawser
