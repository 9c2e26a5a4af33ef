#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/link_layout.hpp"
#include "catch.hpp"
#include "plan/plan.hpp"
#include "plan/plan_rows.hpp"

/// Plans of groups whose members have links along rows and columns of ranks only.
namespace hawser {
namespace {

constexpr LinkLayout kLayouts[] = {{.all_links_max = 3, .width = 2}, {.all_links_max = 7, .width = 4}, {}};

bool keeps_to_links(const LinkLayout& layout, const std::vector<std::uint32_t>& parents) {
  const auto members = static_cast<std::uint32_t>(parents.size());
  for (std::uint32_t rank = 0; rank < members; ++rank)
    if (parents[rank] != kNoParent && !layout.has_link(rank, parents[rank], members)) return false;
  return true;
}

std::uint32_t depth(const std::vector<std::uint32_t>& parents) {
  std::uint32_t deepest = 0;
  for (std::uint32_t rank = 0; rank < parents.size(); ++rank) {
    std::uint32_t hops = 0;
    for (std::uint32_t at = rank; parents[at] != kNoParent; at = parents[at]) ++hops;
    deepest = std::max(deepest, hops);
  }
  return deepest;
}

/// Chunks that each rank sends, as many as the busiest one.
std::vector<double> sent(const Plan& plan) {
  std::vector<double> chunks(plan.world_size);
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk) {
    const Trees& trees = plan.trees_of(chunk);
    for (std::uint32_t rank = 0; rank < plan.world_size; ++rank) {
      if (plan.climbs() && rank != trees.root) ++chunks[rank];
      if (plan.descends() && rank != trees.root) ++chunks[trees.broadcast_parent[rank]];
    }
  }
  return chunks;
}

}  // namespace

TEST_CASE("all plans keep to the links that there are") {
  for (const LinkLayout& layout : kLayouts)
    for (const std::uint32_t more : {1U, 2U, 3U, 5U, 8U, 31U, 33U, 200U})
      for (const Collective collective : {Collective::all_reduce, Collective::broadcast, Collective::all_gather,
                                          Collective::reduce_scatter})
        for (const PlanKind kind :
             {PlanKind::automatic, PlanKind::direct, PlanKind::hierarchical, PlanKind::ring})
          for (const std::uint64_t elements : {1ULL, 5000ULL, 3000000ULL}) {
            const std::uint32_t size = layout.all_links_max + more;
            const std::uint32_t root = (size - 1) / static_cast<std::uint32_t>(1 + elements % 3);
            const Plan plan = make_plan({.kind = kind,
                                         .world_size = size,
                                         .elements = elements,
                                         .collective = collective,
                                         .root = collective == Collective::broadcast ? root : 0,
                                         .row_width = layout.row_width(size)});
            INFO(size << " members, width " << layout.width << ", " << elements << " elements, kind "
                      << static_cast<int>(kind) << ", collective " << static_cast<int>(collective));
            REQUIRE(plan_check(plan).ok());
            REQUIRE(plan.kind == (kind == PlanKind::ring ? PlanKind::ring : PlanKind::hierarchical));
            for (const Trees& trees : plan.trees) {
              if (plan.climbs()) REQUIRE(keeps_to_links(layout, trees.reduce_parent));
              REQUIRE(keeps_to_links(layout, trees.broadcast_parent));
              if (kind != PlanKind::ring) REQUIRE(depth(trees.broadcast_parent) <= 3);
            }
          }
}

TEST_CASE("a barrier has no trees") {
  CHECK(
      make_plan({.world_size = 200, .elements = 0, .collective = Collective::barrier, .row_width = 32}).trees.empty());
}

TEST_CASE("sums and results take two hops each, and each member sends hardly more than on any other plan") {
  const Plan plan = make_plan({.world_size = 1024, .elements = std::uint64_t{1} << 30, .row_width = 32});
  for (const Trees& trees : plan.trees) CHECK(depth(trees.reduce_parent) == 2);
  const std::vector<double> chunks = sent(plan);
  const auto all = static_cast<double>(plan.chunking.chunks());
  CHECK(*std::max_element(chunks.begin(), chunks.end()) == Approx(2 * all).epsilon(0.01));
  // Where the last row is not whole, its members lean on one row after the other.
  const Plan odd = make_plan({.world_size = 1000, .elements = std::uint64_t{1} << 30, .row_width = 32});
  const std::vector<double> of_odd = sent(odd);
  CHECK(*std::max_element(of_odd.begin(), of_odd.end()) < 2.2 * static_cast<double>(odd.chunking.chunks()));
}

TEST_CASE("the root of a large broadcast sends each chunk about once") {
  for (const std::uint32_t root : {0U, 700U, 999U}) {
    const Plan plan = make_plan({.world_size = 1000,
                                 .elements = 1 << 26,
                                 .collective = Collective::broadcast,
                                 .root = root,
                                 .row_width = 32});
    const std::vector<double> chunks = sent(plan);
    const auto all = static_cast<double>(plan.chunking.chunks());
    CHECK(chunks[root] < 1.1 * all);
    CHECK(*std::max_element(chunks.begin(), chunks.end()) < 2.2 * all);
  }
}

TEST_CASE("the ring goes through all ranks, from link to link") {
  for (const LinkLayout& layout : kLayouts)
    for (std::uint32_t size = layout.all_links_max + 1; size < layout.all_links_max + 70; ++size) {
      const std::vector<std::uint32_t> order = ring_of_rows(size, layout.width);
      REQUIRE(std::set<std::uint32_t>(order.begin(), order.end()).size() == size);
      REQUIRE(order.size() == size);
      for (std::size_t i = 0; i < order.size(); ++i)
        REQUIRE(layout.has_link(order[i], order[(i + 1) % order.size()], size));
    }
}

TEST_CASE("the reason says why a plan is another one than was asked for") {
  const auto reason = [](PlanKind kind) {
    return make_plan({.kind = kind, .world_size = 200, .elements = 100, .row_width = 32}).reason;
  };
  CHECK(reason(PlanKind::automatic).find("rows and columns") != std::string::npos);
  CHECK(reason(PlanKind::direct).find("direct was asked for, and needs all links") != std::string::npos);
  CHECK(reason(PlanKind::ring) == "asked for");
}

}  // namespace hawser
