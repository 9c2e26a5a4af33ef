#include "membership/op_table.hpp"

#include <set>

#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

OpKey key(std::uint64_t tag) { return {.epoch = {1}, .view = {2}, .tag = tag, .sequence = 0}; }
Instant at(std::int64_t ms) { return Instant(milliseconds(ms)); }
constexpr Signature kTen{.count = 10};
constexpr Signature kTwenty{.count = 20};
constexpr Signature kOptimize{.collective = Collective::optimize, .count = 1};

}  // namespace

TEST_CASE("a collective is begun by its first call and counted by each member once") {
  OpTable table;
  table.begin(3);
  CHECK(table.empty());
  table.call(at(5), 1, key(7), kTen);
  table.call(at(6), 1, key(7), kTen);
  table.call(at(9), 2, key(7), kTen);
  const OpInFlight& op = *table.find(key(7));
  CHECK(op.first_call == at(5));
  CHECK(op.last_call == at(9));
  CHECK(table.last_call() == at(9));
  CHECK(op.called.size() == 2);
  CHECK(table.callers() == 2);
  CHECK(table.open_calls(0) == 0);
  CHECK(table.open_calls(1) == 1);
  CHECK_FALSE(table.called_by_all(op));
  CHECK_FALSE(table.any_called_by_all());
  table.call(at(10), 0, key(7), kTen);
  CHECK(table.called_by_all(op));
  CHECK(table.any_called_by_all());
  CHECK(table.find(key(8)) == nullptr);
}

TEST_CASE("who called something else is known, and the table says that some differ") {
  OpTable table;
  table.begin(3);
  table.call(at(0), 0, key(1), kTen);
  table.call(at(0), 1, key(1), kTwenty);
  table.call(at(0), 2, key(1), kTwenty);
  CHECK(table.any_differs());
  const OpInFlight& op = *table.find(key(1));
  CHECK(op.differs());
  CHECK(op.called_by(0) == kTen);
  CHECK(op.called_by(1) == kTwenty);
  // What one said first counts.
  table.call(at(0), 0, key(1), kTwenty);
  CHECK(op.called_by(0) == kTen);
  table.erase(key(1));
  CHECK_FALSE(table.any_differs());
  CHECK(table.callers() == 0);
}

TEST_CASE("a new view knows no collectives and none of their deadlines") {
  OpTable table;
  table.begin(2);
  for (const std::uint32_t rank : {0U, 1U}) table.call(at(3), rank, key(1), kOptimize);
  table.due.set(key(1), at(50));
  CHECK(table.any_optimizes());
  table.begin(5);
  CHECK(table.empty());
  CHECK(table.view_size() == 5);
  CHECK(table.callers() == 0);
  CHECK_FALSE(table.any_optimizes());
  CHECK_FALSE(table.any_called_by_all());
  CHECK_FALSE(table.due.next());
  CHECK(table.last_call() == Instant{});
}

TEST_CASE("one that is over takes its deadline along") {
  OpTable table;
  table.begin(2);
  table.call(at(0), 0, key(1), kTen);
  table.due.set(key(1), at(50));
  table.erase(key(1));
  CHECK_FALSE(table.due.next());
  table.erase(key(1));
  CHECK(table.empty());
}

TEST_CASE("bounds that begin anew forget complaints and slow links, not who called") {
  OpTable table;
  table.begin(3);
  OpInFlight& op = table.call(at(0), 0, key(1), kTen);
  op.grievances[{2}] = {.since = at(1), .heard_at = at(2), .waiting_for = {}, .unresponsive = {}};
  op.slow_links.tell(at(1), 1, {{.to = 0, .percent = 5}, {.to = 2, .percent = 5}});
  REQUIRE(op.slow_links.straggler());
  op.judge_at = at(3);
  op.lone_since = at(3);
  table.restart_bounds(at(100));
  CHECK(op.first_call == at(100));
  CHECK(op.last_call == at(100));
  CHECK(table.last_call() == at(100));
  CHECK(op.grievances.empty());
  CHECK_FALSE(op.slow_links.straggler());
  CHECK_FALSE(op.judge_at);
  CHECK(op.lone_since == at(100));
  CHECK(op.called.size() == 1);
  CHECK(table.open_calls(0) == 1);
}

TEST_CASE("whatever is called, the counts are those of a search through all collectives") {
  constexpr std::uint32_t kMembers = 4;
  Random random(9);
  OpTable table;
  table.begin(kMembers);
  for (int move = 0; move < 20000; ++move) {
    const OpKey one = key(random.below(8));
    if (random.chance(1, 10)) {
      table.erase(one);
    } else {
      static constexpr Signature kSignatures[] = {kTen, kTen, kTen, kTwenty, kOptimize};
      table.call(at(move), static_cast<std::uint32_t>(random.below(kMembers)), one, kSignatures[random.below(5)]);
    }
    std::vector<std::size_t> open(kMembers);
    bool differs = false;
    bool optimizes = false;
    bool full = false;
    for (const auto& [which, op] : table.ops()) {
      std::set<Signature> called;
      op.called.for_each([&](std::uint32_t rank) {
        ++open[rank];
        called.insert(op.called_by(rank));
      });
      REQUIRE(op.differs() == (called.size() > 1));
      differs = differs || op.differs();
      optimizes = optimizes || op.signature.collective == Collective::optimize;
      full = full || op.called.size() == kMembers;
    }
    std::uint32_t callers = 0;
    for (std::uint32_t rank = 0; rank < kMembers; ++rank) {
      REQUIRE(table.open_calls(rank) == open[rank]);
      callers += open[rank] > 0 ? 1 : 0;
    }
    REQUIRE(table.callers() == callers);
    REQUIRE(table.any_differs() == differs);
    REQUIRE(table.any_optimizes() == optimizes);
    REQUIRE(table.any_called_by_all() == full);
  }
}

}  // namespace hawser
