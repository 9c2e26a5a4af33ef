#include <vector>

#include "catch.hpp"
#include "plan/plan.hpp"

namespace hawser {
namespace {

const std::vector<std::uint64_t> kCounts{1,    2,     3,      7,      16,      17,       4095,     4096,
                                         4097, 65537, 100003, 999983, 1 << 20, 16777216, 600000001};

}  // namespace

TEST_CASE("every plan counts each element of each member once") {
  for (const PlanKind kind : {PlanKind::automatic, PlanKind::ring, PlanKind::direct})
    for (const std::uint32_t world_size : {2U, 3U, 4U, 5U, 8U, 13U, 16U, 33U})
      for (const std::uint64_t elements : kCounts) {
        const Plan plan = make_plan({.kind = kind, .world_size = world_size, .elements = elements});
        const auto checked = plan_check(plan);
        INFO("world size " << world_size << ", " << elements << " elements");
        REQUIRE(checked.ok());
        REQUIRE(plan.kind != PlanKind::automatic);
        REQUIRE(plan.chunking.chunk_elements * 4 <= 512 << 10);
      }
}

TEST_CASE("between hosts of which nothing is known chunks are smaller") {
  const PlanInput input{.world_size = 4, .elements = 1 << 24};
  CHECK(make_plan(input).chunking.chunk_elements * 4 == 512 << 10);
  PlanInput far = input;
  far.between_hosts = true;
  CHECK(make_plan(far).chunking.chunk_elements * 4 == 128 << 10);
}

TEST_CASE("a large buffer gives every root about the same share") {
  const Plan plan = make_plan({.kind = PlanKind::direct, .world_size = 5, .elements = 10000000});
  std::vector<std::uint64_t> share(5);
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk)
    share[plan.trees_of(chunk).root] += plan.chunking.count(chunk);
  for (const std::uint64_t elements : share) {
    CHECK(elements > 1900000);
    CHECK(elements < 2100000);
  }
}

TEST_CASE("a plan that is wrong is refused with the reason") {
  const Plan good = make_plan({.kind = PlanKind::ring, .world_size = 4, .elements = 100000});
  SECTION("an element is counted twice: two ranks are root") {
    Plan plan = good;
    plan.trees[1].reduce_parent[0] = kNoParent;
    CHECK_FALSE(plan_check(plan).ok());
  }
  SECTION("a cycle never reaches the root") {
    Plan plan = good;
    plan.trees[0].reduce_parent[1] = 2;
    plan.trees[0].reduce_parent[2] = 1;
    CHECK_FALSE(plan_check(plan).ok());
  }
  SECTION("a parent out of range") {
    Plan plan = good;
    plan.trees[2].broadcast_parent[0] = 4;
    CHECK_FALSE(plan_check(plan).ok());
  }
  SECTION("a rank is left out") {
    Plan plan = good;
    plan.trees[3].broadcast_parent.pop_back();
    CHECK_FALSE(plan_check(plan).ok());
  }
  SECTION("no trees, no elements, empty chunks") {
    Plan plan = good;
    plan.trees.clear();
    CHECK_FALSE(plan_check(plan).ok());
    plan = good;
    plan.chunking.elements = 0;
    CHECK_FALSE(plan_check(plan).ok());
    plan = good;
    plan.chunking.chunk_elements = 0;
    CHECK_FALSE(plan_check(plan).ok());
  }
}

TEST_CASE("a ring and a star have their shapes") {
  const Trees ring = ring_trees(2, 4);
  CHECK(ring.reduce_parent == std::vector<std::uint32_t>{1, 2, kNoParent, 0});
  CHECK(ring.broadcast_parent == std::vector<std::uint32_t>{3, 0, kNoParent, 2});
  const Trees star = direct_trees(1, 3);
  CHECK(star.reduce_parent == std::vector<std::uint32_t>{1, kNoParent, 1});
  CHECK(star.broadcast_parent == star.reduce_parent);
}

}  // namespace hawser
