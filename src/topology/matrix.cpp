#include "topology/matrix.hpp"

#include <algorithm>
#include <string>

#include "base/limits.hpp"

namespace hawser::topology {
namespace {

Error wrong(const std::string& what) {
  return {Status::invalid_argument, "the matrix of measured links: " + what};
}

std::string pair_name(std::uint32_t from, std::uint32_t to) {
  return "rank " + std::to_string(from) + " to rank " + std::to_string(to);
}

Result<void> check_pairs(const Matrix& matrix) {
  for (std::uint32_t from = 0; from < matrix.world_size; ++from)
    for (std::uint32_t to = 0; to < matrix.world_size; ++to) {
      const PairMeasure& pair = matrix.pair(from, to);
      if (from == to && pair != PairMeasure{}) return wrong(pair_name(from, to) + " is measured with itself");
      if (pair.bytes_per_second > kBytesPerSecondMax || pair.delay_ns > kDelayNsMax)
        return wrong(pair_name(from, to) + " has a value beyond the limits");
      const bool is_by_member = pair.through < matrix.world_size && pair.through != from && pair.through != to;
      if (pair.through != kStraight && pair.through != kByAnyone && !is_by_member)
        return wrong(pair_name(from, to) + " goes by one that cannot be its go-between");
      if (pair.through != matrix.pair(to, from).through)
        return wrong(pair_name(from, to) + " goes another way than back");
    }
  return {};
}

Result<void> check_members(const Matrix& matrix) {
  for (std::uint32_t rank = 0; rank < matrix.world_size; ++rank) {
    const MemberMeasure& member = matrix.members[rank];
    if (member.uplink_bytes_per_second > kBytesPerSecondMax ||
        member.downlink_bytes_per_second > kBytesPerSecondMax || member.control_delay_ns > kDelayNsMax)
      return wrong("rank " + std::to_string(rank) + " has a value beyond the limits");
  }
  return {};
}

bool ascending_ranks(const std::vector<std::uint32_t>& ranks, std::uint32_t world_size) {
  return !ranks.empty() && ranks.back() < world_size &&
         std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<>()) == ranks.end();
}

Result<void> check_cables(const Matrix& matrix) {
  if (matrix.cables.size() > kCablesMax) return wrong("more than " + std::to_string(kCablesMax) + " cables");
  std::vector<bool> taken(matrix.pairs.size());
  for (const Cable& cable : matrix.cables) {
    if (!ascending_ranks(cable.from, matrix.world_size) || !ascending_ranks(cable.to, matrix.world_size))
      return wrong("a cable's ranks are not in ascending order below the world size");
    if (cable.bytes_per_second == 0 || cable.bytes_per_second > kBytesPerSecondMax)
      return wrong("a cable's rate is zero or beyond the limits");
    // Each pair is taken once, so all cables together cost no more than the matrix has pairs.
    for (const std::uint32_t from : cable.from)
      for (const std::uint32_t to : cable.to) {
        auto taken_here = taken[static_cast<std::size_t>(from) * matrix.world_size + to];
        if (from == to || taken_here)
          return wrong(pair_name(from, to) + " is on a cable twice or with itself");
        taken_here = true;
      }
  }
  return {};
}

}  // namespace

Matrix Matrix::unknown(std::uint32_t world_size) {
  return {.version = 0,
          .world_size = world_size,
          .pairs = std::vector<PairMeasure>(static_cast<std::size_t>(world_size) * world_size),
          .members = std::vector<MemberMeasure>(world_size),
          .cables = {}};
}

Result<void> check(const Matrix& matrix) {
  if (matrix.world_size < 2 || matrix.world_size > limits::kGroupSizeMax)
    return wrong("it has " + std::to_string(matrix.world_size) + " members; 2 to " +
                 std::to_string(limits::kGroupSizeMax) + " are possible");
  if (matrix.pairs.size() != static_cast<std::size_t>(matrix.world_size) * matrix.world_size ||
      matrix.members.size() != matrix.world_size)
    return wrong("its lists do not have the size that its number of members asks for");
  if (auto pairs = check_pairs(matrix); !pairs.ok()) return pairs;
  if (auto members = check_members(matrix); !members.ok()) return members;
  return check_cables(matrix);
}

bool knows_rates(const Matrix& matrix) {
  return std::any_of(matrix.pairs.begin(), matrix.pairs.end(),
                     [](const PairMeasure& pair) { return pair.bytes_per_second != 0; }) ||
         std::any_of(matrix.members.begin(), matrix.members.end(), [](const MemberMeasure& member) {
           return member.uplink_bytes_per_second != 0 || member.downlink_bytes_per_second != 0;
         });
}

bool misses_pairs(const Matrix& matrix) {
  return std::any_of(matrix.pairs.begin(), matrix.pairs.end(),
                     [](const PairMeasure& pair) { return pair.through != kStraight; });
}

}  // namespace hawser::topology
