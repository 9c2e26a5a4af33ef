#include "plan/network.hpp"

#include <utility>

#include "topology/ring_order.hpp"

namespace hawser {

Result<std::shared_ptr<const Network>> make_network(const topology::Matrix& matrix) {
  if (const auto checked = topology::check(matrix); !checked.ok()) return checked.error();
  if (!topology::knows_rates(matrix)) return std::shared_ptr<const Network>();
  topology::Estimates estimates(matrix);
  std::vector<std::uint32_t> ring = topology::ring_order(estimates);
  Shares direct = direct_shares(estimates);
  RegionShares regions = region_shares(estimates);
  return std::shared_ptr<const Network>(std::make_shared<Network>(Network{.estimates = std::move(estimates),
                                                                          .ring = std::move(ring),
                                                                          .direct = std::move(direct),
                                                                          .regions = std::move(regions)}));
}

}  // namespace hawser
