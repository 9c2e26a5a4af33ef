#include <vector>

#include "catch.hpp"
#include "sim/event_queue.hpp"
#include "sim/lane.hpp"

using namespace hawser;

TEST_CASE("events run in the order of their instants, then of their asking") {
  sim::EventQueue queue;
  std::vector<int> ran;
  queue.after(milliseconds(2), [&] { ran.push_back(3); });
  queue.after(milliseconds(1), [&] { ran.push_back(1); });
  queue.after(milliseconds(1), [&] {
    ran.push_back(2);
    queue.after(milliseconds(5), [&] { ran.push_back(4); });
  });
  while (queue.step()) {
  }
  CHECK(ran == std::vector{1, 2, 3, 4});
  CHECK(queue.executed() == 4);
  CHECK(queue.now() == Instant{} + milliseconds(6));
}

TEST_CASE("an event that is asked for in the past runs now") {
  sim::EventQueue queue;
  queue.after(milliseconds(3), [] {});
  queue.step();
  queue.at(Instant{}, [] {});
  CHECK(queue.next_due() == Instant{} + milliseconds(3));
}

TEST_CASE("a lane keeps its order whatever the delays") {
  sim::Lane<int> lane;
  const Instant start{};
  CHECK(lane.put(start + milliseconds(5), 1) == start + milliseconds(5));
  CHECK(lane.put(start + milliseconds(1), 2) == start + milliseconds(5));
  CHECK_FALSE(lane.readable(start + milliseconds(4)));
  CHECK(lane.readable(start + milliseconds(5)));
  CHECK(lane.take() == 1);
  CHECK(lane.take() == 2);
}

TEST_CASE("a cut lane loses what it shall") {
  Random random(1);
  const auto left = [&](sim::Keep keep) {
    sim::Lane<int> lane;
    for (int i = 0; i < 10; ++i) lane.put(Instant{}, i);
    lane.cut(random, keep);
    CHECK(lane.is_cut());
    return lane.size();
  };
  CHECK(left(sim::Keep::none) == 0);
  CHECK(left(sim::Keep::some) <= 10);
  CHECK(left(sim::Keep::all) == 10);
}
