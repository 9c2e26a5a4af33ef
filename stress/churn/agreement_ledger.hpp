#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "report_line.hpp"

namespace hawser::churn {

/// Compares what different workers say about the same collective and the same step. Pure.
///
/// A collective is known by (epoch, tag, sequence): all that report it must report the same phase, count,
/// kind, type, operation, quantisation, plan, contributors and bits of the result. A tensor of a list is
/// known by (lineage, step, place in the list). A step is known by (lineage, step): it was committed by one
/// collective, so epoch and sequence must be the same too, and the digest of the weights after it.
class AgreementLedger {
 public:
  struct CollectiveNews {
    bool first = false;  ///< Nobody had reported this collective before.
    std::optional<std::string> disagreement;
  };
  /// Takes a `reduce` line.
  CollectiveNews on_reduce(const std::string& worker, const ReportLine& line);

  /// Takes a `many` line: which tensors of a list have results, their digests, and (`agreed`) whether all
  /// members must have the same ones. Returns the disagreement with an earlier one, if there is one.
  std::optional<std::string> on_many(const std::string& worker, const ReportLine& line);

  struct RoundNews {
    bool first = false;        ///< Nobody had reported this step before.
    bool new_lineage = false;  ///< The training began anew: whoever had the weights is gone.
    std::optional<std::string> disagreement;
  };
  /// Takes a `round` line.
  RoundNews on_round(const std::string& worker, const ReportLine& line);

  std::uint64_t collectives() const { return collectives_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t lineages() const { return lineages_.size(); }
  /// How many reports agreed with an earlier one of another worker.
  std::uint64_t confirmations() const { return confirmations_; }

 private:
  struct Entry {
    std::string worker;
    std::string facts;
  };
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;
  std::optional<std::string> enter(std::map<Key, Entry>& book, const Key& key, Entry entry, bool& first);

  std::map<Key, Entry> reduces_;  // (epoch, tag, sequence)
  std::map<Key, Entry> rounds_;   // (lineage number, step, 0)
  std::map<Key, Entry> tensors_;  // (lineage number, step, place in the list; kWholeList: who has results)
  std::vector<std::uint64_t> lineages_;
  std::uint64_t collectives_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t confirmations_ = 0;
};

}  // namespace hawser::churn
