#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "guarded_bytes.hpp"
#include "mixed_plan.hpp"
#include "mixed_tools.hpp"

namespace hawser::churn {

/// Reduces a list of tensors with hawserAllReduceMany, and checks every tensor that has a result, and the
/// input of every other. Which members contributed to which tensor nobody tells, so the values themselves do.
class ListReduction {
 public:
  /// `roster`: the members at the start of the round; since then members have been lost at most.
  ListReduction(const MixedTools& tools, const MixedList& list, std::span<const std::uint64_t> roster);

  struct Place {
    std::uint64_t lineage = 0;
    std::uint32_t step = 0;
  };
  /// Until all is done or the session decides otherwise; those that are done are not reduced again. Reports
  /// the list under this place.
  Next run(const Place& place);

 private:
  struct Entry {
    MixedCall call;
    Pattern input;
    GuardedBytes send;
    GuardedBytes apart;
    bool done = false;
    GuardedBytes& receive() { return call.in_place ? send : apart; }
    ValueRule rule(std::span<const std::uint64_t> roster) const;
  };
  Next call_once();
  void check_call(const Outcome& outcome, const std::vector<Entry*>& asked,
                  const std::vector<std::uint8_t>& done, const hawserManyInfo_t& info);
  void check_entry(Entry& entry, const ContributorBounds& bounds);
  void report(const Place& place, bool agreed);

  MixedTools tools_;
  const MixedList& list_;
  std::span<const std::uint64_t> roster_;
  std::vector<Entry> entries_;
  std::uint64_t attempts_ = 0;
  std::uint64_t collectives_ = 0;
};

}  // namespace hawser::churn
