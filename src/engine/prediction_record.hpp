#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>

#include "base/signature.hpp"

namespace hawser {

/// How predictions came out. A prediction knows bytes, rates and hops; what TCP loses on the way, what waits for each
/// other and what shares a core it does not. That is much the same from call to call, so what a call is expected to
/// take is corrected by what the latest ones alike took: the same collective and kind of plan, and about as many bytes.
/// It says nothing to plans, which are made from what all members know. Pure.
class PredictionRecord {
 public:
  /// In seconds; what is not predicted, 0, stays so.
  double corrected(Collective collective, PlanKind plan, std::uint64_t bytes, double predicted) const {
    const auto found = ratios_.find(key(collective, plan, bytes));
    return found == ratios_.end() ? predicted : predicted * found->second.median();
  }
  void took(Collective collective, PlanKind plan, std::uint64_t bytes, double predicted, double took_seconds) {
    if (predicted <= 0 || took_seconds <= 0) return;
    ratios_[key(collective, plan, bytes)].take(took_seconds / predicted);
  }

 private:
  /// Few: the network changes, too. As many kinds of calls as there are sizes by powers of two, at most.
  static constexpr std::size_t kRemembered = 5;
  struct Ratios {
    std::array<double, kRemembered> latest{};
    std::size_t taken = 0;
    void take(double ratio) { latest[taken++ % kRemembered] = ratio; }
    double median() const {
      auto sorted = latest;
      const std::size_t count = std::min(taken, kRemembered);
      std::sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(count));
      return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    }
  };
  using Key = std::tuple<Collective, PlanKind, int>;
  static Key key(Collective collective, PlanKind plan, std::uint64_t bytes) {
    return {collective, plan, std::bit_width(bytes)};
  }

  std::map<Key, Ratios> ratios_;
};

}  // namespace hawser
