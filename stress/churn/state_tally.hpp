#pragma once

#include <cstdint>

#include "report_line.hpp"
#include "series.hpp"

namespace hawser::churn {

/// What the workers did with their shared state; of single members, but for `agreed`.
struct StateTally {
  std::uint64_t syncs = 0;
  std::uint64_t agreed = 0;         ///< Synchronisations, each counted once however many members report it.
  std::uint64_t confirmations = 0;  ///< Reports of a digest or content that agreed with another worker's.
  std::uint64_t failed = 0;
  std::uint64_t failed_incomplete = 0;  ///< After which the state was incomplete.
  std::uint64_t mended = 0;             ///< That went through a loss.
  std::uint64_t mended_fetching = 0;    ///< And fetched something.
  std::uint64_t fetching = 0;           ///< That fetched something.
  std::uint64_t several_sources = 0;
  std::uint64_t bytes_fetched = 0;
  std::uint64_t bytes_again = 0;
  std::uint64_t compressed = 0;
  std::uint64_t only_marked = 0;
  std::uint64_t kept_old = 0;
  std::uint64_t send_only = 0;
  std::uint64_t receive_only = 0;
  Series fetch_ms;  ///< Of those that fetched.
  Series quick_ms;  ///< Of those that did not.

  std::uint64_t prefetches = 0;
  std::uint64_t prefetches_complete = 0;
  std::uint64_t prefetches_partial = 0;  ///< Something came, but not all.
  std::uint64_t prefetch_bytes = 0;
  std::uint64_t prefetch_sources_most = 0;
  Series prefetch_ms;  ///< Of those to whom something came.

  std::uint64_t saved = 0;
  std::uint64_t loaded = 0;
  std::uint64_t refused = 0;    ///< Damaged on purpose.
  std::uint64_t fell_back = 0;  ///< On an incomplete state that nobody could complete.
  std::uint64_t from_disk = 0;  ///< Beginnings that went on from a checkpoint.

  /// Takes a line of any of these words: `sync`, `sync_failed`, `prefetch`, `checkpoint`, `fell_back`. False:
  /// none of them.
  bool on_line(const ReportLine& line);

 private:
  void on_sync(const ReportLine& line);
  void on_prefetch(const ReportLine& line);
};

}  // namespace hawser::churn
