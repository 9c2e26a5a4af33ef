#pragma once

#include <cstdint>
#include <string>

#include "base/random.hpp"
#include "hostile/options.hpp"

namespace hawser::hostile {

/// What one connection of a flood says, framed.
struct FloodWords {
  std::string first;
  bool pings = false;  ///< Then pings follow.
};

/// Where the connection comes from. `port`: on which the flooder listens there; 0: nobody does.
struct FloodSource {
  std::string address;
  std::uint16_t port = 0;
};

/// Pure: the ids are drawn from `random`.
FloodWords words_of(FloodKind kind, const FloodSource& source, Random& random);
/// One ping, framed.
std::string ping_words();

/// "opens", "half-messages" and so on.
const char* flood_name(FloodKind kind);

}  // namespace hawser::hostile
