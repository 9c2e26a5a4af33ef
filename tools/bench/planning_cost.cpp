#include "bench/planning_cost.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>

#include "base/limits.hpp"
#include "base/link_layout.hpp"
#include "base/random.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"

namespace hawser::bench {
namespace {

constexpr std::uint32_t kRegions = 4;
constexpr std::uint64_t kElements = 16 << 20;  // 64 MiB of float32.

/// 10 Gbit/s and 200 us within a region, 1 Gbit/s and 20 ms or more between two, each measured with an error.
topology::Matrix regions_of(std::uint32_t members) {
  topology::Matrix matrix = topology::Matrix::unknown(members);
  Random random(1);
  for (std::uint32_t from = 0; from < members; ++from)
    for (std::uint32_t to = 0; to < members; ++to) {
      if (from == to) continue;
      const std::uint32_t a = from % kRegions;
      const std::uint32_t b = to % kRegions;
      const std::uint64_t percent = 95 + random.below(11);
      matrix.pair(from, to) = a == b
                                  ? topology::PairMeasure{.bytes_per_second = 12'500'000 * percent, .delay_ns = 100'000}
                                  : topology::PairMeasure{.bytes_per_second = 1'250'000 * percent,
                                                          .delay_ns = 10'000'000 + 5'000'000ULL * (a ^ b)};
    }
  return matrix;
}

template <class Make>
auto timed(const std::string& what, const Make& make) {
  const std::clock_t begun = std::clock();
  auto made = make();
  std::printf("%-52s %9.3f\n", what.c_str(), 1e3 * static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC);
  std::fflush(stdout);
  return made;
}

void plan(const std::string& what, const PlanInput& input) {
  const Plan made = timed("planning, " + what, [&] { return make_plan(input); });
  const auto checked = plan_check(made);
  if (!checked.ok()) throw std::runtime_error(checked.error().sentence);
}

void plan_by_measures(std::uint32_t members) {
  const std::string size = std::to_string(members) + " measured members: ";
  const topology::Matrix matrix = regions_of(members);
  const auto network = timed("planning, " + size + "the links", [&] { return make_network(matrix); });
  if (!network) throw std::runtime_error(network.error().sentence);
  const PlanInput input{.world_size = members, .elements = kElements, .network = network->get()};
  for (const auto& [name, kind] :
       {std::pair("automatic", PlanKind::automatic), std::pair("direct", PlanKind::direct),
        std::pair("ring", PlanKind::ring), std::pair("hierarchical", PlanKind::hierarchical)}) {
    PlanInput of_kind = input;
    of_kind.kind = kind;
    plan(size + name, of_kind);
  }
}

}  // namespace

void print_planning_cost(std::uint32_t members) {
  const std::string size = std::to_string(members) + " members: ";
  for (const auto& [name, kind] : {std::pair("direct", PlanKind::direct), std::pair("ring", PlanKind::ring)})
    plan(size + name, {.kind = kind, .world_size = members, .elements = kElements});
  // As members of so large a group plan.
  if (const std::uint32_t width = LinkLayout{}.row_width(members); width != 0)
    plan(size + "rows of " + std::to_string(width), {.world_size = members, .elements = kElements, .row_width = width});
  plan_by_measures(std::min(members, limits::kMeasuredGroupMax));
  if (members > limits::kMeasuredGroupMax) plan_by_measures(members);
}

}  // namespace hawser::bench
