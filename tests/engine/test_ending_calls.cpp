/// The ends of calls, slice by slice.
#include "engine/ending_calls.hpp"

#include <cstring>
#include <vector>

#include "../catch.hpp"
#include "collective/planned_collective.hpp"
#include "lone_engine.hpp"

using namespace hawser;
using hawser::test::LoneEngine;

namespace {

/// An in-place all-reduce of two, whose chunks have all been changed.
struct Changed {
  explicit Changed(std::uint64_t chunks) : values(chunks * kChunkBytes / 4, 1.0F) {
    const Signature signature{.plan = PlanKind::direct, .count = values.size()};
    auto made = PlannedCollective::create(make_plan({.kind = PlanKind::direct,
                                            .world_size = 2,
                                            .elements = values.size(),
                                            .element_bytes = chunking_bytes(signature)}),
                                 {.signature = signature,
                                  .send = reinterpret_cast<const std::byte*>(values.data()),
                                  .receive = reinterpret_cast<std::byte*>(values.data())});
    REQUIRE(made.ok());
    Execution::Output output;
    for (std::uint64_t chunk = 0; chunk < (*made)->chunks(); ++chunk)
      REQUIRE((*made)->landing(chunk, output) != nullptr);
    WorkDesk desk;
    for (const auto& order : output.works) (void)run(order.work, desk);
    execution = std::move(*made);
    std::fill(values.begin(), values.end(), 2.0F);
  }
  std::size_t restored() const { return static_cast<std::size_t>(std::count(values.begin(), values.end(), 1.0F)) * 4; }

  static constexpr std::size_t kChunkBytes = 512 << 10;
  std::vector<float> values;
  std::shared_ptr<Execution> execution;
};

CallDone aborted(CallId call) { return {.call = call, .error = {Status::peer_lost, "a test"}, .info = {}}; }

}  // namespace

TEST_CASE("a large input comes back in slices, and its call ends after the last one") {
  Changed call(20);
  const std::size_t bytes = call.values.size() * 4;
  EndingCalls endings(bytes / 5);
  RestoreInput restore{.call = {1}, .execution = call.execution};
  endings.take(restore);
  CallDone done = aborted({1});
  CHECK_FALSE(endings.may_end(done));
  CHECK(endings.has({1}));
  int turns = 1;
  std::optional<CallDone> ended;
  for (std::size_t before = call.restored(); !ended; before = call.restored()) {
    CHECK(before > 0);
    CHECK(before < bytes);
    endings.turn_ends();
    ended = endings.next();
    ++turns;
    // A slice, give or take a chunk.
    CHECK(call.restored() - before <= bytes / 5 + Changed::kChunkBytes);
  }
  CHECK(turns >= 5);
  CHECK(ended->error.status == Status::peer_lost);
  CHECK(call.restored() == bytes);
  CHECK_FALSE(endings.has_work());
}

TEST_CASE("a turn's budget is that of all calls together") {
  Changed large(20);
  Changed small(1);
  EndingCalls endings(1);
  RestoreInput first{.call = {1}, .execution = large.execution};
  RestoreInput second{.call = {2}, .execution = small.execution};
  endings.take(first);
  endings.take(second);
  CHECK(small.restored() == 0);
  CallDone one = aborted({1});
  CallDone two = aborted({2});
  CHECK_FALSE(endings.may_end(one));
  CHECK_FALSE(endings.may_end(two));
  std::vector<std::uint64_t> order;
  while (endings.has_work()) {
    endings.turn_ends();
    while (const auto done = endings.next()) order.push_back(done->call.value);
  }
  CHECK(order == std::vector<std::uint64_t>{1, 2});
  CHECK(small.restored() == small.values.size() * 4);
}

TEST_CASE("who is in a hurry gets all ends at once") {
  Changed call(20);
  EndingCalls endings(1);
  RestoreInput restore{.call = {1}, .execution = call.execution};
  endings.take(restore);
  CallDone done = aborted({1});
  CHECK_FALSE(endings.may_end(done));
  endings.hurry();
  CHECK(endings.next().has_value());
  CHECK(call.restored() == call.values.size() * 4);
}

TEST_CASE("what has not been told is undone, also the end of a success") {
  Changed aborted_call(20);
  Changed committed(3);
  EndingCalls endings(1);
  RestoreInput restore{.call = {1}, .execution = aborted_call.execution};
  SettleResult settle{.call = {2}, .execution = committed.execution};
  endings.take(restore);
  endings.take(settle);
  endings.undo_all();
  CHECK(aborted_call.restored() == aborted_call.values.size() * 4);
  CHECK(committed.restored() == committed.values.size() * 4);
  CHECK_FALSE(endings.has_work());
}

TEST_CASE("an engine that is asked no more puts all inputs back") {
  LoneEngine engine;
  std::vector<float> values(1000, 1.0F);
  CollectiveStart start{.call = {9}, .collective = {}, .tag = 4};
  start.collective.signature = {.plan = PlanKind::direct, .count = values.size()};
  start.collective.send = reinterpret_cast<const std::byte*>(values.data());
  start.collective.receive = reinterpret_cast<std::byte*>(values.data());
  engine.step(start);
  // The other one's contribution to the chunk that this peer is the root of.
  FrameHeader header;
  header.key = {.epoch = engine.view().epoch, .view = engine.view().id, .tag = 4, .sequence = 0};
  header.signature = fingerprint(start.collective.signature);
  bool changed = false;
  for (std::uint64_t chunk = 0; chunk < 2; ++chunk)
    for (const std::uint32_t bytes : {2000U, 4000U}) {
      header.chunk = chunk;
      header.payload_bytes = bytes;
      const Landing landing = engine.frame_begins(0, header);
      if (landing.into == nullptr) {
        engine.link_up(0);
        continue;
      }
      std::fill_n(reinterpret_cast<float*>(landing.into), bytes / 4, 7.0F);
      engine.frame_ends(0);
      changed = true;
    }
  REQUIRE(changed);
  REQUIRE(values != std::vector<float>(1000, 1.0F));
  engine.engine().undo_all();
  CHECK(values == std::vector<float>(1000, 1.0F));
}
