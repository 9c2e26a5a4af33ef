#pragma once

#include <string>
#include <vector>

#include "bench/options.hpp"
#include "bench/prefetch_worker.hpp"

namespace hawser::bench {

/// All that was told of one newcomer.
struct Newcomer {
  std::vector<ToldStep> quiet_before;  ///< Of all members.
  std::vector<ToldStep> while_waiting;
  ToldPrefetch prefetch;
  std::vector<ToldJoin> joins;  ///< Of all members.
};

/// One row of the table. Times in milliseconds.
struct PrefetchCase {
  PrefetchGroup group;
  std::vector<Newcomer> newcomers;
  std::vector<ToldStep> quiet_after;  ///< After the last one.

  std::vector<ToldStep> quiet_steps() const;
  /// Those of which at least half lay within a prefetch.
  std::vector<ToldStep> disturbed_steps() const;
  /// The median over the newcomers of the disturbed steps' median by that of the quiet ones just before and
  /// after. 0 if no prefetch was as long as a step.
  double ratio() const;
  /// What a prefetch cost one member: by how much all steps that it touched were longer than the quiet ones'
  /// median. The median over the newcomers.
  double lost_ms() const;
  bool right() const;
};

void print_prefetch_heading(const PrefetchOptions& options);
void print_prefetch_row(const PrefetchCase& of);
/// False if the file can't be written.
bool write_prefetch_json(const std::vector<PrefetchCase>& cases, const std::string& path);

}  // namespace hawser::bench
