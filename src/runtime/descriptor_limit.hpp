#pragma once

#include "base/link_layout.hpp"
#include "links/descriptor_need.hpp"
#include "membership/view.hpp"

namespace hawser {

/// Of this process, now. Where the system does not say: no limit.
DescriptorLimit descriptor_limit();

/// The links that `self` has as a member of the view. `connections_per_link`: as configured, 0 for automatic.
LinksHeld links_held(const View& view, PeerId self, std::uint32_t connections_per_link,
                     const LinkLayout& layout = {});

}  // namespace hawser
