#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/key_id.hpp"

namespace hawser {

/// What the holder of a key may be in its run. The names in certificates and on command lines: role_name().
enum class Role : std::uint8_t {
  member,        ///< Reduces.
  newcomer,      ///< Takes the state, and is a member only once others vouch for it.
  reader,        ///< Takes the state.
  observer,      ///< Sees the run's status.
  run_operator,  ///< Everything.
};

/// "member", "newcomer", "reader", "observer", "operator".
const char* role_name(Role role);
/// None for anything else.
std::optional<Role> parse_role(std::string_view text);

/// Who the other side of a connection has proven to be.
struct Badge {
  KeyId key;
  std::string name;
  Role role = Role::observer;
  std::vector<std::uint32_t> groups;  ///< That it may be in, ascending. Empty: all.
  std::int64_t expires_unix_s = 0;
  bool holds_secret = false;  ///< It made its own certificate, since it holds the secret of the run.
  friend bool operator==(const Badge&, const Badge&) = default;
};

}  // namespace hawser
