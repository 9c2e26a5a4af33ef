#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/badge.hpp"

namespace hawser::trust {

/// What the extension of a certificate says.
struct BadgeText {
  Role role = Role::observer;
  std::vector<std::uint32_t> groups{};  ///< Ascending. Empty: all.
  bool holds_secret = false;
};

/// "hawser-badge 1 role=member groups=0,2 secret=no"; groups=all where there are none.
std::string to_string(const BadgeText& badge);
/// Reads exactly what to_string writes; none for anything else.
std::optional<BadgeText> parse_badge_text(std::string_view text);

/// "0,2": numbers with commas, ascending, each once, kBadgeGroupsMax at most. None for anything else.
std::optional<std::vector<std::uint32_t>> parse_groups(std::string_view text);

}  // namespace hawser::trust
