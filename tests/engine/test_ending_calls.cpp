/// The ends of calls: works that put their memory in order, and what is undone where these do not come back.
#include <algorithm>
#include <cstring>
#include <vector>

#include "../catch.hpp"
#include "collective/call_memory.hpp"
#include "collective/wire_bytes.hpp"
#include "lone_engine.hpp"
#include "plan/plan.hpp"

using namespace hawser;
using hawser::test::LoneEngine;

namespace {

constexpr std::size_t kSliceBytes = 1 << 20;

/// An in-place all-reduce that has got the other's contributions to all chunks of which this peer is the root.
class Changed {
 public:
  explicit Changed(std::size_t elements, std::uint32_t relays = 0)
      : values(elements, 1.0F), engine({.name = "me", .ending_work_bytes = kSliceBytes}, relays) {
    start.collective.signature = {.plan = PlanKind::direct, .count = values.size()};
    start.collective.send = reinterpret_cast<const std::byte*>(values.data());
    start.collective.receive = reinterpret_cast<std::byte*>(values.data());
    engine.step(start);
    const Signature& signature = start.collective.signature;
    const Plan plan = make_plan({.kind = PlanKind::direct,
                                 .world_size = 2,
                                 .elements = values.size(),
                                 .element_bytes = chunking_bytes(signature),
                                 .wire = wire_bytes(signature),
                                 .between_hosts = true,
                                 .relays = relays});
    for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk)
      if (plan.trees[plan.tree_index(chunk)].reduce_parent[0] == kNoParent)
        chunks.push_back({.chunk = chunk, .bytes = static_cast<std::uint32_t>(plan.chunking.count(chunk) * 4)});
  }
  void contributions_come() {
    for (const auto& one : chunks) {
      const Landing landing = engine.frame_begins(0, header(one.chunk, one.bytes));
      REQUIRE(landing.into != nullptr);
      std::fill_n(reinterpret_cast<float*>(landing.into), one.bytes / 4, 7.0F);
      engine.frame_ends(0);
    }
  }
  /// All works of a call's end that are under way; checks their bounds.
  std::size_t slices() const {
    for (const RunWork& one : engine.held()) {
      CHECK(one.may_wait);
      CHECK(one.work.bytes < kSliceBytes + 2 * (512 << 10));
    }
    CHECK(engine.held().size() <= 4);
    return engine.held().size();
  }
  bool intact() const {
    return std::all_of(values.begin(), values.end(), [](float value) { return value == 1.0F; });
  }

  struct Chunk {
    std::uint64_t chunk = 0;
    std::uint32_t bytes = 0;
  };
  std::vector<float> values;
  std::vector<Chunk> chunks;
  LoneEngine engine;
  CollectiveStart start{.call = {9}, .collective = {}, .tag = 4};

  OpKey key() const { return {.epoch = engine.view().epoch, .view = engine.view().id, .tag = 4, .sequence = 0}; }

 private:
  FrameHeader header(std::uint64_t chunk, std::uint32_t bytes) const {
    FrameHeader header;
    header.key = key();
    header.signature = fingerprint(start.collective.signature);
    header.chunk = chunk;
    header.payload_bytes = bytes;
    return header;
  }
};

Error end_of(const LoneEngine& engine, CallId call) {
  for (const EngineAction& action : engine.out())
    if (const auto* done = std::get_if<CallDone>(&action); done != nullptr && done->call == call) return done->error;
  FAIL("the call has not ended");
  return {};
}

}  // namespace

TEST_CASE("a large input comes back in works of bounded size, and its call ends after the last one") {
  for (const bool backwards : {false, true}) {
    Changed call(8 << 20);
    call.contributions_come();
    REQUIRE_FALSE(call.intact());
    call.engine.hold_works();
    call.engine.step(LeaveCall{});
    std::size_t finished = 0;
    while (call.slices() > 0) {
      CHECK_FALSE(call.intact());
      CHECK(call.engine.count<CallDone>() == 0);
      call.engine.finish(backwards ? call.slices() - 1 : 0);
      ++finished;
    }
    CHECK(finished >= 16);
    CHECK(end_of(call.engine, {9}).status == Status::closed);
    CHECK(call.intact());
  }
}

TEST_CASE("works of the collective come back before its memory is put in order") {
  Changed call(1 << 20);
  call.engine.hold_works();
  call.contributions_come();
  const std::size_t works = call.engine.held().size();
  REQUIRE(works > 1);
  call.engine.step(LeaveCall{});
  for (std::size_t left = works; left > 0; --left) {
    REQUIRE(call.engine.held().size() == left);
    call.engine.finish(left - 1);
    CHECK(call.engine.count<CallDone>() == 0);
  }
  CHECK_FALSE(call.intact());
  REQUIRE(call.slices() > 0);
  while (call.slices() > 0) call.engine.finish(0);
  CHECK(end_of(call.engine, {9}).status == Status::closed);
  CHECK(call.intact());
}

TEST_CASE("an engine that is asked no more puts all inputs back, whatever works have done") {
  for (std::size_t finished = 0; finished < 8; ++finished) {
    Changed call(8 << 20);
    call.contributions_come();
    if (finished > 0) {
      call.engine.hold_works();
      call.engine.step(LeaveCall{});
      for (std::size_t i = 1; i < finished; ++i) call.engine.finish(call.slices() / 2);
    }
    REQUIRE_FALSE(call.intact());
    call.engine.engine().undo_all();
    CHECK(call.intact());
    // A second time nobody may be there any more who owns the memory.
    call.values.assign(call.values.size(), 2.0F);
    call.engine.engine().undo_all();
    CHECK(call.values == std::vector<float>(call.values.size(), 2.0F));
  }
}

TEST_CASE("until a caller is told, also the input of a success can be put back") {
  for (const bool told : {false, true}) {
    Changed call(1 << 20);
    call.contributions_come();
    call.engine.say(Committed{.key = call.key(), .measures = 0});
    CHECK(end_of(call.engine, {9}).status == Status::success);
    REQUIRE_FALSE(call.intact());
    if (told) call.engine.engine().call_told({9});
    call.engine.engine().undo_all();
    CHECK(call.intact() == !told);
  }
}

TEST_CASE("a tag is in use, and update-topology too early, until the caller has been told") {
  Changed call(1 << 20);
  call.contributions_come();
  call.engine.say(Committed{.key = call.key(), .measures = 0});
  CollectiveStart again = call.start;
  again.call = {10};
  call.engine.step(again);
  CHECK(end_of(call.engine, {10}).status == Status::invalid_usage);
  call.engine.step(UpdateTopologyCall{.call = {11}});
  CHECK(end_of(call.engine, {11}).status == Status::invalid_usage);
  call.engine.engine().call_told({9});
  call.engine.step(again);
  CHECK(call.engine.count<CallDone>() == 0);
}

TEST_CASE("a call that a lost relay undid shares what becomes of the next view while its memory is put in order") {
  Changed call(8 << 20, 2);
  call.contributions_come();
  call.engine.hold_works();
  const Epoch called = call.engine.view().epoch;
  call.engine.next_view(true, {Status::peer_lost, "a relay is lost"}, called);
  REQUIRE(call.slices() > 0);
  call.engine.finish(0);
  const auto finish_all = [&] {
    while (call.slices() > 0) {
      CHECK(call.engine.count<CallDone>() == 0);
      call.engine.finish(0);
    }
    CHECK(call.intact());
  };
  SECTION("another relay is lost: it begins again after that") {
    call.engine.next_view(true, {Status::peer_lost, "a relay is lost"}, called);
    finish_all();
    CHECK(call.engine.count<CallDone>() == 0);
    call.engine.say(Committed{.key = call.key()});
    CHECK(end_of(call.engine, {9}).status == Status::success);
  }
  SECTION("something else ends that view: the call ends likewise") {
    call.engine.next_view(false, {Status::mismatch, "they called different things"},
                          {call.engine.view().epoch.value + 1});
    finish_all();
    CHECK(end_of(call.engine, {9}).status == Status::mismatch);
  }
}
