#include "membership/rank_set.hpp"

#include <set>

#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

std::vector<std::uint32_t> ranks_of(const RankSet& set) {
  std::vector<std::uint32_t> ranks;
  set.for_each([&](std::uint32_t rank) { ranks.push_back(rank); });
  return ranks;
}

}  // namespace

TEST_CASE("ranks are in once, and come in order") {
  RankSet set;
  CHECK(set.empty());
  CHECK_FALSE(set.contains(0));
  CHECK_FALSE(set.contains(1000000));
  for (const std::uint32_t rank : {64U, 0U, 1023U, 63U}) CHECK(set.insert(rank));
  CHECK_FALSE(set.insert(63));
  CHECK(set.size() == 4);
  CHECK_FALSE(set.empty());
  CHECK(ranks_of(set) == std::vector<std::uint32_t>{0, 63, 64, 1023});
  CHECK(set.contains(1023));
  CHECK_FALSE(set.contains(1022));
}

TEST_CASE("a rank set is what a set of numbers is") {
  Random random(5);
  RankSet set;
  std::set<std::uint32_t> numbers;
  for (int i = 0; i < 2000; ++i) {
    const auto rank = static_cast<std::uint32_t>(random.below(1024));
    REQUIRE(set.insert(rank) == numbers.insert(rank).second);
    REQUIRE(set.size() == numbers.size());
  }
  CHECK(ranks_of(set) == std::vector<std::uint32_t>(numbers.begin(), numbers.end()));
  for (std::uint32_t rank = 0; rank < 1100; ++rank) REQUIRE(set.contains(rank) == numbers.contains(rank));
}

}  // namespace hawser
