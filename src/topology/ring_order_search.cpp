#include <algorithm>
#include <numeric>

#include "topology/ring_order.hpp"

namespace hawser::topology {
namespace {

using Order = std::vector<std::uint32_t>;

/// Of all starts and phases together. Looking at one link of a changed ring is one unit.
constexpr std::uint64_t kWorkMax = 12'000'000;
constexpr std::uint32_t kStartsMax = 6;
constexpr std::uint32_t kManyMembers = 128;  ///< One start is all that the work allows.
constexpr std::size_t kMovedMax = 3;
constexpr std::size_t kReversedMax = 64;

/// What a phase of the search makes small: the sum over the links, and over the cables, by how many links are
/// on them.
struct Objective {
  enum class Phase : std::uint8_t { smooth, threshold, delay };
  Phase phase = Phase::smooth;
  double bytes_per_second = 0;  ///< Smooth: the fastest there is. Else: what all links must have.

  static double fourth_power(double x) { return (x * x) * (x * x); }
  double shortfall(double rate) const {
    return rate < bytes_per_second ? bytes_per_second / rate * (bytes_per_second / rate) : 0;
  }
  double link(const Estimates& estimates, std::uint32_t from, std::uint32_t to) const {
    const double rate = estimates.rate(from, to);
    if (phase == Phase::smooth) return fourth_power(bytes_per_second / rate);
    // More than all delays of 1024 links together.
    if (phase == Phase::delay) return estimates.delay(from, to) + shortfall(rate) * 1e6;
    return shortfall(rate);
  }
  /// Of the k-th link on a cable of this rate.
  double cable_step(double rate, std::uint32_t k) const {
    if (phase == Phase::smooth)
      return fourth_power(bytes_per_second / rate * k) - fourth_power(bytes_per_second / rate * (k - 1));
    return shortfall(rate / k) * (phase == Phase::delay ? 1e6 : 1);
  }
};

class LocalSearch {
 public:
  LocalSearch(const Estimates& estimates, std::uint64_t& work_left)
      : estimates_(estimates), work_left_(work_left) {}

  /// Improves the order until no move helps or the work is used up.
  Order run(Order order, const Objective& objective) {
    order_ = std::move(order);
    objective_ = objective;
    links_on_cable_.assign(estimates_.cable_rates().size(), 0);
    for (std::size_t i = 0; i < order_.size(); ++i) count(at(i), at(i + 1), +1);
    while (improve()) {
    }
    return std::move(order_);
  }

 private:
  /// The segment of `length` ranks from position `first` leaves its place and goes `gap` ranks further on,
  /// turned around or not. With gap 0 and turned: a plain reversal.
  struct Move {
    std::size_t first = 0;
    std::size_t length = 0;
    std::size_t gap = 0;
    bool turned = false;
  };

  std::uint32_t at(std::size_t position) const { return order_[around(position)]; }
  /// Most positions are less than once around: a division would be most of the search.
  std::size_t around(std::size_t position) const {
    const std::size_t size = order_.size();
    if (position >= size) position -= size;
    return position < size ? position : position % size;
  }
  void count(std::uint32_t from, std::uint32_t to, int by) {
    const std::uint32_t cable = estimates_.cable(from, to);
    if (cable != kNoCable) links_on_cable_[cable] += static_cast<std::uint32_t>(by);
  }

  double removed(std::uint32_t from, std::uint32_t to) {
    const std::uint32_t cable = estimates_.cable(from, to);
    double cost = objective_.link(estimates_, from, to);
    if (cable != kNoCable)
      cost += objective_.cable_step(estimates_.cable_rates()[cable], links_on_cable_[cable]--);
    return -cost;
  }
  double added(std::uint32_t from, std::uint32_t to) {
    const std::uint32_t cable = estimates_.cable(from, to);
    double cost = objective_.link(estimates_, from, to);
    if (cable != kNoCable)
      cost += objective_.cable_step(estimates_.cable_rates()[cable], ++links_on_cable_[cable]);
    return cost;
  }

  /// The ranks of the stretch that a move changes, before and after it.
  void lay_out(const Move& move) {
    before_.clear();
    for (std::size_t i = 0; i < move.length + move.gap + 2; ++i)
      before_.push_back(at(move.first + order_.size() - 1 + i));
    after_ = before_;
    const auto segment = after_.begin() + 1;
    const auto segment_end = segment + static_cast<std::ptrdiff_t>(move.length);
    if (move.turned) std::reverse(segment, segment_end);
    std::rotate(segment, segment_end, after_.end() - 1);
  }

  /// By what the objective changes; the cables are counted back.
  double change(const Move& move) {
    const std::size_t first = around(move.first + order_.size() - 1);
    const std::size_t length = move.length;
    const auto moved = [&](std::size_t i) { return at(first + 1 + (move.turned ? length - 1 - i : i)); };
    double delta = 0;
    links_out_.clear();
    links_in_.clear();
    const std::uint32_t before = at(first);
    const std::uint32_t after = at(first + length + 1);
    links_out_.emplace_back(before, at(first + 1));
    links_out_.emplace_back(at(first + length), after);
    if (move.gap == 0) {
      links_in_.emplace_back(before, moved(0));
      links_in_.emplace_back(moved(length - 1), after);
    } else {
      const std::uint32_t left = at(first + length + move.gap);
      const std::uint32_t right = at(first + length + move.gap + 1);
      links_out_.emplace_back(left, right);
      links_in_.emplace_back(before, after);
      links_in_.emplace_back(left, moved(0));
      links_in_.emplace_back(moved(length - 1), right);
    }
    if (move.turned)
      for (std::size_t i = 0; i + 1 < length; ++i) {
        links_out_.emplace_back(at(first + 1 + i), at(first + 2 + i));
        links_in_.emplace_back(moved(i), moved(i + 1));
      }
    for (const auto& [from, to] : links_out_) delta += removed(from, to);
    for (const auto& [from, to] : links_in_) delta += added(from, to);
    for (const auto& [from, to] : links_in_) count(from, to, -1);
    for (const auto& [from, to] : links_out_) count(from, to, +1);
    const std::uint64_t work = links_out_.size() + links_in_.size();
    work_left_ -= std::min(work_left_, work);
    return delta;
  }

  void apply(const Move& move) {
    lay_out(move);
    for (std::size_t i = 0; i + 1 < before_.size(); ++i) count(before_[i], before_[i + 1], -1);
    for (std::size_t i = 0; i + 1 < after_.size(); ++i) count(after_[i], after_[i + 1], +1);
    for (std::size_t i = 0; i < after_.size(); ++i)
      order_[(move.first + order_.size() - 1 + i) % order_.size()] = after_[i];
  }

  /// Moves that take the link from `position` to the next out of the ring: a short segment at either end of
  /// it goes elsewhere, or a stretch that begins or ends there turns around.
  template <class Visit>
  void moves_at(std::size_t position, const Visit& visit) {
    const std::size_t size = order_.size();
    for (std::size_t length = 1; length <= std::min(kMovedMax, size - 2); ++length)
      for (const std::size_t first : {position + 1, position + size + 1 - length})
        for (std::size_t gap = 1; gap + length < size - 1; ++gap)
          for (const bool turned : {false, true})
            if (!turned || length > 1) visit(Move{first % size, length, gap, turned});
    for (std::size_t length = 2; length <= std::min(kReversedMax, size - 2); ++length)
      for (const std::size_t first : {position + 1, position + size + 1 - length})
        visit(Move{first % size, length, 0, true});
  }

  /// Makes the best move for the worst link that has one.
  bool improve() {
    std::vector<std::pair<double, std::size_t>> links;
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const std::uint32_t cable = estimates_.cable(at(i), at(i + 1));
      double cost = objective_.link(estimates_, at(i), at(i + 1));
      if (cable != kNoCable)
        cost += objective_.cable_step(estimates_.cable_rates()[cable], links_on_cable_[cable]);
      links.emplace_back(-cost, i);
    }
    std::sort(links.begin(), links.end());
    for (const auto& [negative_cost, position] : links) {
      if (negative_cost >= 0 || work_left_ == 0) return false;
      Move best;
      // Less than rounding could pretend.
      double best_change = negative_cost * 1e-9;
      moves_at(position, [&](const Move& move) {
        if (work_left_ == 0) return;
        const double delta = change(move);
        if (delta < best_change) {
          best_change = delta;
          best = move;
        }
      });
      if (best.length == 0) continue;
      apply(best);
      return true;
    }
    return false;
  }

  const Estimates& estimates_;
  std::uint64_t& work_left_;
  Objective objective_;
  Order order_;
  std::vector<std::uint32_t> links_on_cable_;
  Order before_;
  Order after_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links_out_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links_in_;
};

/// Region by region, and to the member that is reached fastest, then nearest.
Order nearest_neighbours(const Estimates& estimates, std::uint32_t start) {
  const Regions& regions = estimates.regions();
  std::vector<bool> used(estimates.world_size());
  Order order{start};
  used[start] = true;
  while (order.size() < estimates.world_size()) {
    const std::uint32_t last = order.back();
    std::uint32_t best = kNoCable;
    for (std::uint32_t next = 0; next < estimates.world_size(); ++next) {
      if (used[next]) continue;
      if (best == kNoCable) {
        best = next;
        continue;
      }
      const bool here = regions.of_rank[next] == regions.of_rank[last];
      const bool best_here = regions.of_rank[best] == regions.of_rank[last];
      const RingQuality with{.bytes_per_second = estimates.rate(last, next),
                             .delay_seconds = estimates.delay(last, next)};
      const RingQuality with_best{.bytes_per_second = estimates.rate(last, best),
                                  .delay_seconds = estimates.delay(last, best)};
      if (here != best_here ? here : better(with, with_best)) best = next;
    }
    used[best] = true;
    order.push_back(best);
  }
  return order;
}

/// Rates that the slowest link of a ring could have, above `least`: ascending.
std::vector<double> thresholds_above(const Estimates& estimates, double least) {
  std::vector<double> rates;
  for (std::uint32_t from = 0; from < estimates.world_size(); ++from)
    for (std::uint32_t to = 0; to < estimates.world_size(); ++to)
      if (from != to && estimates.rate(from, to) > least) rates.push_back(estimates.rate(from, to));
  for (const double rate : estimates.cable_rates())
    for (const double links : {1.0, 2.0, 3.0})
      if (rate / links > least) rates.push_back(rate / links);
  std::sort(rates.begin(), rates.end());
  rates.erase(std::unique(rates.begin(), rates.end()), rates.end());
  return rates;
}

/// Raises the slowest link: by halves of what seems possible, then one rate at a time.
Order raise_threshold(const Estimates& estimates, Order order, std::uint64_t& work_left) {
  LocalSearch search(estimates, work_left);
  double reached = ring_quality(estimates, order).bytes_per_second;
  const std::vector<double> rates = thresholds_above(estimates, reached);
  const auto passes = [&](double threshold) {
    Order tried = search.run(order, {.phase = Objective::Phase::threshold, .bytes_per_second = threshold});
    const double got = ring_quality(estimates, tried).bytes_per_second;
    if (got <= reached) return false;
    order = std::move(tried);
    reached = got;
    return got >= threshold;
  };
  std::size_t low = 0;
  std::size_t high = rates.size();
  while (low < high && work_left > 0) {
    const std::size_t middle = low + (high - low) / 2;
    if (passes(rates[middle]))
      low = middle + 1;
    else
      high = middle;
  }
  for (auto next = std::upper_bound(rates.begin(), rates.end(), reached);
       next != rates.end() && work_left > 0; next = std::upper_bound(rates.begin(), rates.end(), reached))
    if (!passes(*next)) break;
  return order;
}

Order improved(const Estimates& estimates, Order order, double fastest, std::uint64_t& work_left) {
  LocalSearch search(estimates, work_left);
  const auto keep_better = [&](Order candidate) {
    if (better(ring_quality(estimates, candidate), ring_quality(estimates, order)))
      order = std::move(candidate);
  };
  keep_better(search.run(order, {.phase = Objective::Phase::smooth, .bytes_per_second = fastest}));
  order = raise_threshold(estimates, std::move(order), work_left);
  keep_better(search.run(order, {.phase = Objective::Phase::delay,
                                 .bytes_per_second = ring_quality(estimates, order).bytes_per_second}));
  return order;
}

}  // namespace

std::vector<std::uint32_t> ring_order_search(const Estimates& estimates) {
  const std::uint32_t members = estimates.world_size();
  if (members < 4) return ring_order_exact(estimates);
  double fastest = 0;
  for (std::uint32_t rank = 0; rank < members; ++rank) fastest = std::max(fastest, estimates.uplink(rank));
  const std::uint32_t starts = members > kManyMembers ? 1 : std::min(members, kStartsMax);
  Order best;
  for (std::uint32_t start = 0; start < starts; ++start) {
    std::uint64_t work_left = kWorkMax / starts;
    Order order =
        improved(estimates, nearest_neighbours(estimates, start * (members / starts)), fastest, work_left);
    if (best.empty() || better(ring_quality(estimates, order), ring_quality(estimates, best)))
      best = std::move(order);
  }
  std::rotate(best.begin(), std::find(best.begin(), best.end(), 0U), best.end());
  return best;
}

}  // namespace hawser::topology
