#include "base/link_layout.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

constexpr LinkLayout kSmall{.all_links_max = 3, .width = 2, .sponsors = 1};

using Ranks = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("up to a size all members have links to each other") {
  CHECK(LinkLayout{}.has_all_links(128));
  CHECK_FALSE(LinkLayout{}.has_all_links(129));
  CHECK(kSmall.neighbours(1, 3) == Ranks{0, 2});
  CHECK(kSmall.row_width(3) == 0);
  CHECK(LinkLayout{}.neighbours(5, 128).size() == 127);
}

TEST_CASE("beyond that they have them along rows and columns") {
  CHECK(kSmall.neighbours(0, 4) == Ranks{1, 2});
  CHECK(kSmall.neighbours(3, 5) == Ranks{1, 2});
  CHECK(kSmall.neighbours(4, 5) == Ranks{0, 2});
  CHECK(kSmall.row_width(4) == 2);
  // 31 in the row, and one in each other row.
  CHECK(LinkLayout{}.neighbours(0, 129).size() == 35);
  CHECK(LinkLayout{}.neighbours(128, 129).size() == 4);
  for (const std::uint32_t rank : {0U, 517U, 1023U})
    CHECK(LinkLayout{}.neighbours(rank, limits::kGroupSizeMax).size() == 62);
}

TEST_CASE("both ends of a link know it, and of any two members one has links to both") {
  for (const LinkLayout& layout : {kSmall, LinkLayout{.all_links_max = 7, .width = 4}})
    for (std::uint32_t members = 2; members < 24; ++members)
      for (std::uint32_t a = 0; a < members; ++a) {
        const Ranks of_a = layout.neighbours(a, members);
        REQUIRE(of_a.size() == layout.links_of(a, members));
        for (std::uint32_t b = 0; b < members; ++b) {
          if (a == b) continue;
          const bool linked = std::binary_search(of_a.begin(), of_a.end(), b);
          REQUIRE(linked == layout.has_link(a, b, members));
          REQUIRE(linked == layout.has_link(b, a, members));
          REQUIRE((linked || std::any_of(of_a.begin(), of_a.end(),
                                         [&](std::uint32_t via) { return layout.has_link(via, b, members); })));
        }
      }
}

TEST_CASE("who comes in moves nobody") {
  const LinkLayout layout;
  for (std::uint32_t rank = 0; rank < 129; rank += 16) {
    const Ranks before = layout.neighbours(rank, 129);
    const Ranks after = layout.neighbours(rank, 700);
    CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  }
}

}  // namespace hawser
