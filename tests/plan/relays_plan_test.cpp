#include <algorithm>
#include <vector>

#include "catch.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "plan/plan_relays.hpp"
#include "plan/prediction.hpp"
#include "topology/sample_matrices.hpp"

/// Plans with relays: peers without tensors, at the roots.
namespace hawser {
namespace {

using topology::megabits;
using topology::milliseconds_in_ns;

constexpr std::uint32_t kHomes = 8;

/// Homes with thin uplinks, and relays behind them.
topology::Matrix homes_and_relays(std::uint32_t relays, std::uint64_t relay_rate) {
  topology::Matrix matrix = topology::Matrix::unknown(kHomes + relays);
  for (std::uint32_t rank = 0; rank < matrix.world_size; ++rank) {
    const bool is_relay = rank >= kHomes;
    matrix.members[rank].uplink_bytes_per_second = is_relay ? relay_rate : megabits(40);
    matrix.members[rank].downlink_bytes_per_second = is_relay ? relay_rate : megabits(250);
    for (std::uint32_t other = 0; other < matrix.world_size; ++other)
      if (other != rank) matrix.pair(rank, other).delay_ns = milliseconds_in_ns(15);
  }
  return matrix;
}

topology::Matrix members_of(const topology::Matrix& all, std::uint32_t members) {
  topology::Matrix matrix = topology::Matrix::unknown(members);
  for (std::uint32_t from = 0; from < members; ++from) {
    matrix.members[from] = all.members[from];
    for (std::uint32_t to = 0; to < members; ++to) matrix.pair(from, to) = all.pair(from, to);
  }
  return matrix;
}

std::shared_ptr<const Network> network_of_homes(const topology::Matrix& all) {
  auto made = make_network(members_of(all, kHomes), &all);
  REQUIRE(made.ok());
  REQUIRE(*made);
  return *made;
}

Plan plan_of_homes(const Network& network, std::uint32_t relays, Collective collective = Collective::all_reduce) {
  Plan plan = make_plan({.world_size = kHomes,
                         .elements = 16 << 20,
                         .collective = collective,
                         .network = &network,
                         .between_hosts = true,
                         .relays = relays});
  REQUIRE(plan_check(plan, network).ok());
  return plan;
}

double share_of_relays(const Plan& plan) {
  std::uint64_t elements = 0;
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk)
    if (plan.trees_of(chunk).root >= plan.world_size) elements += plan.chunking.count(chunk);
  return static_cast<double>(elements) / static_cast<double>(plan.chunking.elements);
}

}  // namespace

TEST_CASE("with a wide relay each home sends its tensor once") {
  const topology::Matrix all = homes_and_relays(1, megabits(1000));
  const auto network = network_of_homes(all);
  const Plan plan = plan_of_homes(*network, 1);
  CHECK(plan.relays == 1);
  CHECK(share_of_relays(plan) == 1);
  CHECK(plan.reason.starts_with("through relays"));
  const double once = 64.0 * 1024 * 1024 / static_cast<double>(megabits(40));
  CHECK(plan.predicted_seconds < 1.05 * once);
  const auto alone = make_network(members_of(all, kHomes));
  const Plan without = plan_of_homes(**alone, 0);
  CHECK(without.predicted_seconds > 1.5 * plan.predicted_seconds);
}

TEST_CASE("a relay gets no more than it can carry, and none that gains nothing") {
  const auto some = network_of_homes(homes_and_relays(1, megabits(250)));
  const Plan mixed = plan_of_homes(*some, 1);
  CHECK(mixed.relays == 1);
  CHECK(share_of_relays(mixed) > 0.6);
  CHECK(share_of_relays(mixed) < 0.95);
  const auto thin = network_of_homes(homes_and_relays(1, megabits(20)));
  CHECK(plan_of_homes(*thin, 1).relays == 0);
  const auto two = network_of_homes(homes_and_relays(2, megabits(200)));
  CHECK(share_of_relays(plan_of_homes(*two, 2)) == 1);
}

TEST_CASE("other collectives go without relays, and so do calls that nothing is known for if they are small") {
  const auto network = network_of_homes(homes_and_relays(1, megabits(1000)));
  for (const Collective collective : {Collective::broadcast, Collective::all_gather, Collective::reduce_scatter})
    CHECK(plan_of_homes(*network, 1, collective).relays == 0);
  const Plan first = make_plan({.world_size = kHomes, .elements = 16 << 20, .between_hosts = true, .relays = 1});
  REQUIRE(plan_check(first).ok());
  CHECK(first.relays == 1);
  CHECK(share_of_relays(first) > 0.10);
  CHECK(share_of_relays(first) < 0.12);
  CHECK(make_plan({.world_size = kHomes, .elements = 64, .between_hosts = true, .relays = 1}).relays == 0);
}

TEST_CASE("a relay that some member has no way to is left out, and members without a way to each other send to one") {
  topology::Matrix all = homes_and_relays(2, megabits(1000));
  const auto cut = [&](std::uint32_t a, std::uint32_t b) {
    all.pair(a, b).through = all.pair(b, a).through = topology::kByAnyone;
  };
  cut(3, kHomes);
  const auto one = network_of_homes(all);
  const Plan plan = plan_of_homes(*one, 2);
  CHECK(plan.relays == 2);
  for (const Trees& trees : plan.trees) CHECK(trees.root != kHomes);
  cut(0, 1);
  cut(4, 5);
  const auto apart = network_of_homes(all);
  const Plan around = plan_of_homes(*apart, 2);
  CHECK(around.along_links);
  CHECK(share_of_relays(around) == 1);
  cut(5, kHomes + 1);
  CHECK(network_of_homes(all)->relayed.trees.empty());
}

TEST_CASE("a call of more chunks than a relay keeps account of goes without relays") {
  const auto network = network_of_homes(homes_and_relays(1, megabits(1000)));
  for (const Network* const known : {network.get(), static_cast<const Network*>(nullptr)}) {
    const Plan plan = make_plan({.world_size = kHomes,
                                 .elements = std::uint64_t{1} << 40,
                                 .network = known,
                                 .between_hosts = true,
                                 .relays = 1});
    CHECK(plan.relays == 0);
  }
}

TEST_CASE("a plan in which a relay sends what it does not have is found wrong") {
  const auto network = network_of_homes(homes_and_relays(1, megabits(1000)));
  Plan plan = plan_of_homes(*network, 1);
  REQUIRE(plan_check(plan).ok());
  plan.trees.front().reduce_parent[2] = kNoParent;
  CHECK_FALSE(plan_check(plan).ok());
}

}  // namespace hawser
