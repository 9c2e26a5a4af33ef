#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "report_line.hpp"

namespace hawser::churn {

/// What the committed collectives were, each counted once however many members report it, and not by their
/// retries. Lists are counted apart: the library makes their collectives itself.
struct MixedTally {
  using Counts = std::map<std::string, std::uint64_t>;
  Counts by_kind;
  Counts by_type;
  Counts by_op;
  Counts by_quantization;  ///< Without "none".
  std::uint64_t quantised = 0;
  std::uint64_t with_residual = 0;
  std::uint64_t compressed_calls = 0;  ///< Of single members: they need not all compress.
  std::uint64_t tags_in_flight_most = 0;
  std::uint64_t many_calls = 0;    ///< Of single members.
  std::uint64_t many_tensors = 0;  ///< With results, in those.
  std::uint64_t many_collectives = 0;
  std::uint64_t many_mended = 0;  ///< That took more than one attempt.

  /// Takes a `reduce` line; `first`: nobody had reported the collective before.
  void on_reduce(const ReportLine& line, bool first);
  /// Takes a `tags` line.
  void on_tags(const ReportLine& line);
  /// Takes a `many` line.
  void on_many(const ReportLine& line);
};

}  // namespace hawser::churn
