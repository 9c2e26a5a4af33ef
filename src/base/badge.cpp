#include "base/badge.hpp"

#include <array>
#include <cstddef>

namespace hawser {
namespace {

/// In the order of Role.
constexpr std::array kRoleNames{"member", "newcomer", "reader", "observer", "operator"};

}  // namespace

const char* role_name(Role role) { return kRoleNames.at(static_cast<std::size_t>(role)); }

std::optional<Role> parse_role(std::string_view text) {
  for (std::size_t i = 0; i < kRoleNames.size(); ++i)
    if (text == kRoleNames[i]) return static_cast<Role>(i);
  return std::nullopt;
}

}  // namespace hawser
