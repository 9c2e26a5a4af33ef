#pragma once

#include <cstdint>
#include <vector>

#include "sim/process.hpp"

namespace hawser::sim {

/// The training script that every process runs: connect, then for ever what the rule says. The rule makes the
/// next round of calls from the view and the position in it (how many rounds were made in this view), so the
/// members of a view call alike without a word between them, and whatever a loss has put out of step is in
/// step again in the next view. Rarely, and on purpose, a process calls something else, calls late, or calls
/// what it had decided before the view changed.
class TrainingApplication : public Application {
 public:
  TrainingApplication(World& world, Process& process) : world_(world), process_(process) {}

  void start(Duration delay);
  void call_ended(const Call& call, const CallDone& done) override;
  void sync_goes_on(const View& view) override;

 private:
  /// What is called before anything else is decided: update-topology, or some collectives at once.
  struct Round {
    bool update = false;
    bool sync = false;
    std::vector<CollectiveWish> collectives;
    bool optimize = false;
    std::uint64_t hash() const;
  };
  bool may_optimize(const View& view) const;
  std::uint64_t seed_of(const EngineInfo& info) const;
  Round rule(const EngineInfo& info, std::uint64_t position) const;
  CollectiveWish collective_by_rule(Random& random, std::uint64_t tag, const View& view) const;
  CollectiveWish relayed_by_rule(Random& random, std::uint64_t tag, const View& view) const;
  void quantise_by_rule(Random& random, CollectiveWish& wish) const;
  void deviate(Round& round);
  void misuse();
  void send_a_message();
  void give_up_some(std::vector<CollectiveWish>& collectives);
  void shuffle(std::vector<CollectiveWish>& collectives);
  void connect();
  void next(Duration delay);
  void look();
  void begin(Round round);
  void call_rest();
  void synchronise();
  void enter_view(const EngineInfo& info);
  Duration think();
  Duration short_think();

  World& world_;
  Process& process_;
  ViewId view_;
  Epoch epoch_;  ///< Of that view.
  std::uint64_t position_ = 0;
  std::vector<CollectiveWish> rest_;  ///< Of the round: not yet called.
  std::uint32_t open_ = 0;        ///< Calls that have not ended.
};

}  // namespace hawser::sim
