#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mixed_tally.hpp"
#include "series.hpp"
#include "state_tally.hpp"

namespace hawser::churn {

/// Things that must never happen, counted by kind; the first sentences are kept.
struct Violations {
  static constexpr std::size_t kSentencesKept = 40;
  std::map<std::string, std::uint64_t> by_kind;
  std::vector<std::string> sentences;
  std::uint64_t count = 0;

  std::uint64_t of(const std::string& kind) const {
    const auto found = by_kind.find(kind);
    return found == by_kind.end() ? 0 : found->second;
  }
  void add(const std::string& kind, const std::string& sentence) {
    ++count;
    ++by_kind[kind];
    if (sentences.size() < kSentencesKept) sentences.push_back(kind + ": " + sentence);
  }
};

/// The loss over the run: means over the reports of the first and the last steps.
struct LossCurve {
  static constexpr std::size_t kEnds = 50;
  std::vector<double> first;
  std::vector<double> last;  // a ring of the last reports
  std::uint64_t reports = 0;

  void add(double loss) {
    if (first.size() < kEnds) first.push_back(loss);
    if (last.size() < kEnds) {
      last.push_back(loss);
    } else {
      last[reports % kEnds] = loss;
    }
    ++reports;
  }
  static double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
  }
};

/// All that a run counts. What the table shows and the report holds is read from here.
struct Tally {
  std::uint64_t seed = 0;
  double elapsed_s = 0;
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t continues = 0;
  std::uint64_t spawned = 0;
  std::uint64_t joins = 0;    ///< Admissions that workers reported, those of the start included.
  std::uint64_t leaves = 0;   ///< Graceful ones during the run.
  std::uint64_t rejoins = 0;  ///< Of workers that had been removed, after a stop.
  std::uint64_t master_restarts = 0;  ///< Kills of it, or of that which served.
  std::uint64_t resets = 0;         ///< Of workers' connections to the master.
  std::uint64_t master_pauses = 0;  ///< It was stopped, and went on.
  std::uint64_t device_faults = 0;
  std::uint64_t relay_faults = 0;  ///< Kills and stops of relays.
  std::uint64_t relay_views = 0;   ///< That relays said they were in.
  std::uint64_t wipe_outs = 0;    ///< All workers killed at once.
  std::uint64_t standstills = 0;  ///< Times that this process, and so the machine, did nothing for seconds.
  std::uint64_t epoch = 0;
  std::uint64_t term = 0;   ///< The highest, of several masters.
  std::uint64_t terms = 0;  ///< In which a step was committed.
  std::uint64_t world = 0;
  std::uint64_t processes_up = 0;
  std::uint64_t steps = 0;
  std::uint64_t collectives = 0;
  std::uint64_t messages = 0;         ///< Received from other workers.
  std::uint64_t messages_missed = 0;  ///< Receives that ended without one: a member was lost, or did not get there.
  std::uint64_t lineages = 0;
  std::uint64_t confirmations = 0;
  double steps_per_s = 0;
  double loss = 0;
  LossCurve losses;
  std::map<std::string, std::uint64_t> errors;         ///< By kind.
  std::map<std::string, Series> recovered_ms;          ///< By kind of the first error.
  std::map<std::string, std::string> told;             ///< By kind, the last sentence a worker was told.
  std::map<std::string, std::string> told_after_stop;  ///< The same, for workers that had been stopped.
  Series leave_ms;
  Series admission_ms;  ///< From the start of a process to its admission.
  MixedTally mixed;
  StateTally state;
  Violations violations;

  std::uint64_t recovered() const {
    std::uint64_t sum = 0;
    for (const auto& [kind, series] : recovered_ms) sum += series.count();
    return sum;
  }
};

}  // namespace hawser::churn
