#include <sstream>

#include "catch.hpp"
#include "wan/missing_pairs.hpp"
#include "wan/named_specs.hpp"
#include "wan/planning.hpp"
#include "wan/spec_text.hpp"

namespace hawser::wan {
namespace {

Spec named(const std::string& name) {
  auto spec = load_spec(name, {});
  REQUIRE(spec.ok());
  return *spec;
}

/// The numbers of the row of one size and plan: predicted and bandwidth, both in ms.
std::pair<double, double> row_of(const std::string& table, std::uint64_t bytes, const std::string& plan) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, name, choice;
    double predicted = 0;
    double bandwidth = 0;
    if (words >> first >> name >> choice >> predicted >> bandwidth && first == std::to_string(bytes) &&
        name == plan)
      return {predicted, bandwidth};
  }
  FAIL("no row for " << plan << " in\n" << table);
  return {};
}

TEST_CASE("the matrix of a spec has payload rates, delays and both directions of a cable") {
  const Spec spec = named("two-regions");
  const auto matrix = matrix_of(spec);
  REQUIRE(matrix.ok());
  CHECK(topology::check(*matrix).ok());
  CHECK(matrix->world_size == 8);
  // 1448 of 1500 bytes are payload.
  CHECK(matrix->members[5].uplink_bytes_per_second == 120'666'666);
  CHECK(matrix->pair(0, 1).bytes_per_second == 120'666'666);
  CHECK(matrix->pair(0, 4).bytes_per_second == 36'200'000);
  CHECK(matrix->pair(0, 4).delay_ns == 40'000'000);
  CHECK(matrix->members[0].control_delay_ns == 0);
  CHECK(matrix->members[7].control_delay_ns == 40'000'000);
  REQUIRE(matrix->cables.size() == 2);
  CHECK(matrix->cables[0].from == matrix->cables[1].to);
  CHECK(matrix->cables[0].bytes_per_second == 36'200'000);
}

TEST_CASE("pairs are cut by the seed, none of host 0, and plans do without them") {
  Spec spec = *load_spec("europe", HostIndex{8});
  const Spec whole = spec;
  cut_pairs(spec, 33);
  std::uint32_t cut = 0;
  for (HostIndex a = 0; a < 8; ++a)
    for (HostIndex b = 0; b < a; ++b) {
      CHECK(is_cut(spec, a, b) == is_cut(spec, b, a));
      cut += is_cut(spec, a, b) ? 1 : 0;
    }
  CHECK(cut == 9);
  for (HostIndex a = 1; a < 8; ++a) CHECK_FALSE(is_cut(spec, 0, a));
  const auto matrix = matrix_of(spec);
  REQUIRE(matrix.ok());
  CHECK(topology::check(*matrix).ok());
  CHECK(topology::misses_pairs(*matrix));
  const std::string with_all = *describe_plans(whole, {64 << 20});
  const std::string without = *describe_plans(spec, {64 << 20});
  const auto best = [](const std::string& table) {
    return std::min(row_of(table, 64 << 20, "direct").first, row_of(table, 64 << 20, "ring").first);
  };
  CHECK(best(without) <= 1.15 * best(with_all));
  Spec other = whole;
  other.seed = 2;
  cut_pairs(other, 33);
  CHECK_FALSE(*describe_plans(other, {64 << 20}) == without);
  cut_pairs(other = whole, 100);
  for (HostIndex a = 1; a < 8; ++a)
    for (HostIndex b = 1; b < a; ++b) CHECK(is_cut(other, a, b));
}

TEST_CASE("a cable that only some pairs between two sets take is refused") {
  const auto spec = parse_spec(
      "[[hosts]]\ncount=4\nup_mbit=100\ndown_mbit=100\n[[cables]]\nname=\"thin\"\nrate_mbit=10\n"
      "[[paths]]\nfrom=\"*\"\nto=\"*\"\ndelay_ms=1\n"
      "[[paths]]\nfrom=0\nto=2\ndelay_ms=1\ncable=\"thin\"\n[[paths]]\nfrom=1\nto=3\ndelay_ms=1\ncable=\"thin\"\n",
      "test");
  REQUIRE(spec.ok());
  const auto plans = describe_plans(*spec, {1024});
  REQUIRE_FALSE(plans.ok());
  CHECK(plans.error().sentence.find("thin") != std::string::npos);
}

TEST_CASE("the table of plans has the least that bandwidth allows, and no plan below it") {
  constexpr std::uint64_t kBytes = 64 << 20;
  const auto slow = describe_plans(named("one-slow"), {kBytes});
  REQUIRE(slow.ok());
  const auto [ideal, least] = row_of(*slow, kBytes, "least");
  // The slow host sends all of it once, at 100 Mbit/s of IP packets.
  CHECK(least == Approx(8e3 * kBytes / (100e6 * 1448 / 1500)).epsilon(1e-4));
  const auto [ring, ring_bandwidth] = row_of(*slow, kBytes, "ring");
  CHECK(ring_bandwidth / least == Approx(1.5).epsilon(1e-3));
  CHECK(ring > ideal);
  CHECK(row_of(*slow, kBytes, "direct").second < 1.01 * least);

  const auto regions = describe_plans(named("two-regions"), {4096, kBytes});
  REQUIRE(regions.ok());
  CHECK(regions->find("hierarchical  chosen") != std::string::npos);
  CHECK(row_of(*regions, 4096, "least").second < row_of(*regions, kBytes, "least").second);
  CHECK(regions->find("longest round trip 80 ms") != std::string::npos);
}

}  // namespace
}  // namespace hawser::wan
