#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>

#include "options.hpp"

namespace hawser::churn {

/// A worker as the schedule sees it.
struct Candidate {
  std::uint32_t index = 0;
  bool member = false;   ///< Admitted, as far as is known.
  bool synced = false;   ///< Holds the weights, as far as is known.
  bool running = false;  ///< Neither stopped nor on its way out.
  bool in_view = false;  ///< Was in the view of the last committed step.
};

/// Of several masters one takes a run over with more than half of its members only: so many must stay.
struct Majority {
  std::size_t of = 0;         ///< Members of the view of the last committed step.
  std::size_t unsettled = 0;  ///< Workers that were killed, stopped or told to leave since then.
};

/// Whom and when, from a seed. Pure: time and workers come in as values. (Real processes answer at their own
/// pace, so two runs with one seed make the same draws but need not meet the same moments.)
class ChurnSchedule {
 public:
  explicit ChurnSchedule(const ChurnOptions& options);

  /// Must be kept from now on by whom is chosen. Nothing: one master goes on with whoever is left.
  void keep(std::optional<Majority> majority) { majority_ = majority; }

  /// Between 0.5 and 1.5 of the mean.
  std::uint64_t gap_ms(std::uint64_t mean_ms);
  /// Someone who may be killed, stopped or sent away: any running worker, as long as enough others that run
  /// hold the weights (one, or two in runs of more than three peers); else the training would rightly begin
  /// anew.
  std::optional<std::uint32_t> choose_victim(std::span<const Candidate> workers);
  /// Like that, but only members, which can leave with grace.
  std::optional<std::uint32_t> choose_leaver(std::span<const Candidate> workers);
  /// Two deaths at one instant are the rarer and harder case.
  bool kill_two() { return chance(0.12); }
  /// Whether it is one of `part`, of `all` that are equally likely.
  bool one_of(std::uint64_t part, std::uint64_t all) { return random_() % all < part; }
  bool spawn_at_once() { return chance(0.5); }
  /// Whether the kill waits for a newcomer to synchronise, and how long it then lets it.
  bool kill_in_sync() { return chance(0.4); }
  std::uint64_t into_sync_ms(std::uint64_t usual_ms) { return random_() % (usual_ms + 10); }
  bool wipe_out_in_sync() { return chance(0.5); }
  bool from_disk() { return chance(0.5); }
  bool kill_the_stopped() { return chance(0.25); }
  /// Some shorter than any bound of the library, some longer than all.
  std::uint64_t stopped_for_ms();
  std::uint64_t master_away_ms() { return random_() % 1500; }
  std::uint64_t master_paused_ms() { return 2000 + random_() % 13000; }
  std::size_t index_below(std::size_t count) { return static_cast<std::size_t>(random_() % count); }
  std::uint64_t worker_seed() { return random_(); }
  /// The next number of workers to keep up.
  std::uint32_t swing(std::uint32_t target);

 private:
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  bool may_lose(const Candidate& victim, std::span<const Candidate> workers) const;
  std::optional<std::uint32_t> choose(std::span<const Candidate> workers, bool members_only);

  std::mt19937_64 random_;
  std::uint32_t peers_;
  std::optional<Majority> majority_;
};

}  // namespace hawser::churn
