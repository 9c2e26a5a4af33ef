/// Plans from what members would tell of the networks that come with the tool, under the noise of measuring.
#include <map>

#include "base/random.hpp"
#include "catch.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "engine/measured_network.hpp"
#include "topology/steady_measure.hpp"
#include "wan/named_specs.hpp"
#include "wan/planning.hpp"

namespace hawser::wan {
namespace {

constexpr std::uint64_t kLarge = 16 << 20;
constexpr std::uint64_t kSmall = 4096;
/// As many as a mean reaches back.
constexpr int kSettling = 16;

/// What members would measure if there were no noise. Pairs of a cable share it.
Measures truth_of(const Spec& spec) {
  const auto matrix = matrix_of(spec);
  REQUIRE(matrix.ok());
  Measures truth{.view = {1}, .version = 1, .rows = {}};
  for (std::uint32_t from = 0; from < matrix->world_size; ++from) {
    LinkRow& row = truth.rows.emplace_back();
    for (std::uint32_t to = 0; to < matrix->world_size; ++to) {
      row.bytes_per_second.push_back(from == to ? 0 : matrix->pair(from, to).bytes_per_second);
      row.delay_ns.push_back(from == to ? 0 : matrix->pair(from, to).delay_ns);
    }
    row.uplink_bytes_per_second = matrix->members[from].uplink_bytes_per_second;
    row.downlink_bytes_per_second = matrix->members[from].downlink_bytes_per_second;
  }
  for (const topology::Cable& cable : matrix->cables)
    for (const std::uint32_t from : cable.from)
      for (const std::uint32_t to : cable.to)
        truth.rows[from].bytes_per_second[to] = cable.bytes_per_second / (cable.from.size() * cable.to.size());
  return truth;
}

/// All that the members tell, each value held still by its own measurer.
class Telling {
 public:
  Telling(std::uint64_t seed, std::uint32_t noise_percent) : random_(seed), noise_(noise_percent) {}

  /// The next version: every value measured once more.
  Measures after(const Measures& truth) {
    Measures told = truth;
    told.version = ++version_;
    std::size_t value = 0;
    const auto tell = [&](std::uint64_t& of) {
      topology::SteadyMeasure& steady = held_[value++];
      if (of != 0) steady.take(of * (100 - noise_ + random_.below(2 * noise_ + 1)) / 100);
      of = steady.held();
    };
    for (LinkRow& row : told.rows) {
      for (std::uint64_t& rate : row.bytes_per_second) tell(rate);
      for (std::uint64_t& delay : row.delay_ns) tell(delay);
      tell(row.uplink_bytes_per_second);
      tell(row.downlink_bytes_per_second);
    }
    return told;
  }

 private:
  Random random_;
  std::uint32_t noise_;
  std::uint64_t version_ = 0;
  std::map<std::size_t, topology::SteadyMeasure> held_;
};

Plan plan_of(const Measures& told, std::uint64_t elements) {
  const auto network = make_network(hawser::matrix_of(told));
  REQUIRE(network.ok());
  REQUIRE(*network != nullptr);
  return make_plan({.world_size = static_cast<std::uint32_t>(told.rows.size()),
                    .elements = elements,
                    .network = network->get()});
}

double root_share(const Plan& plan, std::uint32_t rank) {
  std::uint64_t roots = 0;
  for (std::uint64_t chunk = 0; chunk < plan.chunking.chunks(); ++chunk) roots += plan.trees_of(chunk).root == rank;
  return static_cast<double>(roots) / static_cast<double>(plan.chunking.chunks());
}

void slow_down(Measures& truth, std::uint32_t rank, std::uint64_t times) {
  truth.rows[rank].uplink_bytes_per_second /= times;
  truth.rows[rank].downlink_bytes_per_second /= times;
  for (std::uint32_t other = 0; other < truth.rows.size(); ++other) {
    truth.rows[rank].bytes_per_second[other] /= times;
    truth.rows[other].bytes_per_second[rank] /= times;
  }
}

}  // namespace

TEST_CASE("plans stay what they are under noise, in all networks that come with the tool") {
  for (const NamedSpec& named : named_specs()) {
    const auto spec = load_spec(std::string(named.name), {});
    REQUIRE(spec.ok());
    const Measures truth = truth_of(*spec);
    for (const std::uint32_t noise : {10U, 20U}) {
      INFO(named.name << ", noise of " << noise << " %");
      Telling telling(noise, noise);
      Measures told;
      for (int i = 0; i < kSettling; ++i) told = telling.after(truth);
      const Plan large = plan_of(told, kLarge);
      const Plan small = plan_of(told, kSmall);
      INFO(large.reason);
      for (int i = 0; i < 1000; ++i) {
        Measures next = telling.after(truth);
        if (next.rows == told.rows) continue;
        told = std::move(next);
        REQUIRE(plan_of(told, kLarge).trees == large.trees);
        REQUIRE(plan_of(told, kLarge).cycle == large.cycle);
        REQUIRE(plan_of(told, kSmall).kind == small.kind);
      }
    }
  }
}

TEST_CASE("noise does not change which plan is taken from the one without noise") {
  for (const NamedSpec& named : named_specs()) {
    const auto spec = load_spec(std::string(named.name), {});
    REQUIRE(spec.ok());
    const Measures truth = truth_of(*spec);
    const Plan right = plan_of(truth, kLarge);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Telling telling(seed, 15);
      Measures told;
      for (int i = 0; i < kSettling; ++i) told = telling.after(truth);
      const Plan plan = plan_of(told, kLarge);
      INFO(named.name << ", seed " << seed << ": " << plan.reason << "; without noise " << right.reason);
      CHECK(plan.kind == right.kind);
    }
  }
}

TEST_CASE("a host whose links drop to a tenth is planned around with the second call at the latest") {
  for (const NamedSpec& named : named_specs()) {
    const auto spec = load_spec(std::string(named.name), {});
    REQUIRE(spec.ok());
    Measures truth = truth_of(*spec);
    Telling telling(7, 15);
    Measures told;
    for (int i = 0; i < 100; ++i) told = telling.after(truth);
    const Plan before = plan_of(told, kLarge);
    const auto last = static_cast<std::uint32_t>(truth.rows.size() - 1);
    slow_down(truth, last, 10);
    const Plan after = plan_of(telling.after(truth), kLarge);
    INFO(named.name << ": " << before.reason << " | " << after.reason);
    CHECK(after != before);
    CHECK(root_share(after, last) <= root_share(before, last));
  }
}

TEST_CASE("in an equal network noise makes no shares by rates") {
  Measures truth{.view = {1}, .version = 1, .rows = {}};
  for (std::uint32_t from = 0; from < 8; ++from) {
    LinkRow& row = truth.rows.emplace_back();
    row.bytes_per_second.assign(8, 10'000'000);
    row.delay_ns.assign(8, 10'000'000);
    row.bytes_per_second[from] = row.delay_ns[from] = 0;
    row.uplink_bytes_per_second = row.downlink_bytes_per_second = 60'000'000;
  }
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Telling telling(seed, 15);
    Measures told;
    for (int i = 0; i < kSettling; ++i) told = telling.after(truth);
    const Plan plan = plan_of(told, kLarge);
    INFO("seed " << seed << ": " << plan.reason);
    CHECK(plan.reason.starts_with("direct: "));
  }
}

}  // namespace hawser::wan
