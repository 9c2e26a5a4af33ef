#pragma once

#include <cstdint>

#include "base/instant.hpp"

namespace hawser {

/// What a plan choice depends on. Until rates are measured the defaults stand for every pair of peers.
struct Conditions {
  std::uint64_t payload_bytes = 0;
  std::uint32_t world_size = 2;
  double bytes_per_second = 1e9;      ///< Per direction and peer.
  Duration delay = microseconds(50);  ///< One way.
  Duration per_message = microseconds(5);
};

/// Expected seconds of an all-reduce: 2(N-1)/N S/b + 2(N-1)a, and a ring sends 2(N-1) messages in sequence.
double ring_seconds(const Conditions& conditions);
/// 2(N-1)/N S/b + 2a; a root handles N-1 messages in each phase.
double direct_seconds(const Conditions& conditions);

}  // namespace hawser
