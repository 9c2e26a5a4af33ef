#include "runtime/lanes.hpp"

#include <atomic>
#include <asio/post.hpp>
#include <future>
#include <set>
#include <stdexcept>

#include "catch.hpp"

namespace hawser::test {

TEST_CASE("lanes come with cores: none on two or fewer, half as many on more, four at most") {
  CHECK(lanes_for(0) == 0);
  CHECK(lanes_for(1) == 0);
  CHECK(lanes_for(2) == 0);
  CHECK(lanes_for(3) == 1);
  CHECK(lanes_for(4) == 2);
  CHECK(lanes_for(8) == 4);
  CHECK(lanes_for(128) == 4);
}

TEST_CASE("lanes take turns, know their threads, and tell what is thrown there") {
  std::promise<std::string> told;
  auto lanes = Lanes::start(2, [&](const Thrown& thrown) { told.set_value(thrown.sentence.data()); });
  REQUIRE(lanes.ok());
  CHECK((*lanes)->size() == 2);
  CHECK(Lanes::current() == nullptr);
  std::set<Lanes::Lane*> seen;
  for (int turn = 0; turn < 4; ++turn) {
    Lanes::Lane& lane = (*lanes)->next();
    std::promise<Lanes::Lane*> current;
    asio::post(lane.io, [&] { current.set_value(Lanes::current()); });
    CHECK(current.get_future().get() == &lane);
    seen.insert(&lane);
  }
  CHECK(seen.size() == 2);
  Lanes::Lane& lane = (*lanes)->next();
  asio::post(lane.io, [] { throw std::runtime_error("a handler failed"); });
  CHECK(told.get_future().get().find("a handler failed") != std::string::npos);
  // And it goes on.
  std::promise<void> again;
  asio::post(lane.io, [&] { again.set_value(); });
  again.get_future().get();
}

}  // namespace hawser::test
