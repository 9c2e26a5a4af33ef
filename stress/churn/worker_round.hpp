#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "checked_collective.hpp"
#include "comm_session.hpp"
#include "mail_phase.hpp"
#include "mixed_phase.hpp"
#include "next_character_model.hpp"
#include "options.hpp"
#include "reporter.hpp"
#include "round_header.hpp"
#include "shared_training.hpp"
#include "sum_checks.hpp"

namespace hawser::churn {

/// What a worker does between joining and leaving: rounds, each a step of the training and some checked sums.
///
/// A round: update the topology (newcomers are admitted here and nowhere else); a header, in which each
/// member says whether it holds the state, of which lineage and step, and in which view it was synchronised;
/// if someone lacks it, or the view is another one, a synchronisation of the shared state; some local steps
/// of SGD; the average of the members' changes; every few steps another synchronisation, of what should be
/// the same everywhere; checked sums; the mixed phase.
///
/// Why all members always stand at the same place: every decision follows from what a committed collective
/// gave to all of them (promise 1), never from local time. A failed collective is called again by those that
/// saw it fail, and called in the new view for the first time by those that had not called it yet: the same
/// collective. Views only lose members during a round, so what the header said of the rest stays true. A
/// synchronisation mends losses itself; a round goes on in whatever view it ended in.
class WorkerRounds {
 public:
  WorkerRounds(CommSession& session, Reporter& reporter, const WorkerOptions& options);

  /// Before this peer joins.
  void prepare_to_join() { training_.prepare_to_join(); }
  /// Blocks as hawserCommConnect and hawserCommConnectPrefetch do.
  Outcome connect() { return training_.connect(); }
  /// This peer is a member under that id and does not hold the run's state.
  void joined_as(std::uint64_t peer_id);
  /// One round. `newcomer`: this peer was admitted by the members' update-topology, so it goes on where they
  /// do.
  Next run(bool newcomer);

 private:
  Next update_topology();
  Next agree(RoundStart& start);
  Next one_header(RoundStart& start, bool& readable);
  Next train();
  Next sync_step(const ReduceResult& result);
  Next check_sums();
  Next mixed();
  Next mail();
  std::uint32_t bound_of(const SumCheck& check) const;
  Next one_sum(const SumCheck& check, CallSlot slot);
  std::uint64_t lineage() { return training_.state().progress().lineage; }
  std::uint32_t step() { return static_cast<std::uint32_t>(training_.state().progress().step); }

  CommSession& session_;
  Reporter& reporter_;
  CheckedCollectives collectives_;
  MixedPhase mixed_;
  MailPhase mail_;
  bool with_mixed_;
  std::uint32_t tags_;
  std::uint64_t elements_max_;
  std::uint32_t sync_every_;
  std::vector<std::uint8_t> text_;
  std::mt19937_64 random_;

  NextCharacterModel model_;  // for the local steps
  SharedTraining training_;
  std::vector<std::uint64_t> roster_;  // of the round's header
};

}  // namespace hawser::churn
