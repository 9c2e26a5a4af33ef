#include "trust/badge_text.hpp"

#include <charconv>

#include "trust/certificate.hpp"

namespace hawser::trust {
namespace {

constexpr std::string_view kBadgeHead = "hawser-badge 1 role=";
constexpr std::string_view kGroupsHead = " groups=";
constexpr std::string_view kSecretHead = " secret=";
constexpr std::string_view kAllGroups = "all";

}  // namespace

std::string to_string(const BadgeText& badge) {
  std::string groups;
  for (const std::uint32_t group : badge.groups) groups += (groups.empty() ? "" : ",") + std::to_string(group);
  if (groups.empty()) groups = kAllGroups;
  return std::string(kBadgeHead) + role_name(badge.role) + std::string(kGroupsHead) + groups +
         std::string(kSecretHead) + (badge.holds_secret ? "yes" : "no");
}

std::optional<std::vector<std::uint32_t>> parse_groups(std::string_view text) {
  std::vector<std::uint32_t> groups;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (groups.size() < kBadgeGroupsMax) {
    std::uint32_t group = 0;
    const auto [next, error] = std::from_chars(at, end, group);
    if (error != std::errc{} || (!groups.empty() && group <= groups.back())) return std::nullopt;
    groups.push_back(group);
    if (next == end) return groups;
    if (*next != ',') return std::nullopt;
    at = next + 1;
  }
  return std::nullopt;
}

std::optional<BadgeText> parse_badge_text(std::string_view text) {
  const auto groups_at = text.find(kGroupsHead);
  const auto secret_at = text.find(kSecretHead);
  if (!text.starts_with(kBadgeHead) || groups_at == std::string_view::npos || secret_at == std::string_view::npos ||
      secret_at < groups_at + kGroupsHead.size())
    return std::nullopt;
  const auto role = parse_role(text.substr(kBadgeHead.size(), groups_at - kBadgeHead.size()));
  const auto groups_text =
      text.substr(groups_at + kGroupsHead.size(), secret_at - groups_at - kGroupsHead.size());
  const auto groups = groups_text == kAllGroups ? std::vector<std::uint32_t>{} : parse_groups(groups_text);
  if (!role || !groups) return std::nullopt;
  BadgeText badge{.role = *role, .groups = *groups, .holds_secret = text.ends_with("yes")};
  if (to_string(badge) != text) return std::nullopt;
  return badge;
}

}  // namespace hawser::trust
