#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/options.hpp"
#include "bench/shared_state_worker.hpp"

namespace hawser::bench {

/// What all members that returned say about one round.
using SyncRound = std::vector<MemberSync>;

/// One row of the table.
struct SyncCase {
  SharedStateGroup group;
  SyncRound first;                ///< After joining. Not among the rounds.
  std::vector<SyncRound> rounds;  ///< With kill: those in which a source was killed in mid transfer.
  std::vector<SyncRound> spared;  ///< With kill: those before.
  std::uint32_t missed = 0;       ///< Kills that came before the transfer or after it.

  bool receives(const MemberSync& member) const;
  /// When the source was lost, some content had come from it, and some had still to come from the others.
  bool in_mid_transfer(const SyncRound& round) const;
  /// The slowest receiver's; with unchanged content the slowest member's.
  double ms(const SyncRound& round) const;
  double median_ms() const;
  double min_ms() const;
  double gb_per_s() const;  ///< To each, by the median time.
  /// The holders' bytes sent, in copies of the state; the median over the rounds.
  double copies_sent() const;
  std::uint64_t holder_peak_bytes() const;
  std::uint64_t receiver_peak_bytes() const;
  /// The median over the rounds of one part of the slowest receiver's time, or any other figure of it.
  double median_of(double MemberSync::*figure) const;
  /// All members held the same digest, and the content that was meant.
  bool right() const;
};

void print_sync_heading(const SharedStateOptions& options);
void print_sync_row(const SyncCase& of);
/// False if the file can't be written.
bool write_sync_json(const std::vector<SyncCase>& cases, const SharedStateOptions& options);

}  // namespace hawser::bench
