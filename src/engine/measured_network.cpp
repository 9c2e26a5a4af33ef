#include "engine/measured_network.hpp"

#include <algorithm>

#include "topology/estimates.hpp"

namespace hawser {
namespace {

bool has(const std::vector<std::uint32_t>& ranks, std::uint32_t rank) {
  return std::binary_search(ranks.begin(), ranks.end(), rank);
}

/// Nobody's access is slower than what passed over it.
void raise_access_limits(topology::Matrix& matrix) {
  for (std::uint32_t from = 0; from < matrix.world_size; ++from)
    for (std::uint32_t to = 0; to < matrix.world_size; ++to) {
      const std::uint64_t passed = matrix.pair(from, to).bytes_per_second;
      std::uint64_t& up = matrix.members[from].uplink_bytes_per_second;
      std::uint64_t& down = matrix.members[to].downlink_bytes_per_second;
      if (up != 0) up = std::max(up, passed);
      if (down != 0) down = std::max(down, passed);
    }
}

/// A lower bound is taken for unknown, and so estimated by what both ends can do, if both are known to do more.
void forget_lower_bounds(const Measures& measures, topology::Matrix& matrix) {
  std::vector<std::uint64_t> up(matrix.world_size);
  std::vector<std::uint64_t> down(matrix.world_size);
  const auto is_lower_bound = [&](std::uint32_t from, std::uint32_t to) {
    return has(measures.rows[from].lower_bounds, to);
  };
  for (std::uint32_t from = 0; from < matrix.world_size; ++from)
    for (std::uint32_t to = 0; to < matrix.world_size; ++to) {
      if (is_lower_bound(from, to)) continue;
      up[from] = std::max(up[from], matrix.pair(from, to).bytes_per_second);
      down[to] = std::max(down[to], matrix.pair(from, to).bytes_per_second);
    }
  for (std::uint32_t from = 0; from < matrix.world_size; ++from)
    for (std::uint32_t to = 0; to < matrix.world_size; ++to) {
      std::uint64_t& rate = matrix.pair(from, to).bytes_per_second;
      if (is_lower_bound(from, to) && std::min(up[from], down[to]) >= rate) rate = 0;
    }
}

/// What passes from one region to another, all pairs together. Of what traffic showed, as far as it was at one time:
/// else a cable would look the wider the fewer pairs the last plan used. Probes run one for each member at a time.
std::uint64_t rate_between(const Measures& measures, const topology::Matrix& matrix, const topology::Cable& cable) {
  std::uint64_t by_traffic = 0;
  std::uint64_t at_one_time = 0;
  std::uint64_t by_probes = 0;
  std::uint64_t probes = 0;
  for (const std::uint32_t from : cable.from)
    for (const std::uint32_t to : cable.to) {
      const std::uint64_t rate = matrix.pair(from, to).bytes_per_second;
      const bool probed = has(measures.rows[from].probed, to);
      (probed ? by_probes : by_traffic) += rate;
      if (!probed && has(measures.rows[from].together, to)) at_one_time += rate;
      probes += probed && rate > 0 ? 1 : 0;
    }
  if (probes == 0) return at_one_time != 0 ? at_one_time : by_traffic;
  return by_traffic + by_probes / probes * std::min<std::uint64_t>({probes, cable.from.size(), cable.to.size()});
}

void add_cables(const Measures& measures, topology::Matrix& matrix) {
  const topology::Regions regions = topology::Estimates(matrix).regions();
  if (!regions.structured()) return;
  for (const auto& from : regions.members)
    for (const auto& to : regions.members) {
      if (&from == &to) continue;
      topology::Cable cable{.from = from, .to = to, .bytes_per_second = 0};
      cable.bytes_per_second = std::min(rate_between(measures, matrix, cable), topology::kBytesPerSecondMax);
      if (cable.bytes_per_second > 0 && matrix.cables.size() < topology::kCablesMax)
        matrix.cables.push_back(std::move(cable));
    }
}

/// Beside other pairs on their cable, traffic shows only what these left of it: alone a pair may get all of it. Else a
/// plan that sends over fewer pairs would look as if it could not fill the cable. Where that would hide the regions,
/// whose gap is one of rates then, pairs stay as they are.
void free_pairs_of_cables(const Measures& measures, topology::Matrix& matrix) {
  topology::Matrix freed = matrix;
  for (const topology::Cable& cable : matrix.cables)
    for (const std::uint32_t from : cable.from)
      for (const std::uint32_t to : cable.to) {
        std::uint64_t& rate = freed.pair(from, to).bytes_per_second;
        if (rate != 0 && !has(measures.rows[from].probed, to)) rate = std::max(rate, cable.bytes_per_second);
      }
  if (topology::Estimates(freed).regions().of_rank == topology::Estimates(matrix).regions().of_rank)
    matrix = std::move(freed);
}

/// Which pairs have no way of their own: one end's word is enough. What was measured of such a pair is of the way that
/// its data goes, and no more of use once it is known for what its ends can do at least.
void take_detours(const Measures& measures, topology::Matrix& matrix) {
  const std::uint32_t size = matrix.world_size;
  for (std::uint32_t from = 0; from < size; ++from)
    for (const LinkDetour& detour : measures.rows[from].detours) {
      if (detour.to >= size || detour.to == from) continue;
      std::uint32_t& through = matrix.pair(from, detour.to).through;
      if (through != topology::kStraight && through != topology::kByAnyone) continue;
      const bool is_known = detour.by < size && detour.by != from && detour.by != detour.to;
      through = matrix.pair(detour.to, from).through = is_known ? detour.by : topology::kByAnyone;
    }
  for (topology::PairMeasure& pair : matrix.pairs)
    if (pair.through != topology::kStraight) pair.bytes_per_second = pair.delay_ns = 0;
}

/// Rates that were measured at one time, and what they come to together.
struct Together {
  std::uint64_t rate = 0;
  std::uint64_t pairs = 0;

  void add(std::uint64_t one) {
    rate += one;
    pairs += one != 0 ? 1 : 0;
  }
  /// They fill an access, and one of them has about its share of that: it says what the access carries, not the pair.
  bool share_access(std::uint64_t access, std::uint64_t one) const {
    return access != 0 && 10 * rate >= 7 * access && 4 * one * pairs >= rate;
  }
};

/// Where pairs are missing, plans weigh links by what they carry, and so decide what is measured of them next. What a
/// pair gets beside others of its ends' accesses must not pass for a limit of its own: the plan would avoid it for good.
void free_pairs_of_accesses(const Measures& measures, topology::Matrix& matrix) {
  const std::uint32_t size = matrix.world_size;
  std::vector<Together> sent(size);
  std::vector<Together> received(size);
  const auto each = [&](const auto& see) {
    for (std::uint32_t from = 0; from < size; ++from)
      for (const std::uint32_t to : measures.rows[from].together)
        if (to < size && to != from && !has(measures.rows[from].probed, to)) see(from, to);
  };
  each([&](std::uint32_t from, std::uint32_t to) {
    sent[from].add(matrix.pair(from, to).bytes_per_second);
    received[to].add(matrix.pair(from, to).bytes_per_second);
  });
  each([&](std::uint32_t from, std::uint32_t to) {
    std::uint64_t& rate = matrix.pair(from, to).bytes_per_second;
    if (sent[from].share_access(matrix.members[from].uplink_bytes_per_second, rate) ||
        received[to].share_access(matrix.members[to].downlink_bytes_per_second, rate))
      rate = 0;
  });
}

}  // namespace

Measures without_relays(const Measures& measures, std::uint32_t members) {
  Measures made{.view = measures.view, .version = measures.version, .rows = {}};
  const auto keep = [&](std::vector<std::uint32_t>& ranks) {
    std::erase_if(ranks, [&](std::uint32_t rank) { return rank >= members; });
  };
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    LinkRow& row = made.rows.emplace_back(measures.rows[rank]);
    row.bytes_per_second.resize(std::min<std::size_t>(row.bytes_per_second.size(), members));
    row.delay_ns.resize(row.bytes_per_second.size());
    keep(row.probed);
    keep(row.lower_bounds);
    keep(row.together);
    std::erase_if(row.detours, [&](const LinkDetour& detour) { return detour.to >= members; });
    for (LinkDetour& detour : row.detours)
      if (detour.by >= members) detour.by = LinkDetour::kByAnyone;
  }
  return made;
}

topology::Matrix matrix_with_relays(const topology::Matrix& members, const Measures& measures, const View& view) {
  const std::uint32_t size = members.world_size;
  topology::Matrix matrix = topology::Matrix::unknown(view.nodes());
  matrix.version = members.version;
  std::copy(members.members.begin(), members.members.end(), matrix.members.begin());
  std::uint64_t fastest = 0;
  for (std::uint32_t from = 0; from < size; ++from) {
    fastest = std::max({fastest, members.members[from].uplink_bytes_per_second,
                        members.members[from].downlink_bytes_per_second});
    for (std::uint32_t to = 0; to < size; ++to) {
      matrix.pair(from, to) = members.pair(from, to);
      fastest = std::max(fastest, members.pair(from, to).bytes_per_second);
    }
  }
  const auto bounded = [](std::uint64_t rate) { return std::min(rate, topology::kBytesPerSecondMax / 2); };
  for (std::uint32_t relay = size; relay < view.nodes(); ++relay) {
    const LinkRow& own = measures.rows[relay];
    const std::uint64_t offered = bounded(view.members[relay].relay_bytes_per_second);
    const auto access = [&](std::uint64_t seen) {
      return offered != 0 ? offered : 2 * bounded(seen != 0 ? seen : fastest);
    };
    matrix.members[relay].uplink_bytes_per_second = access(own.uplink_bytes_per_second);
    matrix.members[relay].downlink_bytes_per_second = access(own.downlink_bytes_per_second);
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      const LinkRow& row = measures.rows[rank];
      const std::uint64_t there = relay < row.delay_ns.size() ? row.delay_ns[relay] : 0;
      const std::uint64_t back = rank < own.delay_ns.size() ? own.delay_ns[rank] : 0;
      matrix.pair(rank, relay).delay_ns = std::min(there != 0 ? there : back, topology::kDelayNsMax);
      matrix.pair(relay, rank).delay_ns = std::min(back != 0 ? back : there, topology::kDelayNsMax);
      const auto misses = [](const LinkRow& one, std::uint32_t to) {
        return std::any_of(one.detours.begin(), one.detours.end(),
                           [&](const LinkDetour& detour) { return detour.to == to; });
      };
      if (misses(row, relay) || misses(own, rank))
        matrix.pair(rank, relay).through = matrix.pair(relay, rank).through = topology::kByAnyone;
    }
  }
  matrix.cables = members.cables;
  if (!topology::knows_rates(matrix)) return matrix;
  // Nothing was seen together of what goes to a region of relays alone: in doubt it is as much as they offer.
  const topology::Regions regions = topology::Estimates(matrix).regions();
  if (!regions.structured()) return matrix;
  // What goes to a relay takes the cable to its neighbours.
  for (std::uint32_t relay = size; relay < view.nodes(); ++relay) {
    const auto& neighbours = regions.members[regions.of_rank[relay]];
    const auto lead_there = [&](const std::vector<std::uint32_t>& ends) {
      return ends.front() < size &&
             std::all_of(ends.begin(), ends.end(), [&](std::uint32_t rank) { return has(neighbours, rank); });
    };
    for (topology::Cable& cable : matrix.cables)
      for (auto* const ends : {&cable.from, &cable.to})
        if (lead_there(*ends)) ends->push_back(relay);
  }
  std::vector<topology::Cable> to_relays;
  for (const auto& from : regions.members)
    for (const auto& to : regions.members) {
      if (&from == &to || (from.front() < size && to.front() < size)) continue;
      topology::Cable cable{.from = from, .to = to, .bytes_per_second = 0};
      for (const std::uint32_t rank : from.front() >= size ? from : to)
        if (rank >= size) cable.bytes_per_second += matrix.members[rank].uplink_bytes_per_second;
      cable.bytes_per_second = std::min(cable.bytes_per_second, topology::kBytesPerSecondMax);
      if (cable.bytes_per_second > 0 && matrix.cables.size() + to_relays.size() < topology::kCablesMax)
        to_relays.push_back(std::move(cable));
    }
  matrix.cables.insert(matrix.cables.end(), to_relays.begin(), to_relays.end());
  return matrix;
}

topology::Matrix matrix_of(const Measures& measures) {
  const auto size = static_cast<std::uint32_t>(measures.rows.size());
  topology::Matrix matrix = topology::Matrix::unknown(size);
  matrix.version = measures.version;
  for (std::uint32_t from = 0; from < size; ++from) {
    const LinkRow& row = measures.rows[from];
    matrix.members[from].uplink_bytes_per_second = std::min(row.uplink_bytes_per_second, topology::kBytesPerSecondMax);
    matrix.members[from].downlink_bytes_per_second =
        std::min(row.downlink_bytes_per_second, topology::kBytesPerSecondMax);
    for (std::uint32_t to = 0; to < row.bytes_per_second.size() && to < size; ++to) {
      if (to == from) continue;
      topology::PairMeasure& pair = matrix.pair(from, to);
      pair.bytes_per_second = std::min(row.bytes_per_second[to], topology::kBytesPerSecondMax);
      pair.delay_ns = std::min(row.delay_ns[to], topology::kDelayNsMax);
    }
  }
  forget_lower_bounds(measures, matrix);
  raise_access_limits(matrix);
  take_detours(measures, matrix);
  if (topology::knows_rates(matrix)) add_cables(measures, matrix);
  if (!matrix.cables.empty()) free_pairs_of_cables(measures, matrix);
  if (topology::misses_pairs(matrix)) free_pairs_of_accesses(measures, matrix);
  return matrix;
}

}  // namespace hawser
