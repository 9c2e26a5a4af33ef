#include "shared_state/transfer_plan.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "kernels/content_digest.hpp"

namespace hawser {
namespace {

bool misses(const SliceReceiver& receiver, std::uint64_t slice) {
  return slice >= receiver.has.size() || !receiver.has[static_cast<std::size_t>(slice)];
}

/// Candidates for one kind of work, the one with least to send so far first. While it lives nobody else may
/// change the load of its ranks.
class LeastLoaded {
 public:
  LeastLoaded(std::vector<std::uint64_t>& load, std::vector<std::uint32_t> ranks)
      : load_(load), ranks_(std::move(ranks)) {
    for (std::size_t index = 0; index < ranks_.size(); ++index) order_.insert(key(index));
  }

  /// The index of the least loaded one that is fit for it, which gets the load. There must be one.
  template <class IsFit>
  std::size_t take(std::uint64_t bytes, IsFit is_fit) {
    const auto found =
        std::find_if(order_.begin(), order_.end(), [&](const Key& key) { return is_fit(key.second); });
    HAWSER_ASSERT(found != order_.end());
    const std::size_t index = found->second;
    order_.erase(found);
    load_[ranks_[index]] += bytes;
    order_.insert(key(index));
    return index;
  }

 private:
  /// Load and index; ranks ascend with the indexes, so the lowest rank wins among equals.
  using Key = std::pair<std::uint64_t, std::size_t>;
  Key key(std::size_t index) const { return {load_[ranks_[index]], index}; }

  std::vector<std::uint64_t>& load_;
  std::vector<std::uint32_t> ranks_;
  std::set<Key> order_;
};

std::uint32_t highest_rank(const std::vector<TransferDemand>& demands) {
  std::uint32_t highest = 0;
  for (const TransferDemand& demand : demands) {
    for (const std::uint32_t holder : demand.holders) highest = std::max(highest, holder);
    for (const SliceReceiver& receiver : demand.receivers) highest = std::max(highest, receiver.rank);
  }
  return highest;
}

}  // namespace

std::vector<TransferDemand> demands_of(const Election& election, const Manifest& shape) {
  std::vector<TransferDemand> demands;
  for (const TensorFetch& fetch : election.fetches) {
    TransferDemand demand{.tensor = fetch.tensor,
                          .bytes = content_bytes(shape.tensors.at(fetch.tensor)),
                          .holders = fetch.holders};
    for (const std::uint32_t rank : fetch.receivers) demand.receivers.push_back({.rank = rank});
    demands.push_back(std::move(demand));
  }
  return demands;
}

TransferPlan::TransferPlan(std::vector<TransferDemand> demands) : demands_(std::move(demands)) {
  HAWSER_ASSERT(demands_.size() <= std::numeric_limits<std::uint32_t>::max());
  std::vector<std::uint64_t> bytes_to_send(std::size_t{highest_rank(demands_)} + 1);
  for (std::uint32_t number = 0; number < demands_.size(); ++number) {
    const TransferDemand& demand = demands_[number];
    std::vector<std::uint32_t> receiving;
    for (const SliceReceiver& receiver : demand.receivers) receiving.push_back(receiver.rank);
    LeastLoaded sources(bytes_to_send, demand.holders);
    LeastLoaded relays(bytes_to_send, receiving);
    for (std::uint64_t slice = 0; slice < slice_count(demand.bytes); ++slice) {
      const auto misses_it = [&](std::size_t receiver) { return misses(demand.receivers[receiver], slice); };
      std::uint64_t missing = 0;
      for (std::size_t i = 0; i < receiving.size(); ++i) missing += misses_it(i) ? 1 : 0;
      if (missing == 0) continue;
      const std::uint64_t bytes = slice_bytes(demand.bytes, slice);
      const std::size_t source = sources.take(bytes, [](std::size_t) { return true; });
      const std::size_t relay = relays.take(bytes * (missing - 1), misses_it);
      steps_.push_back(
          {.slice = slice, .demand = number, .source = demand.holders[source], .relay = receiving[relay]});
    }
  }
}

SliceRoute TransferPlan::route(std::size_t index) const {
  const Step& step = steps_.at(index);
  const TransferDemand& demand = demands_[step.demand];
  SliceRoute route{.tensor = demand.tensor,
                   .slice = step.slice,
                   .bytes = slice_bytes(demand.bytes, step.slice),
                   .source = step.source,
                   .relay = step.relay};
  for (const SliceReceiver& receiver : demand.receivers)
    if (receiver.rank != step.relay && misses(receiver, step.slice)) route.rest.push_back(receiver.rank);
  return route;
}

}  // namespace hawser
