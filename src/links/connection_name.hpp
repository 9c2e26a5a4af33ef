#pragma once

#include <cstdint>

#include "base/ids.hpp"

namespace hawser {

/// One TCP connection of a link: which peer, and the number of the connection in the link.
struct ConnectionName {
  PeerId peer;
  std::uint32_t index = 0;
  friend bool operator==(const ConnectionName&, const ConnectionName&) = default;
};

}  // namespace hawser
