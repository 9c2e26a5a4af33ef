#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <tuple>

#include "plan/plan.hpp"

namespace hawser {

/// Keeps the plans of calls that repeat: in large worlds one takes hundreds of milliseconds. The plans used last stay,
/// up to a number and a size; the newest one always does. Not thread-safe.
class PlanCache {
 public:
  struct Bounds {
    std::size_t plans = 64;
    std::size_t bytes = 32 << 20;
  };
  PlanCache() = default;
  explicit PlanCache(Bounds bounds) : bounds_(bounds) {}

  /// make_plan(input), made now or earlier. `network_version` stands for the content of input.network; 0: there is
  /// none.
  std::shared_ptr<const Plan> plan(std::uint64_t network_version, const PlanInput& input);
  /// To be called when versions begin anew.
  void clear();

  /// How many plans were made so far, rather than found.
  std::uint64_t made() const { return made_; }
  std::size_t kept() const { return kept_.size(); }

 private:
  using Key = std::tuple<std::uint64_t, PlanKind, std::uint32_t, std::uint64_t, std::uint32_t, Collective, std::uint32_t,
                         std::uint64_t, std::uint64_t, std::uint64_t, std::uint32_t, bool, std::uint32_t, std::uint32_t>;
  struct Kept {
    Key key;
    std::shared_ptr<const Plan> plan;
    std::size_t bytes = 0;
  };
  static Key key_of(std::uint64_t network_version, const PlanInput& input);

  Bounds bounds_;
  std::list<Kept> kept_;  ///< The one used last first.
  std::map<Key, std::list<Kept>::iterator> by_key_;
  std::size_t bytes_ = 0;
  std::uint64_t made_ = 0;
};

}  // namespace hawser
