#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hawser::topology {

class Estimates;

/// Members that are close to each other, or joined by faster links than to the rest.
struct Regions {
  std::vector<std::uint32_t> of_rank;
  std::vector<std::vector<std::uint32_t>> members;  ///< Ranks ascending; regions by their smallest rank.
  std::string reason;                               ///< For a person.

  /// More than one region, and one of them with more than one member: there is something to gain inside.
  bool structured() const { return members.size() > 1 && members.size() < of_rank.size(); }
};

/// Single linkage: the members are joined along the shortest spanning tree of delays, and the tree is cut at
/// the widest gap between successive lengths, if there the longer is at least three times the shorter
/// (anything below a millisecond counts as one). Where delays show no gap, the same along the fastest
/// spanning tree of rates. One level only: sites within continents are one or the other, whichever gap is
/// wider. Reads rates and delays only, not the cables. O(N^2).
Regions find_regions(const Estimates& estimates);

}  // namespace hawser::topology
