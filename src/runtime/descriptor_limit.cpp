#include "runtime/descriptor_limit.hpp"

#include <sys/resource.h>

#include <limits>

#include "links/connection_count.hpp"

namespace hawser {

DescriptorLimit descriptor_limit() {
  constexpr auto kNone = std::numeric_limits<std::uint64_t>::max();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {.soft = kNone, .hard = kNone};
  const auto number = [](rlim_t from) { return from == RLIM_INFINITY ? kNone : std::uint64_t{from}; };
  return {.soft = number(limit.rlim_cur), .hard = number(limit.rlim_max)};
}

LinksHeld links_held(const View& view, PeerId self, std::uint32_t connections_per_link, const LinkLayout& layout) {
  const bool automatic = connections_per_link == 0;
  LinksHeld links{.connections_between_hosts = automatic ? kConnectionsAutomaticMost : connections_per_link,
                  .connections_within_host = automatic ? 1 : connections_per_link};
  const auto rank = view.rank_of(self);
  if (!rank) return links;
  const Member& me = view.members[*rank];
  for (const std::uint32_t other : layout.neighbours(*rank, view.size())) {
    const bool same = me.machine != 0 && view.members[other].machine == me.machine;
    ++(same ? links.within_host : links.between_hosts);
  }
  return links;
}

}  // namespace hawser
