#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>

#include "catch.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "plan/plan_partial.hpp"
#include "plan/prediction.hpp"
#include "topology/sample_matrices.hpp"

/// Plans where some pairs have no way of their own.
namespace hawser {
namespace {

using topology::kByAnyone;
using topology::kStraight;
using topology::Matrix;
using topology::megabits;
using topology::milliseconds_in_ns;

constexpr std::array kEachCollective{Collective::all_reduce, Collective::broadcast, Collective::all_gather,
                                  Collective::reduce_scatter};
constexpr std::array kEachKind{PlanKind::automatic, PlanKind::direct, PlanKind::ring, PlanKind::hierarchical};

std::shared_ptr<const Network> partial_network_of(const Matrix& matrix) {
  auto made = make_network(matrix);
  REQUIRE(made.ok());
  REQUIRE(*made != nullptr);
  return *made;
}

void cut(Matrix& matrix, std::uint32_t a, std::uint32_t b, std::uint32_t by = kByAnyone) {
  matrix.pair(a, b).through = matrix.pair(b, a).through = by;
}

/// Cuts about so many of a hundred pairs, at random, and leaves a random tree that joins all members.
void cut_at_random(Random& random, Matrix& matrix, std::uint64_t percent) {
  std::vector<std::uint32_t> kept(matrix.world_size);
  for (std::uint32_t rank = 1; rank < matrix.world_size; ++rank)
    kept[rank] = static_cast<std::uint32_t>(random.below(rank));
  for (std::uint32_t a = 0; a < matrix.world_size; ++a)
    for (std::uint32_t b = a + 1; b < matrix.world_size; ++b) {
      if (kept[b] == a || !random.chance(percent, 100)) continue;
      const auto by = static_cast<std::uint32_t>(random.below(matrix.world_size));
      cut(matrix, a, b, by == a || by == b ? kByAnyone : by);
    }
}

/// As in the lab's home-uplinks: all pairs but those with rank 0.
Matrix homes(std::uint32_t members) {
  Matrix matrix = Matrix::unknown(members);
  for (std::uint32_t a = 0; a < members; ++a) {
    matrix.members[a] = {.uplink_bytes_per_second = megabits(40), .downlink_bytes_per_second = megabits(250)};
    for (std::uint32_t b = 0; b < members; ++b)
      if (a != b) {
        matrix.pair(a, b) = {.bytes_per_second = megabits(40), .delay_ns = milliseconds_in_ns(12)};
        if (a != 0 && b != 0) matrix.pair(a, b).through = 0;
      }
  }
  return matrix;
}

/// Into how many parts the members fall without the one that matters most.
std::uint32_t most_parts_without_one(const Matrix& matrix) {
  std::uint32_t most = 0;
  for (std::uint32_t out = 0; out < matrix.world_size; ++out) {
    std::vector<bool> seen(matrix.world_size);
    seen[out] = true;
    std::uint32_t parts = 0;
    for (std::uint32_t start = 0; start < matrix.world_size; ++start) {
      if (seen[start]) continue;
      ++parts;
      std::vector<std::uint32_t> reached{start};
      seen[start] = true;
      for (std::size_t i = 0; i < reached.size(); ++i)
        for (std::uint32_t to = 0; to < matrix.world_size; ++to) {
          if (seen[to] || matrix.pair(reached[i], to).through != kStraight) continue;
          seen[to] = true;
          reached.push_back(to);
        }
    }
    most = std::max(most, parts);
  }
  return most;
}

Plan eight_mebibytes(const Network& network, PlanKind kind = PlanKind::automatic) {
  return make_plan(
      {.kind = kind, .world_size = network.estimates.world_size(), .elements = 2 << 20, .network = &network});
}

}  // namespace

TEST_CASE("plans over any links that join all members use these alone") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    const auto members = static_cast<std::uint32_t>(3 + seed % 12);
    Matrix matrix = random.chance(1, 4) ? Matrix::unknown(members) : topology::random_matrix(random, members);
    cut_at_random(random, matrix, 10 + random.below(90));
    if (!misses_pairs(matrix)) continue;
    const auto network = partial_network_of(matrix);
    REQUIRE(network->estimates.avoids_pairs());
    for (const Collective collective : kEachCollective)
      for (const PlanKind kind : kEachKind)
        for (const std::uint64_t elements :
             {std::uint64_t{1}, 1 + random.below(100'000), 1 + random.below(20'000'000)}) {
          const PlanInput input{.kind = kind,
                                .world_size = members,
                                .elements = elements,
                                .collective = collective,
                                .root = static_cast<std::uint32_t>(
                                    collective == Collective::broadcast ? random.below(members) : 0),
                                .network = network.get()};
          const Plan plan = make_plan(input);
          INFO("seed " << seed << ", collective " << static_cast<int>(collective) << ", kind "
                       << static_cast<int>(kind) << ", " << elements << " elements: " << plan.reason);
          const auto checked = plan_check(plan, *network);
          INFO((checked.ok() ? "" : checked.error().sentence));
          REQUIRE(checked.ok());
          REQUIRE(plan.along_links);
          REQUIRE((plan.predicted_seconds > 0) == network->estimates.knows_rates());
          if (network->estimates.knows_rates())
            REQUIRE(plan.predicted_seconds >= ideal_seconds(input, network->estimates));
          if (collective == Collective::broadcast)
            for (const Trees& trees : plan.trees) REQUIRE(trees.root == input.root);
        }
  }
}

TEST_CASE("equal matrices with missing pairs make equal plans") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto plan = [&] {
      Random random(seed);
      Matrix matrix = topology::random_matrix(random, static_cast<std::uint32_t>(4 + seed));
      cut_at_random(random, matrix, 30);
      return eight_mebibytes(*partial_network_of(matrix));
    };
    CHECK(plan() == plan());
  }
}

TEST_CASE("a plan that uses a missing pair is found out") {
  const auto network = partial_network_of(homes(4));
  Plan plan = eight_mebibytes(*network);
  REQUIRE(plan_check(plan, *network).ok());
  plan.trees[0] = direct_trees(1, 4);
  CHECK(plan_check(plan).ok());
  CHECK_FALSE(plan_check(plan, *network).ok());
  plan.along_links = false;
  CHECK_FALSE(plan_check(plan, *network).ok());
}

TEST_CASE("homes that only one member reaches send through a member that adds") {
  const auto network = partial_network_of(homes(6));
  const Plan plan = eight_mebibytes(*network);
  // All results leave by the uplink of rank 0: five times 8 MiB at 40 Mbit/s.
  const double least = 5.0 * (8 << 20) / static_cast<double>(megabits(40));
  CHECK(plan.predicted_seconds >= least);
  CHECK(plan.predicted_seconds <= 1.03 * least);
  // What go-betweens would pass on counts at both of their links.
  Plan by_go_between = plan;
  by_go_between.cycle.clear();
  by_go_between.trees.clear();
  for (std::uint32_t root = 0; root < 6; ++root) by_go_between.trees.push_back(direct_trees(root, 6));
  const Prediction predicted = predict(by_go_between, {}, 4, network->estimates);
  CHECK(predicted.bottleneck == "the uplink of rank 0");
  // The own 5/3, and a third for each of twenty ordered pairs.
  CHECK(predicted.transfer_seconds == Approx(least / 5 * (5.0 / 3 + 20.0 / 3)).epsilon(0.02));
  CHECK(network->estimates.delay(1, 2) == Approx(0.024));
}

TEST_CASE("with a third of the pairs missing a plan is about as fast as with all of them") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    const auto members = static_cast<std::uint32_t>(4 + seed % 9);
    const Matrix whole =
        topology::sample_of_rates(std::vector<std::uint64_t>(members, megabits(1000)), milliseconds_in_ns(15));
    Matrix partial = whole;
    std::uint32_t left = members * (members - 1) / 6;
    while (left > 0) {
      const auto a = static_cast<std::uint32_t>(random.below(members));
      const auto b = static_cast<std::uint32_t>(random.below(members));
      if (a == b || partial.pair(a, b).through != kStraight) continue;
      Matrix next = partial;
      cut(next, a, b);
      if (!topology::Estimates(next).avoids_pairs()) continue;
      partial = std::move(next);
      --left;
    }
    const auto transfer_seconds = [&](const Matrix& matrix) {
      const auto network = partial_network_of(matrix);
      const Plan plan = make_plan({.world_size = members, .elements = 16 << 20, .network = network.get()});
      return predict(plan, {}, 4, network->estimates).transfer_seconds;
    };
    // A member without which the others fall into k parts sends and receives everything k times, whatever the plan.
    const double spread = 2.0 * (members - 1) / members;
    const double least = std::max(1.0, most_parts_without_one(partial) / spread);
    const double ratio = transfer_seconds(partial) / transfer_seconds(whole);
    INFO("seed " << seed << ", " << members << " members: " << ratio << ", at least " << least);
    CHECK(ratio <= 1.1 * least);
  }
}

TEST_CASE("where the links do not join all members plans are as without detours") {
  Matrix matrix = homes(4);
  for (std::uint32_t rank = 1; rank < 4; ++rank) cut(matrix, 0, rank);
  const auto network = partial_network_of(matrix);
  CHECK_FALSE(network->estimates.avoids_pairs());
  const Plan plan = eight_mebibytes(*network);
  CHECK(plan_check(plan, *network).ok());
  CHECK_FALSE(plan.along_links);
}

TEST_CASE("two regions with missing pairs still send each chunk across once") {
  Matrix matrix = topology::sample_of_regions({});
  Random random(5);
  cut_at_random(random, matrix, 33);
  const auto network = partial_network_of(matrix);
  const Plan plan = make_plan({.world_size = 8, .elements = 16 << 20, .network = network.get()});
  INFO(plan.reason);
  CHECK(plan.kind == PlanKind::hierarchical);
  REQUIRE(plan_check(plan, *network).ok());
  const auto& regions = network->estimates.regions();
  for (const Trees& trees : plan.trees) {
    int across = 0;
    for (std::uint32_t rank = 0; rank < 8; ++rank)
      if (rank != trees.root) across += regions.of_rank[rank] != regions.of_rank[trees.reduce_parent[rank]];
    CHECK(across == 1);
  }
}

TEST_CASE("a matrix that knows of missing pairs only leads to a plan without them") {
  Matrix matrix = Matrix::unknown(6);
  for (std::uint32_t a = 1; a < 6; ++a)
    for (std::uint32_t b = a + 1; b < 6; ++b) cut(matrix, a, b, 0);
  const auto network = partial_network_of(matrix);
  const Plan plan = eight_mebibytes(*network);
  CHECK(plan_check(plan, *network).ok());
  CHECK(plan.along_links);
  CHECK(plan.predicted_seconds == 0);
  CHECK(plan.reason.find("10 pairs have no ways of their own") != std::string::npos);
}

TEST_CASE("measure: how long planning takes with a third of the pairs missing", "[.measure]") {
  const auto milliseconds_of = [](const auto& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  for (const std::uint32_t members : {8U, 16U, 32U, 33U, 64U, 128U})
    for (const bool regions : {true, false}) {
      Random random(members);
      Matrix matrix = regions ? topology::sample_of_regions({.sizes = {members / 2, members / 2 + members % 2}})
                              : topology::random_matrix(random, members);
      cut_at_random(random, matrix, 33);
      std::shared_ptr<const Network> network;
      const double survey_ms = milliseconds_of([&] { network = partial_network_of(matrix); });
      Plan plan;
      const double plan_ms = milliseconds_of([&] {
        plan = make_plan({.world_size = members, .elements = 250'000'000, .network = network.get()});
      });
      std::cout << members << " members, " << (regions ? "two regions" : "random") << ": survey " << survey_ms
                << " ms, plan " << plan_ms << " ms; " << plan.reason << '\n';
    }
}

TEST_CASE("measure: how trees share a buffer", "[.measure]") {
  Matrix matrix = topology::sample_of_rates(std::vector<std::uint64_t>(8, megabits(1000)), milliseconds_in_ns(15));
  Random random(1);
  cut_at_random(random, matrix, 40);
  const auto network = partial_network_of(matrix);
  for (const SharedTrees* shared : {&network->flat_along_links, &network->deep_along_links}) {
    std::vector<double> pairs(64);
    for (std::size_t i = 0; i < shared->trees.size(); ++i) {
      std::cout << "root " << shared->trees[i].root << ": " << shared->shares[i] << '\n';
      for (std::uint32_t rank = 0; rank < 8; ++rank)
        if (rank != shared->trees[i].root)
          pairs[8 * std::min(rank, shared->trees[i].reduce_parent[rank]) +
                std::max(rank, shared->trees[i].reduce_parent[rank])] += shared->shares[i];
    }
    for (std::uint32_t a = 0; a < 8; ++a)
      for (std::uint32_t b = a + 1; b < 8; ++b)
        if (network->estimates.has_link(a, b)) std::cout << a << '-' << b << ' ' << pairs[8 * a + b] << ", ";
    std::cout << '\n';
  }
}

}  // namespace hawser
