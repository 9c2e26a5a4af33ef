#include <algorithm>
#include <limits>
#include <numeric>

#include "base/assert.hpp"
#include "topology/ring_order.hpp"

namespace hawser::topology {
namespace {

constexpr std::uint32_t kMembersMax = 10;

/// Depth first from rank 0; what is laid so far bounds what can come of it, since links only make a ring
/// slower and longer.
class BranchAndBound {
 public:
  BranchAndBound(const Estimates& estimates, std::vector<std::uint32_t> start)
      : estimates_(estimates), best_order_(std::move(start)), best_(ring_quality(estimates, best_order_)) {
    laid_.assign(1, 0);
    used_.assign(estimates.world_size(), false);
    used_[0] = true;
    links_on_cable_.assign(estimates.cable_rates().size(), 0);
  }

  std::vector<std::uint32_t> run() {
    extend({.bytes_per_second = std::numeric_limits<double>::infinity(), .delay_seconds = 0});
    return best_order_;
  }

 private:
  /// The quality with one more link; counts the link on its cable.
  RingQuality lay(RingQuality so_far, std::uint32_t from, std::uint32_t to) {
    so_far.bytes_per_second = std::min(so_far.bytes_per_second, estimates_.rate(from, to));
    so_far.delay_seconds += estimates_.delay(from, to);
    const std::uint32_t cable = estimates_.cable(from, to);
    if (cable != kNoCable)
      so_far.bytes_per_second =
          std::min(so_far.bytes_per_second, estimates_.cable_rates()[cable] / ++links_on_cable_[cable]);
    return so_far;
  }
  void lift(std::uint32_t from, std::uint32_t to) {
    const std::uint32_t cable = estimates_.cable(from, to);
    if (cable != kNoCable) --links_on_cable_[cable];
  }

  void extend(const RingQuality& so_far) {
    const std::uint32_t last = laid_.back();
    if (laid_.size() == estimates_.world_size()) {
      const RingQuality closed = lay(so_far, last, 0);
      if (better(closed, best_)) {
        best_ = closed;
        best_order_ = laid_;
      }
      lift(last, 0);
      return;
    }
    for (std::uint32_t next = 1; next < estimates_.world_size(); ++next) {
      if (used_[next]) continue;
      const RingQuality with = lay(so_far, last, next);
      if (better(with, best_)) {
        used_[next] = true;
        laid_.push_back(next);
        extend(with);
        laid_.pop_back();
        used_[next] = false;
      }
      lift(last, next);
    }
  }

  const Estimates& estimates_;
  std::vector<std::uint32_t> best_order_;
  RingQuality best_;
  std::vector<std::uint32_t> laid_;
  std::vector<bool> used_;
  std::vector<std::uint32_t> links_on_cable_;
};

}  // namespace

RingQuality ring_quality(const Estimates& estimates, const std::vector<std::uint32_t>& order) {
  RingQuality quality{.bytes_per_second = std::numeric_limits<double>::infinity(), .delay_seconds = 0};
  std::vector<std::uint32_t> links_on_cable(estimates.cable_rates().size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t from = order[i];
    const std::uint32_t to = order[i + 1 == order.size() ? 0 : i + 1];
    quality.bytes_per_second = std::min(quality.bytes_per_second, estimates.rate(from, to));
    quality.delay_seconds += estimates.delay(from, to);
    const std::uint32_t cable = estimates.cable(from, to);
    if (cable != kNoCable) ++links_on_cable[cable];
  }
  for (std::size_t cable = 0; cable < links_on_cable.size(); ++cable)
    if (links_on_cable[cable] > 0)
      quality.bytes_per_second =
          std::min(quality.bytes_per_second, estimates.cable_rates()[cable] / links_on_cable[cable]);
  return quality;
}

std::vector<std::uint32_t> ring_order_exact(const Estimates& estimates) {
  HAWSER_ASSERT(estimates.world_size() <= kMembersMax);
  std::vector<std::uint32_t> order(estimates.world_size());
  std::iota(order.begin(), order.end(), 0U);
  return BranchAndBound(estimates, std::move(order)).run();
}

std::vector<std::uint32_t> ring_order(const Estimates& estimates) {
  return estimates.world_size() <= kExactRingMax ? ring_order_exact(estimates) : ring_order_search(estimates);
}

}  // namespace hawser::topology
