#include "topology/probe_order.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/assert.hpp"

namespace hawser::topology {
namespace {

using Orders = std::vector<std::vector<std::uint32_t>>;

/// The round of the tournament in which two members meet. With an even number of players the last one stays where it
/// is, and the others meet when their sum is the round's; with an odd number nobody stays.
std::uint32_t tournament_round(std::uint32_t world_size, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t circle = world_size % 2 == 0 ? world_size - 1 : world_size;
  if (a == circle) return 2 * b % circle;
  if (b == circle) return 2 * a % circle;
  return (a + b) % circle;
}

/// Each member's pairs in the order of `when`, which no two pairs of one member share.
template <class When>
Orders by(std::uint32_t world_size, const std::vector<ProbePair>& pairs, When when) {
  std::vector<std::uint32_t> all(pairs.size());
  std::iota(all.begin(), all.end(), 0U);
  std::stable_sort(all.begin(), all.end(), [&](std::uint32_t x, std::uint32_t y) { return when(x) < when(y); });
  Orders orders(world_size);
  for (const std::uint32_t pair : all) {
    orders[pairs[pair].a].push_back(pair);
    orders[pairs[pair].b].push_back(pair);
  }
  return orders;
}

/// When each pair begins, by list scheduling.
std::vector<std::uint64_t> list_schedule(std::uint32_t world_size, const std::vector<ProbePair>& pairs) {
  std::vector<std::uint64_t> left(world_size);
  Orders waiting(world_size);
  for (std::uint32_t one = 0; one < pairs.size(); ++one)
    for (const std::uint32_t rank : {pairs[one].a, pairs[one].b}) {
      left[rank] += pairs[one].duration_us;
      waiting[rank].push_back(one);
    }
  std::vector<std::uint64_t> free_at(world_size);
  std::vector<std::uint64_t> begins(pairs.size());
  std::vector<std::uint32_t> freed(world_size);
  std::iota(freed.begin(), freed.end(), 0U);
  for (std::uint64_t now = 0; !freed.empty();) {
    const auto can_begin = [&](std::uint32_t one) {
      return free_at[pairs[one].a] <= now && free_at[pairs[one].b] <= now;
    };
    // Of those that have been free for longer no two wait for each other, or they would have begun.
    std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint32_t>> ready;
    for (const std::uint32_t rank : freed)
      for (const std::uint32_t one : waiting[rank]) {
        const ProbePair& pair = pairs[one];
        // Once, if both ends were freed now.
        if (!can_begin(one) || (rank == pair.b && free_at[pair.a] == now)) continue;
        const auto [low, high] = std::minmax(left[pair.a], left[pair.b]);
        ready.emplace_back(high, low, pair.duration_us, one);
      }
    std::ranges::sort(ready, std::greater());
    std::vector<std::uint32_t> begun;
    for (const auto& [high, low, duration_us, one] : ready) {
      if (!can_begin(one)) continue;
      begins[one] = now;
      // Even what takes no time comes after what came before.
      free_at[pairs[one].a] = free_at[pairs[one].b] = now + std::max<std::uint64_t>(1, duration_us);
      begun.push_back(one);
    }
    for (const std::uint32_t one : begun)
      for (const std::uint32_t rank : {pairs[one].a, pairs[one].b}) {
        left[rank] -= pairs[one].duration_us;
        std::erase(waiting[rank], one);
      }
    std::uint64_t next = std::numeric_limits<std::uint64_t>::max();
    for (const std::uint64_t free : free_at)
      if (free > now) next = std::min(next, free);
    freed.clear();
    for (std::uint32_t rank = 0; rank < world_size; ++rank)
      if (free_at[rank] == next) freed.push_back(rank);
    now = next;
  }
  return begins;
}

}  // namespace

std::uint64_t probes_last_us(const std::vector<ProbePair>& pairs, const Orders& orders) {
  std::vector<std::size_t> at(orders.size());
  std::vector<std::uint64_t> free_at(orders.size());
  const auto is_next = [&](std::uint32_t rank, std::uint32_t pair) {
    return at[rank] < orders[rank].size() && orders[rank][at[rank]] == pair;
  };
  std::size_t done = 0;
  while (done < pairs.size()) {
    const std::size_t before = done;
    for (std::uint32_t rank = 0; rank < orders.size(); ++rank) {
      if (at[rank] == orders[rank].size()) continue;
      const std::uint32_t index = orders[rank][at[rank]];
      const ProbePair& pair = pairs[index];
      if (!is_next(pair.a, index) || !is_next(pair.b, index)) continue;
      free_at[pair.a] = free_at[pair.b] = std::max(free_at[pair.a], free_at[pair.b]) + pair.duration_us;
      ++at[pair.a];
      ++at[pair.b];
      ++done;
    }
    HAWSER_ASSERT(done > before);
  }
  return free_at.empty() ? 0 : *std::max_element(free_at.begin(), free_at.end());
}

Orders order_probes(std::uint32_t world_size, const std::vector<ProbePair>& pairs) {
  for (const ProbePair& pair : pairs) HAWSER_ASSERT(pair.a != pair.b && pair.a < world_size && pair.b < world_size);
  Orders tournament = by(world_size, pairs,
                         [&](std::uint32_t one) { return tournament_round(world_size, pairs[one].a, pairs[one].b); });
  const std::vector<std::uint64_t> begins = list_schedule(world_size, pairs);
  Orders listed = by(world_size, pairs, [&](std::uint32_t one) { return begins[one]; });
  return probes_last_us(pairs, listed) < probes_last_us(pairs, tournament) ? listed : tournament;
}

}  // namespace hawser::topology
