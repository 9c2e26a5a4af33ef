#pragma once

#include <optional>
#include <span>
#include <string>

#include "hostile/options.hpp"

namespace hawser::hostile {

/// What strangers do to a master while its members go on.
struct FloodCase {
  const char* name = "";
  const char* what = "";  ///< For a reader of the table.
  /// None: no flood, but a real newcomer that is refused and tries again at once.
  std::optional<FloodKind> flood;
  double opens_per_second = 0;
  std::uint32_t connections = 0;
  bool keeps = false;
  double pings_per_second = 1;
  bool from_many = true;  ///< From as many addresses as there are; else from one.
  bool cuts_pair = false;  ///< Two of the members lose the way to each other; the one that is removed tries again.
  bool resolver_hangs = false;   ///< No name server answers the members.
  bool at_member = false;        ///< The flood is aimed at a member's port for links.
  bool at_all = false;           ///< At the master and all members; each has a port of its own that discards.
  bool says_garbage = false;     ///< So many messages a second as the bench is asked for.
  /// Strangers are on the hosts that they flood, under addresses of their own: the emulated network carries less.
  bool is_near = false;
};

std::span<const FloodCase> flood_cases();

}  // namespace hawser::hostile
