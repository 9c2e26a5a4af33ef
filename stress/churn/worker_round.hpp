#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "checked_collective.hpp"
#include "comm_session.hpp"
#include "mixed_phase.hpp"
#include "next_character_model.hpp"
#include "options.hpp"
#include "reporter.hpp"
#include "round_header.hpp"
#include "sum_checks.hpp"

namespace hawser::churn {

/// What a worker does between joining and leaving: rounds, each a step of the training and some checked sums.
///
/// A round: update the topology (newcomers are admitted here and nowhere else); a header, in which each
/// member says whether it holds the weights, of which lineage and step; if someone lacks them, a sum in which
/// only one member's weights are not zero; some local steps of SGD; the average of the members' changes;
/// checked sums; the mixed phase.
///
/// Why all members always stand at the same place: every decision follows from what a committed collective
/// gave to all of them (promise 1), never from local time. A failed collective is called again by those that
/// saw it fail, and called in the new view for the first time by those that had not called it yet: the same
/// collective. Views only lose members during a round, so what the header said of the rest stays true; the
/// one thing that does not, the donor's presence, is read from the contributors of the sync itself.
class WorkerRounds {
 public:
  WorkerRounds(CommSession& session, Reporter& reporter, const WorkerOptions& options);

  /// This peer is a member under that id and holds no weights.
  void joined_as(std::uint64_t peer_id);
  /// One round. `newcomer`: this peer was admitted by the members' update-topology, so it goes on where they
  /// do.
  Next run(bool newcomer);

 private:
  Next update_topology();
  Next agree(RoundStart& start);
  Next one_header(RoundStart& start, bool& readable);
  Next sync(const RoundStart& start);
  Next train();
  Next check_sums();
  Next mixed();
  Next one_sum(const SumCheck& check, CallSlot slot);
  void adopt(const RoundStart& start, std::span<const float> weights);

  CommSession& session_;
  Reporter& reporter_;
  CheckedCollectives collectives_;
  MixedPhase mixed_;
  bool with_mixed_;
  std::uint32_t tags_;
  std::uint64_t elements_max_;
  std::vector<std::uint8_t> text_;
  std::mt19937_64 random_;

  NextCharacterModel model_;
  std::vector<std::uint64_t> roster_;  // of the round's header
  bool synced_ = false;
  std::uint64_t lineage_ = 0;
  std::uint32_t step_ = 0;
};

}  // namespace hawser::churn
