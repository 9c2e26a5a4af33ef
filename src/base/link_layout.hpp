#pragma once

#include <cstdint>
#include <vector>

#include "base/limits.hpp"

namespace hawser {

/// Which members of a view have a link to each other, by their ranks alone, so that all agree on it. In groups up to a
/// size all have. In larger ones a member's links would be too many: the ranks stand in rows of a fixed width, and a
/// member has links along its row and its column. So of any two members one has a link to both, and those who come in
/// at the end move nobody.
struct LinkLayout {
  /// Groups up to this size have all links, and measure them.
  std::uint32_t all_links_max = limits::kMeasuredGroupMax;
  /// Even, and no larger group has less than two whole rows.
  std::uint32_t width = 32;
  /// Members of such a large group that a newcomer must have links to before it may come in.
  std::uint32_t sponsors = 16;

  bool has_all_links(std::uint32_t members) const { return members <= all_links_max; }
  bool has_link(std::uint32_t a, std::uint32_t b, std::uint32_t members) const {
    return has_all_links(members) || a / width == b / width || a % width == b % width;
  }
  /// Ranks, ascending.
  std::vector<std::uint32_t> neighbours(std::uint32_t rank, std::uint32_t members) const;
  /// How many these are.
  std::uint32_t links_of(std::uint32_t rank, std::uint32_t members) const;
  /// As PlanInput::row_width.
  std::uint32_t row_width(std::uint32_t members) const { return has_all_links(members) ? 0 : width; }
};

}  // namespace hawser
