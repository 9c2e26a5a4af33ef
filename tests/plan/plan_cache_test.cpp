#include "catch.hpp"
#include "plan/network.hpp"
#include "plan/plan_cache.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser {
namespace {

std::shared_ptr<const Network> regions() {
  auto made = make_network(topology::sample_of_regions({}));
  REQUIRE(made.ok());
  return *made;
}

}  // namespace

TEST_CASE("a call that repeats is planned once") {
  const auto network = regions();
  PlanCache cache;
  PlanInput input{.world_size = 8, .elements = 1'000'000, .network = network.get()};
  const auto first = cache.plan(3, input);
  CHECK(*first == make_plan(input));
  CHECK(cache.plan(3, input) == first);
  CHECK(cache.made() == 1);
}

TEST_CASE("whatever a plan depends on makes another one") {
  const auto network = regions();
  PlanCache cache;
  const PlanInput input{.world_size = 8, .elements = 1'000'000, .network = network.get()};
  cache.plan(3, input);
  const auto other = [&](auto change) {
    PlanInput changed = input;
    change(changed);
    const std::uint64_t before = cache.made();
    CHECK(*cache.plan(3, changed) == make_plan(changed));
    return cache.made() - before;
  };
  CHECK(other([](PlanInput& in) { in.kind = PlanKind::ring; }) == 1);
  CHECK(other([](PlanInput& in) { in.elements = 999'999; }) == 1);
  CHECK(other([](PlanInput& in) { in.element_bytes = 2; }) == 1);
  CHECK(other([](PlanInput& in) { in.collective = Collective::broadcast; }) == 1);
  CHECK(other([](PlanInput& in) { in.collective = Collective::broadcast, in.root = 3; }) == 1);
  CHECK(other([](PlanInput& in) { in.wire.down = 1024; }) == 1);
  CHECK(other([](PlanInput& in) { in.margin_percent = 50; }) == 1);
  CHECK(other([](PlanInput& in) { in.network = nullptr; }) == 1);
  CHECK(other([](PlanInput& in) { in.network = nullptr, in.between_hosts = true; }) == 1);
  CHECK(other([](PlanInput& in) { in.network = nullptr, in.world_size = 7; }) == 1);
  CHECK(other([](PlanInput&) {}) == 0);
  cache.plan(4, input);
  CHECK(cache.made() == 12);
  cache.clear();
  CHECK(cache.kept() == 0);
  cache.plan(4, input);
  CHECK(cache.made() == 13);
}

TEST_CASE("the plans used last are kept, up to a number and a size") {
  PlanCache few({.plans = 2, .bytes = 1 << 20});
  const auto plan = [](PlanCache& cache, std::uint64_t elements) {
    const std::uint64_t before = cache.made();
    cache.plan(0, {.world_size = 4, .elements = elements});
    return cache.made() > before;
  };
  CHECK(plan(few, 1));
  CHECK(plan(few, 2));
  CHECK_FALSE(plan(few, 1));
  CHECK(plan(few, 3));
  CHECK_FALSE(plan(few, 1));
  CHECK(plan(few, 2));
  CHECK(few.kept() == 2);
  // One that is too large for the bounds serves until the next comes.
  PlanCache small({.plans = 8, .bytes = 1});
  CHECK(plan(small, 1 << 20));
  CHECK_FALSE(plan(small, 1 << 20));
  CHECK(plan(small, 2 << 20));
  CHECK(small.kept() == 1);
}

}  // namespace hawser
