#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "checkpoints.hpp"
#include "comm_session.hpp"
#include "hawser_shared_state.h"
#include "options.hpp"
#include "reporter.hpp"
#include "round_header.hpp"
#include "trained_state.hpp"

namespace hawser::churn {

/// Why all members synchronise now, and what they know of the state that must come of it.
struct SyncOccasion {
  const char* phase;  ///< A literal that names it in reports.
  RoundStart start;
};

/// How a worker comes to the run's state and keeps it: what it brings when it joins (its own beginning, a
/// checkpoint, what it still has), prefetching, synchronising, offering, and checkpoints now and then. Checks
/// all that can be checked here, and reports contents so that the orchestrator can compare members.
class SharedTraining {
 public:
  SharedTraining(CommSession& session, Reporter& reporter, const WorkerOptions& options,
                 std::uint64_t weights);

  TrainedState& state() { return state_; }
  bool synced() const { return synced_; }
  /// The view of the last synchronisation; 0: it failed, or there was none since this peer joined.
  std::uint64_t synced_epoch() const { return synced_epoch_; }

  /// Once before it joins, whatever number of connects that takes.
  void prepare_to_join();
  /// One hawserCommConnect, or hawserCommConnectPrefetch. Blocks as they do.
  Outcome connect();
  void joined_as(std::uint64_t peer_id);

  /// Blocks as hawserSharedStateSync does. All members call it at the same place of a round.
  Next sync(const SyncOccasion& occasion);

 private:
  struct Before {
    std::uint64_t content = 0;
    std::uint64_t revision = 0;
    std::uint32_t local = 0;
  };
  struct Call {
    hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
    hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
    std::vector<hawserSyncSource_t> sources;
    Before before;
    std::uint64_t content = 0;  ///< After it.
    Outcome outcome;
  };
  /// `user`: a bool that becomes true if more is done than there is.
  static void on_progress(void* user, std::uint64_t done, std::uint64_t total);

  Next sync_once(const SyncOccasion& occasion);
  Outcome connect_and_prefetch();
  void after_prefetch(const Outcome& outcome, const hawserPrefetchInfo_t& info);
  void fall_back();
  void tell_what_is_held(const SyncOccasion& occasion, const Before& before);
  void choose(const SyncOccasion& occasion, Call& call);
  Next failed(const SyncOccasion& occasion, Call& call);
  Next succeeded(const SyncOccasion& occasion, Call& call);
  void check_info(const SyncOccasion& occasion, const Call& call);
  void check_state(const SyncOccasion& occasion, const Call& call);
  void report(const SyncOccasion& occasion, const Call& call);
  Next offer(const char* phase);
  bool any_left(std::span<const std::uint64_t> members);
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  void complain(const char* kind, const char* phase, const std::string& what);

  CommSession& session_;
  Reporter& reporter_;
  StateOptions options_;
  bool from_disk_;
  std::mt19937_64 random_;
  TrainedState state_;
  Checkpoints checkpoints_;

  bool prepared_once_ = false;
  std::uint64_t peer_id_ = 0;
  /// Comes from a checkpoint or from a membership before: might pass for the run's own, so it is not offered.
  bool foreign_ = false;
  bool complete_ = false;
  bool synced_ = false;
  std::uint64_t synced_epoch_ = 0;
  std::uint64_t last_epoch_ = 0;
  std::uint64_t syncs_ = 0;
};

}  // namespace hawser::churn
