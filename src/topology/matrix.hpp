#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/result.hpp"

namespace hawser::topology {

/// Of any rate in a matrix: 80 Tbit/s.
inline constexpr std::uint64_t kBytesPerSecondMax = 10'000'000'000'000;
/// Of any delay in a matrix: a minute.
inline constexpr std::uint64_t kDelayNsMax = 60'000'000'000;
inline constexpr std::size_t kCablesMax = 1024;

/// In the place of a go-between's rank: the pair has a way of its own.
inline constexpr std::uint32_t kStraight = std::numeric_limits<std::uint32_t>::max();
/// The pair has no way of its own, and which member joins it is not known.
inline constexpr std::uint32_t kByAnyone = kStraight - 1;

/// What was measured from one member to another. 0: unknown.
struct PairMeasure {
  std::uint64_t bytes_per_second = 0;  ///< Goodput of the pair alone.
  std::uint64_t delay_ns = 0;          ///< One way, or half a round trip.
  std::uint32_t through = kStraight;   ///< The member by which its data goes. The same in both directions.
  friend bool operator==(const PairMeasure&, const PairMeasure&) = default;
};

/// What was measured of one member. 0: unknown.
struct MemberMeasure {
  std::uint64_t uplink_bytes_per_second = 0;
  std::uint64_t downlink_bytes_per_second = 0;
  std::uint64_t control_delay_ns = 0;  ///< To the master, one way.
  friend bool operator==(const MemberMeasure&, const MemberMeasure&) = default;
};

/// A shared bottleneck, as it was observed: all pairs (f, t) with f in `from` and t in `to` together moved so
/// many bytes per second. Ranks in ascending order.
struct Cable {
  std::vector<std::uint32_t> from;
  std::vector<std::uint32_t> to;
  std::uint64_t bytes_per_second = 0;
  friend bool operator==(const Cable&, const Cable&) = default;
};

/// Measured values between the members of a view, in rank order: integers, so that the same bytes are the
/// same matrix everywhere. Who plans with equal matrices gets equal plans.
struct Matrix {
  std::uint64_t version = 0;  ///< Of the content, by who publishes it. Planning does not look at it.
  std::uint32_t world_size = 0;
  std::vector<PairMeasure> pairs;  ///< world_size rows of world_size: from * world_size + to.
  std::vector<MemberMeasure> members;
  std::vector<Cable> cables;

  /// Nothing is known of anybody.
  static Matrix unknown(std::uint32_t world_size);

  PairMeasure& pair(std::uint32_t from, std::uint32_t to) {
    return pairs[static_cast<std::size_t>(from) * world_size + to];
  }
  const PairMeasure& pair(std::uint32_t from, std::uint32_t to) const {
    return pairs[static_cast<std::size_t>(from) * world_size + to];
  }
  friend bool operator==(const Matrix&, const Matrix&) = default;
};

/// Whether a matrix that came from outside may be planned with: 2 to 1024 members, sizes that fit, values
/// within the limits, nothing on the diagonal, go-betweens that are members and neither end of their pair, the same
/// there and back, cables of two disjoint sets of members, no pair on two cables.
/// O(N^2). Error: invalid_argument, saying what is wrong.
Result<void> check(const Matrix& matrix);

/// Whether any rate is known. Delays alone say nothing about bytes, but which members are near each other.
bool knows_rates(const Matrix& matrix);

/// Whether some pair has no way of its own. That alone is enough to plan from.
bool misses_pairs(const Matrix& matrix);

}  // namespace hawser::topology
