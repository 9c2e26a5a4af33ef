#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>

#include "catch.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "plan/plan_hierarchical.hpp"
#include "plan/prediction.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser {
namespace {

using topology::megabits;
using topology::milliseconds_in_ns;
using topology::random_matrix;
using topology::sample_of_rates;
using topology::sample_of_regions;

constexpr std::array kCollectives{Collective::all_reduce, Collective::broadcast, Collective::all_gather,
                                  Collective::reduce_scatter};
constexpr std::array kKinds{PlanKind::automatic, PlanKind::direct, PlanKind::ring, PlanKind::hierarchical};

std::shared_ptr<const Network> network_of(const topology::Matrix& matrix) {
  auto made = make_network(matrix);
  REQUIRE(made.ok());
  REQUIRE(*made != nullptr);
  return *made;
}

Plan plan_of(PlanInput input, PlanKind kind) {
  input.kind = kind;
  return make_plan(input);
}

PlanInput gigabyte(const Network& network) {
  return {.world_size = network.estimates.world_size(), .elements = 250'000'000, .network = &network};
}

std::vector<std::uint64_t> root_elements(const Plan& plan) {
  std::vector<std::uint64_t> elements(plan.world_size);
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk)
    elements[plan.trees_of(chunk).root] += plan.chunking.count(chunk);
  return elements;
}

}  // namespace

TEST_CASE("every plan from a matrix counts each element once, and none beats the ideal") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const auto world_size = static_cast<std::uint32_t>(2 + seed % 14);
    const auto network = network_of(random_matrix(random, world_size));
    for (const Collective collective : kCollectives)
      for (const PlanKind kind : kKinds)
        for (const std::uint64_t elements :
             {std::uint64_t{1}, 1 + random.below(100'000), 1 + random.below(50'000'000)}) {
          const PlanInput input{.kind = kind,
                                .world_size = world_size,
                                .elements = elements,
                                .collective = collective,
                                .root = static_cast<std::uint32_t>(
                                    collective == Collective::broadcast ? random.below(world_size) : 0),
                                .network = network.get()};
          const Plan plan = make_plan(input);
          INFO("seed " << seed << ", collective " << static_cast<int>(collective) << ", kind "
                       << static_cast<int>(kind) << ", " << elements << " elements: " << plan.reason);
          const auto checked = plan_check(plan);
          REQUIRE(checked.ok());
          REQUIRE(plan.kind != PlanKind::automatic);
          REQUIRE(plan.predicted_seconds >= ideal_seconds(input, network->estimates));
          REQUIRE(plan.chunking.chunk_elements * 4 <= 512 << 10);
          if (collective == Collective::broadcast)
            for (const Trees& trees : plan.trees) REQUIRE(trees.root == input.root);
        }
  }
}

TEST_CASE("the automatic plan is the fastest of the kinds but for the margin, and shares by rates beat equal ones") {
  for (std::uint64_t seed = 100; seed <= 160; ++seed) {
    Random random(seed);
    const auto world_size = static_cast<std::uint32_t>(2 + seed % 14);
    const auto network = network_of(random_matrix(random, world_size));
    const PlanInput input{
        .world_size = world_size, .elements = 1 + random.below(20'000'000), .network = network.get()};
    const double chosen = make_plan(input).predicted_seconds;
    INFO("seed " << seed);
    const double margin = (100.0 + input.margin_percent) / 100.0;
    for (const PlanKind kind : kKinds) CHECK(chosen <= plan_of(input, kind).predicted_seconds * margin);
    // The same chunks with equal shares.
    Plan direct = plan_of(input, PlanKind::direct);
    const double by_rates = direct.predicted_seconds;
    direct.cycle.clear();
    direct.trees.clear();
    for (std::uint32_t root = 0; root < std::min<std::uint64_t>(world_size, direct.chunking.chunks()); ++root)
      direct.trees.push_back(direct_trees(root, world_size));
    CHECK(by_rates <= predict(direct, {}, 4, network->estimates).seconds);
  }
}

TEST_CASE("equal matrices make equal plans") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Random again(seed);
    const auto world_size = static_cast<std::uint32_t>(2 + seed);
    const auto first = network_of(random_matrix(random, world_size));
    const auto second = network_of(random_matrix(again, world_size));
    for (const PlanKind kind : kKinds)
      CHECK(plan_of(gigabyte(*first), kind) == plan_of(gigabyte(*second), kind));
  }
}

TEST_CASE("where nothing is known the plan is as without a matrix") {
  const auto none = make_network(topology::Matrix::unknown(5));
  REQUIRE(none.ok());
  CHECK(*none == nullptr);
  CHECK_FALSE(make_network(topology::Matrix::unknown(1)).ok());
  const Plan hierarchical = make_plan({.kind = PlanKind::hierarchical, .world_size = 5, .elements = 1000});
  CHECK(hierarchical.kind == PlanKind::direct);
  CHECK(hierarchical.reason == "hierarchical was asked for, but no regions are known");
}

TEST_CASE("two regions: the hierarchical plan is at least 1.5 times as fast as the best ring") {
  for (const bool observed : {true, false}) {
    const auto network = network_of(sample_of_regions({.mixed = true, .observed = observed}));
    const PlanInput input = gigabyte(*network);
    const Plan plan = make_plan(input);
    CHECK(plan.kind == PlanKind::hierarchical);
    INFO(plan.reason);
    CHECK(plan.reason.find("hierarchical (2 regions): ") == 0);
    CHECK(plan_of(input, PlanKind::ring).predicted_seconds / plan.predicted_seconds >= 1.5);
    CHECK(plan.predicted_seconds / ideal_seconds(input, network->estimates) < 1.05);
  }
}

TEST_CASE("in a hierarchical plan one sum and one result of a chunk cross, and all members take part") {
  const auto network = network_of(sample_of_regions({.sizes = {4, 3}, .mixed = true}));
  const Plan plan = plan_of(gigabyte(*network), PlanKind::hierarchical);
  const auto& region = network->estimates.regions().of_rank;
  std::vector<std::uint64_t> crossings(7);
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk) {
    const Trees& trees = plan.trees_of(chunk);
    std::uint32_t up = 0;
    for (std::uint32_t rank = 0; rank < 7; ++rank) {
      if (rank == trees.root || region[rank] == region[trees.reduce_parent[rank]]) continue;
      ++up;
      ++crossings[rank];
      ++crossings[trees.root];
    }
    REQUIRE(up == 1);
  }
  for (std::uint32_t rank = 0; rank < 7; ++rank) {
    const double share = 1.0 / static_cast<double>(region[rank] == 0 ? 4 : 3);
    CHECK(static_cast<double>(crossings[rank]) / static_cast<double>(plan.chunking.chunks()) ==
          Approx(share).epsilon(0.05));
  }
}

TEST_CASE("one slow member: it is no root, and costs its payload once") {
  // The ring sends 2(N-1)/N of the payload over every link, the direct plan the payload over the slow one.
  for (const std::uint32_t fast : {3U, 5U, 7U, 11U}) {
    std::vector<std::uint64_t> rates(fast, megabits(1000));
    rates.push_back(megabits(100));
    const auto network = network_of(sample_of_rates(rates, milliseconds_in_ns(20)));
    const PlanInput input = gigabyte(*network);
    const Plan plan = make_plan(input);
    INFO(fast << ": " << plan.reason);
    CHECK(root_elements(plan)[fast] == 0);
    CHECK(plan.predicted_seconds == Approx(80).epsilon(0.01));
    const double bound = 2.0 * fast / (fast + 1);
    CHECK(plan_of(input, PlanKind::ring).predicted_seconds / plan.predicted_seconds ==
          Approx(bound).epsilon(0.01));
  }
}

TEST_CASE("one node of 0.5 Gbit/s among eleven of 10 Gbit/s: 16 s instead of 29") {
  std::vector<std::uint64_t> rates(12, megabits(10'000));
  rates[3] = megabits(500);
  const auto network = network_of(sample_of_rates(rates, milliseconds_in_ns(10)));
  CHECK(make_plan(gigabyte(*network)).predicted_seconds == Approx(16).epsilon(0.02));
  CHECK(plan_of(gigabyte(*network), PlanKind::ring).predicted_seconds == Approx(29.3).epsilon(0.02));
}

TEST_CASE("a small payload takes the shortest way") {
  const auto network = network_of(sample_of_regions({}));
  const Plan plan = make_plan({.world_size = 8, .elements = 10, .network = network.get()});
  CHECK(plan.predicted_seconds < 0.085);
  CHECK(plan.predicted_seconds > 0.080);
}

TEST_CASE("a plan must beat the simpler ones by more than the margin") {
  const auto network = network_of(sample_of_regions({}));
  PlanInput input = gigabyte(*network);
  const double best = plan_of(input, PlanKind::hierarchical).predicted_seconds;
  const double ring = plan_of(input, PlanKind::ring).predicted_seconds;
  const auto percent = static_cast<std::uint32_t>((ring / best - 1) * 100);
  input.margin_percent = percent + 2;
  const Plan simpler = make_plan(input);
  CHECK(simpler.kind == PlanKind::ring);
  CHECK(simpler.reason.find("and none is " + std::to_string(percent + 2) + " % faster") != std::string::npos);
  input.margin_percent = percent - 2;
  CHECK(make_plan(input).kind == PlanKind::hierarchical);
}

TEST_CASE("rates that are equal within the error make no shares") {
  const auto network = network_of(sample_of_rates({1'000'000, 1'100'000, 1'050'000, 950'000}, milliseconds_in_ns(5)));
  const Plan plan = make_plan(gigabyte(*network));
  CHECK(plan.kind == PlanKind::direct);
  CHECK(plan.reason.starts_with("direct: "));
}

TEST_CASE("a chunk does not hold one of a thin link's connections for long") {
  const auto thin = network_of(sample_of_rates({8'000'000, 80'000'000, 80'000'000}, milliseconds_in_ns(30)));
  // What a sixteenth of 8 MB/s carries in 50 ms.
  constexpr std::uint64_t kMost = 8'000'000 / 16 / 20;
  const Plan plan = make_plan(gigabyte(*thin));
  CHECK(plan.chunking.chunk_elements * 4 <= kMost);
  CHECK(plan.chunking.chunk_elements * 4 >= kMost * 9 / 10);
  // Quantised to a quarter, four times the elements.
  PlanInput quantised = gigabyte(*thin);
  quantised.wire = {.leaf_up = 1024, .inner_up = 1024, .down = 1024};
  CHECK(make_plan(quantised).chunking.chunk_elements <= kMost);
  CHECK(make_plan(quantised).chunking.chunk_elements >= kMost * 9 / 10);
  const auto thinner = network_of(sample_of_rates({80'000, 80'000, 80'000}, milliseconds_in_ns(30)));
  CHECK(make_plan(gigabyte(*thinner)).chunking.chunk_elements * 4 == 16 << 10);
  const auto fast = network_of(sample_of_rates({250'000'000, 250'000'000, 250'000'000}, 1000));
  CHECK(make_plan(gigabyte(*fast)).chunking.chunk_elements * 4 > 500 << 10);
}

TEST_CASE("asked for hierarchical where there are no regions: direct, and it says so") {
  const auto network = network_of(sample_of_rates({1000, 1000, 1000}, 1000));
  const Plan plan =
      plan_of({.world_size = 3, .elements = 1000, .network = network.get()}, PlanKind::hierarchical);
  CHECK(plan.kind == PlanKind::direct);
  CHECK(plan.reason.find("there are no regions: no gap in delays or rates") != std::string::npos);
}

TEST_CASE("a large world is planned for") {
  const auto network = network_of(sample_of_regions({.sizes = {120, 80, 56}, .mixed = true}));
  for (const PlanKind kind : kKinds) {
    const Plan plan = plan_of(gigabyte(*network), kind);
    const auto checked = plan_check(plan);
    CHECK(checked.ok());
    CHECK((kind == PlanKind::automatic || plan.kind == kind));
  }
}

TEST_CASE("measure: predicted against ideal", "[.measure]") {
  std::vector<std::uint64_t> cloud(12, megabits(10'000));
  cloud[3] = megabits(500);
  std::vector<std::uint64_t> one_slow(4, megabits(1000));
  one_slow[3] = megabits(100);
  for (const auto& matrix :
       {sample_of_regions({}), sample_of_rates(cloud, milliseconds_in_ns(10)),
        sample_of_rates(one_slow, milliseconds_in_ns(20)),
        sample_of_regions({.sizes = {3, 3, 2}, .cable = megabits(200), .delay_ms = 60})}) {
    const auto network = network_of(matrix);
    const PlanInput input = gigabyte(*network);
    std::cout << matrix.world_size << " members: ideal " << ideal_seconds(input, network->estimates);
    for (const PlanKind kind : {PlanKind::hierarchical, PlanKind::direct, PlanKind::ring}) {
      const Plan plan = plan_of(input, kind);
      std::cout << " s; " << plan.reason << ", bottleneck "
                << predict(plan, {}, 4, network->estimates).bottleneck;
    }
    std::cout << '\n';
  }
}

TEST_CASE("measure: how long planning takes", "[.measure]") {
  const auto milliseconds_of = [](const auto& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  for (const std::uint32_t members : {4U, 8U, 9U, 16U, 32U, 33U, 64U, 128U, 256U, 512U, 1024U})
    for (const bool regions : {true, false}) {
      Random random(members);
      const topology::Matrix matrix = regions
                                          ? sample_of_regions({.sizes = {members / 2, members - members / 2}})
                                          : random_matrix(random, members);
      std::shared_ptr<const Network> network;
      const double survey_ms = milliseconds_of([&] { network = network_of(matrix); });
      Plan plan;
      const double plan_ms = milliseconds_of([&] { plan = make_plan(gigabyte(*network)); });
      std::cout << members << " members, " << (regions ? "two regions" : "random") << ": survey " << survey_ms
                << " ms, plan " << plan_ms << " ms; " << plan.reason << '\n';
    }
}

TEST_CASE("with delays alone a large call goes by regions, and a small one by the fewest hops") {
  topology::Matrix matrix = sample_of_regions({.sizes = {4, 4}});
  matrix.cables.clear();
  for (topology::PairMeasure& pair : matrix.pairs) pair.bytes_per_second = 0;
  for (topology::MemberMeasure& member : matrix.members)
    member.uplink_bytes_per_second = member.downlink_bytes_per_second = 0;
  const auto network = network_of(matrix);
  PlanInput input{.world_size = 8, .elements = 16 << 20, .network = network.get()};
  const Plan large = make_plan(input);
  INFO(large.reason);
  CHECK(large.kind == PlanKind::hierarchical);
  CHECK(large.reason.find("only delays") != std::string::npos);
  // Nothing is predicted, and nothing is paced by it.
  CHECK(large.predicted_seconds == 0);
  input.elements = 1024;
  CHECK(make_plan(input).kind == PlanKind::direct);
  // Where members are not in regions, delays say nothing.
  for (topology::PairMeasure& pair : matrix.pairs)
    if (pair.delay_ns != 0) pair.delay_ns = milliseconds_in_ns(40);
  CHECK(make_network(matrix).value() == nullptr);
}

}  // namespace hawser
