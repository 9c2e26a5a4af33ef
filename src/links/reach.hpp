#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"

namespace hawser::links {

/// How the connections of a link have come to be.
enum class Origin : std::uint8_t {
  none,      ///< There are none.
  dialled,   ///< This side has dialled the other.
  accepted,  ///< The other side has dialled this one.
  punched,   ///< Both have dialled each other at once: a TCP simultaneous open.
  through,   ///< A go-between has joined both.
};

/// What was tried last at an address, in vain.
struct FailedWay {
  Address to;
  std::string why;
  Instant at{};
  std::uint32_t times = 0;
  bool is_through = false;  ///< It is a go-between's.
};

/// How a link stands, and what has failed before it did, or since. For people.
struct Reach {
  Origin origin = Origin::none;
  Address address;  ///< Of the other end, or the go-between's. Without a port where the other side dialled.
  PeerId by{};      ///< The go-between.
  Instant since{};  ///< Of the latest connection.
  std::vector<FailedWay> failed;  ///< One of each address, kFailedWaysMax at most; the latest is the last.
};
inline constexpr std::size_t kFailedWaysMax = 8;

}  // namespace hawser::links
