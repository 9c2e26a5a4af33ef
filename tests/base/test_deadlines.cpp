#include <cstdint>
#include <map>
#include <optional>

#include "base/deadlines.hpp"
#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

Instant at(std::int64_t ms) { return Instant(milliseconds(ms)); }

}  // namespace

TEST_CASE("deadlines come in order, each once, and not before their time") {
  Deadlines<int> deadlines;
  CHECK_FALSE(deadlines.next());
  CHECK_FALSE(deadlines.pop_due(at(100)));
  deadlines.set(1, at(30));
  deadlines.set(2, at(10));
  deadlines.set(3, at(20));
  CHECK(deadlines.next() == at(10));
  CHECK_FALSE(deadlines.pop_due(at(9)));
  CHECK(deadlines.pop_due(at(10)) == 2);
  CHECK_FALSE(deadlines.pop_due(at(10)));
  CHECK(deadlines.pop_due(at(100)) == 3);
  CHECK(deadlines.pop_due(at(100)) == 1);
  CHECK_FALSE(deadlines.next());
}

TEST_CASE("a key has one deadline: the last that was set") {
  Deadlines<int> deadlines;
  deadlines.set(1, at(10));
  deadlines.set(2, at(15));
  SECTION("later") {
    deadlines.set(1, at(20));
    CHECK(deadlines.pop_due(at(20)) == 2);
    CHECK(deadlines.pop_due(at(20)) == 1);
  }
  SECTION("sooner") {
    deadlines.set(2, at(5));
    CHECK(deadlines.pop_due(at(5)) == 2);
    CHECK(deadlines.pop_due(at(10)) == 1);
  }
  SECTION("the same again") {
    deadlines.set(1, at(10));
    CHECK(deadlines.pop_due(at(20)) == 1);
    CHECK(deadlines.pop_due(at(20)) == 2);
  }
  CHECK_FALSE(deadlines.next());
}

TEST_CASE("what is cleared does not come, and may be set again") {
  Deadlines<int> deadlines;
  deadlines.clear(1);
  deadlines.set(1, at(10));
  deadlines.set(2, at(20));
  SECTION("one") {
    deadlines.clear(1);
    CHECK(deadlines.next() == at(20));
  }
  SECTION("by no deadline") {
    deadlines.set(1, std::nullopt);
    CHECK(deadlines.next() == at(20));
  }
  SECTION("all") {
    deadlines.clear_all();
    CHECK_FALSE(deadlines.next());
  }
  deadlines.set(1, at(30));
  deadlines.clear(2);
  CHECK(deadlines.pop_due(at(30)) == 1);
}

TEST_CASE("keys of one instant come in their order") {
  Deadlines<int> deadlines;
  for (const int key : {3, 1, 2}) deadlines.set(key, at(5));
  for (const int key : {1, 2, 3}) CHECK(deadlines.pop_due(at(5)) == key);
}

TEST_CASE("whatever is set and cleared, they are those of a table that is searched through") {
  Random random(7);
  Deadlines<std::uint64_t> deadlines;
  std::map<std::uint64_t, Instant> table;
  Instant now{};
  for (int move = 0; move < 20000; ++move) {
    const std::uint64_t key = random.below(20);
    if (random.chance(1, 4)) {
      deadlines.clear(key);
      table.erase(key);
    } else if (random.chance(1, 2)) {
      const Instant when = now + milliseconds(random.below(50));
      deadlines.set(key, when);
      table[key] = when;
    } else {
      now += milliseconds(random.below(10));
      while (const auto due = deadlines.pop_due(now)) {
        REQUIRE(table.contains(*due));
        REQUIRE(table.at(*due) <= now);
        table.erase(*due);
      }
    }
    std::optional<Instant> next;
    for (const auto& [one, when] : table) next = earlier(next, when);
    REQUIRE(deadlines.next() == next);
  }
}

}  // namespace hawser
