#include "plan/network.hpp"

#include <utility>

#include "plan/plan_partial.hpp"
#include "plan/plan_relays.hpp"
#include "topology/ring_order.hpp"

namespace hawser {
namespace {

/// As slow as can be: a ring goes there last.
constexpr std::uint64_t kMissingBytesPerSecond = 1;

/// The order of a ring that does without pairs that are missing, if it finds one.
std::vector<std::uint32_t> ring_along_links(const topology::Matrix& matrix) {
  topology::Matrix penalised = matrix;
  const bool knows_rates = topology::knows_rates(matrix);
  for (std::uint32_t from = 0; from < matrix.world_size; ++from)
    for (std::uint32_t to = 0; to < matrix.world_size; ++to) {
      if (from == to) continue;
      topology::PairMeasure& pair = penalised.pair(from, to);
      if (pair.through != topology::kStraight)
        pair = {.bytes_per_second = kMissingBytesPerSecond, .delay_ns = topology::kDelayNsMax};
      else if (!knows_rates)
        pair.bytes_per_second = topology::kBytesPerSecondMax;
    }
  return topology::ring_order(topology::Estimates(penalised));
}

bool is_whole(const std::vector<std::uint32_t>& ring, const topology::Estimates& estimates) {
  for (std::size_t i = 0; i < ring.size(); ++i)
    if (!estimates.has_link(ring[i], ring[(i + 1) % ring.size()])) return false;
  return true;
}

}  // namespace

Result<std::shared_ptr<const Network>> make_network(const topology::Matrix& matrix,
                                                    const topology::Matrix* with_relays) {
  if (const auto checked = topology::check(matrix); !checked.ok()) return checked.error();
  if (with_relays != nullptr)
    if (const auto checked = topology::check(*with_relays); !checked.ok()) return checked.error();
  const bool says_bytes = topology::knows_rates(matrix) || topology::misses_pairs(matrix);
  Network made{.estimates = topology::Estimates(matrix), .ring = {}, .direct = {}, .regions = {},
               .flat_along_links = {}, .deep_along_links = {}, .with_relays = {}, .relayed = {}};
  // Delays alone say only who is near whom.
  if (!says_bytes && !made.estimates.regions().structured()) return std::shared_ptr<const Network>();
  made.direct = direct_shares(made.estimates);
  made.regions = region_shares(made.estimates);
  if (made.estimates.avoids_pairs()) {
    made.ring = ring_along_links(matrix);
    made.ring_is_whole = is_whole(made.ring, made.estimates);
    made.flat_along_links = flat_trees_along_links(made.estimates);
    made.deep_along_links = deep_trees_along_links(made.estimates);
  } else {
    made.ring = topology::ring_order(made.estimates);
  }
  if (with_relays != nullptr) {
    made.with_relays.emplace(*with_relays);
    made.relayed = relayed_shares(*made.with_relays, matrix.world_size);
  }
  return std::shared_ptr<const Network>(std::make_shared<Network>(std::move(made)));
}

}  // namespace hawser
