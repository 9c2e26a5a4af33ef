#include "base/link_layout.hpp"

#include <algorithm>

namespace hawser {

static_assert(LinkLayout{}.width % 2 == 0 && 2 * LinkLayout{}.width <= LinkLayout{}.all_links_max + 1);

std::vector<std::uint32_t> LinkLayout::neighbours(std::uint32_t rank, std::uint32_t members) const {
  std::vector<std::uint32_t> ranks;
  const auto add = [&](std::uint32_t first, std::uint32_t end, std::uint32_t step) {
    for (std::uint32_t other = first; other < end; other += step)
      if (other != rank) ranks.push_back(other);
  };
  if (has_all_links(members)) {
    add(0, members, 1);
    return ranks;
  }
  const std::uint32_t row = rank - rank % width;
  add(row, std::min(row + width, members), 1);
  add(rank % width, members, width);
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

std::uint32_t LinkLayout::links_of(std::uint32_t rank, std::uint32_t members) const {
  if (has_all_links(members)) return members - 1;
  const std::uint32_t of_row = std::min(width, members - (rank - rank % width));
  const std::uint32_t of_column = (members - 1 - rank % width) / width + 1;
  return of_row + of_column - 2;
}

}  // namespace hawser
