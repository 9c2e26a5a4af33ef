#include <string>
#include <vector>

#include "catch.hpp"
#include "transport/lookup_queue.hpp"

using namespace hawser;
using transport::LookupQueue;

namespace {

/// What comes out, in order, until it is empty; our own names with a '*'.
std::vector<std::string> take_all(LookupQueue& queue) {
  std::vector<std::string> taken;
  while (const auto next = queue.take()) taken.push_back(next->host + (next->own ? "*" : ""));
  return taken;
}

std::string name(std::size_t number) { return "host-" + std::to_string(number); }

}  // namespace

TEST_CASE("sources take turns, and each source's names keep their order") {
  LookupQueue queue;
  for (const char* host : {"a1", "a2", "a3"}) REQUIRE(queue.put(host, 1).ok());
  REQUIRE(queue.put("b1", 2).ok());
  for (const char* host : {"c1", "c2"}) REQUIRE(queue.put(host, 3).ok());
  CHECK(take_all(queue) == std::vector<std::string>{"a1", "b1", "c1", "a2", "c2", "a3"});
  CHECK(queue.places() == 0);
}

TEST_CASE("a source that comes later is served after those that wait, and before their second names") {
  LookupQueue queue;
  for (const char* host : {"a1", "a2"}) REQUIRE(queue.put(host, 1).ok());
  for (const char* host : {"b1", "b2"}) REQUIRE(queue.put(host, 2).ok());
  CHECK(queue.take()->host == "a1");
  REQUIRE(queue.put("c1", 3).ok());
  CHECK(take_all(queue) == std::vector<std::string>{"b1", "a2", "c1", "b2"});
}

TEST_CASE("our own names come first, in their order, and can be asked for alone") {
  LookupQueue queue;
  REQUIRE(queue.put("a1", 1).ok());
  CHECK_FALSE(queue.has_next(false));
  CHECK_FALSE(queue.take(false));
  REQUIRE(queue.put("master", {}).ok());
  REQUIRE(queue.put("store", {}).ok());
  CHECK(queue.take(false)->host == "master");
  CHECK(take_all(queue) == std::vector<std::string>{"store*", "a1"});
}

TEST_CASE("a name of several sources is taken once, when its first turn comes") {
  LookupQueue queue;
  for (const char* host : {"a1", "a2", "shared"}) REQUIRE(queue.put(host, 1).ok());
  for (const char* host : {"shared", "b1"}) REQUIRE(queue.put(host, 2).ok());
  // Put again it keeps its place.
  REQUIRE(queue.put("a1", 1).ok());
  CHECK(queue.places() == 5);
  CHECK(take_all(queue) == std::vector<std::string>{"a1", "shared", "a2", "b1"});
  CHECK(queue.places() == 0);
}

TEST_CASE("a source has a bounded number of places, which come free again") {
  LookupQueue queue;
  for (std::size_t i = 0; i < LookupQueue::kPlacesPerSourceMax; ++i) REQUIRE(queue.put(name(i), 1).ok());
  const auto refused = queue.put("one more", 1);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status() == Status::system);
  CHECK(refused.error().sentence.find("\"one more\"") != std::string::npos);
  CHECK(queue.put(name(3), 1).ok());
  CHECK(queue.put("one more", 2).ok());
  CHECK(queue.take()->host == name(0));
  CHECK(queue.put("one more", 1).ok());
}

TEST_CASE("there is a bounded number of places in all, some of them for our own names only") {
  LookupQueue queue;
  const std::size_t for_others = LookupQueue::kPlacesMax - LookupQueue::kOwnPlaces;
  for (std::size_t i = 0; i < for_others; ++i) REQUIRE(queue.put(name(i), i).ok());
  CHECK_FALSE(queue.put("one more", 1000).ok());
  for (std::size_t i = 0; i < LookupQueue::kOwnPlaces; ++i) REQUIRE(queue.put("own " + name(i), {}).ok());
  CHECK_FALSE(queue.put("one more", {}).ok());
  CHECK(queue.places() == LookupQueue::kPlacesMax);
  CHECK(take_all(queue).size() == LookupQueue::kPlacesMax);
}
