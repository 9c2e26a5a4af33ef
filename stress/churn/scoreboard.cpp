#include "scoreboard.hpp"

#include <uv.h>

#include <cinttypes>
#include <cstdio>

namespace hawser::churn {
namespace {

void print_series(const char* what, const Series& series) {
  if (series.empty()) return;
  std::printf("  %-38s %6zu   median %8.1f   p95 %8.1f   p99 %8.1f   max %8.1f\n", what, series.count(),
              series.median(), series.p95(), series.p99(), series.max());
}

std::string first_reason(const Violations& violations) {
  std::string reason;
  for (const auto& [kind, count] : violations.by_kind) {
    reason += (reason.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
  }
  return reason + " (first: " + violations.sentences.front() + ")";
}

void print_counts(const char* what, const MixedTally::Counts& counts) {
  std::string text;
  for (const auto& [name, count] : counts)
    text += (text.empty() ? "" : ", ") + name + " " + std::to_string(count);
  if (!text.empty()) std::printf("  %-15s %s\n", what, text.c_str());
}

void print_mixed(const MixedTally& m) {
  print_counts("collectives", m.by_kind);
  print_counts("types", m.by_type);
  print_counts("operations", m.by_op);
  print_counts("quantised", m.by_quantization);
  std::printf("  %-15s quantised %" PRIu64 ", with error feedback %" PRIu64 ", calls that compress %" PRIu64
              ", tags in flight at most %" PRIu64 "\n",
              "of these", m.quantised, m.with_residual, m.compressed_calls, m.tags_in_flight_most);
  if (m.many_calls == 0) return;
  std::printf("  %-15s calls %" PRIu64 ", tensors reduced %" PRIu64 " in %" PRIu64
              " collectives, calls that had to mend a loss %" PRIu64 "\n",
              "lists", m.many_calls, m.many_tensors, m.many_collectives, m.many_mended);
}

void print_state(const StateTally& s) {
  std::printf("  %-15s syncs %" PRIu64 " (%" PRIu64 " calls), digest confirmations %" PRIu64
              ", mended a loss %" PRIu64 " (%" PRIu64 " while fetching), failed %" PRIu64 " (%" PRIu64
              " incomplete), fell back %" PRIu64 "\n",
              "shared state", s.agreed, s.syncs, s.confirmations, s.mended, s.mended_fetching, s.failed,
              s.failed_incomplete, s.fell_back);
  std::printf("  %-15s MiB fetched %.1f in %" PRIu64 " calls (%" PRIu64
              " from several sources), again %.1f; compress %" PRIu64 ", only marked %" PRIu64
              ", keep old %" PRIu64 ", send only %" PRIu64 ", receive only %" PRIu64 "\n",
              "of these", static_cast<double>(s.bytes_fetched) / (1 << 20), s.fetching, s.several_sources,
              static_cast<double>(s.bytes_again) / (1 << 20), s.compressed, s.only_marked, s.kept_old,
              s.send_only, s.receive_only);
  std::printf("  %-15s %" PRIu64 ": complete %" PRIu64 ", partial %" PRIu64
              ", MiB %.1f, sources at most %" PRIu64 "\n",
              "prefetches", s.prefetches, s.prefetches_complete, s.prefetches_partial,
              static_cast<double>(s.prefetch_bytes) / (1 << 20), s.prefetch_sources_most);
  std::printf("  %-15s saved %" PRIu64 ", loaded %" PRIu64 ", damaged ones refused %" PRIu64
              ", runs that went on from them %" PRIu64 "\n",
              "checkpoints", s.saved, s.loaded, s.refused, s.from_disk);
}

}  // namespace

Scoreboard::Scoreboard() : terminal_(uv_guess_handle(1) == UV_TTY) {}

void Scoreboard::erase_table() {
  if (table_lines_ > 0) std::printf("\x1b[%dA\x1b[J", table_lines_);
  table_lines_ = 0;
}

void Scoreboard::note(const std::string& sentence) {
  erase_table();
  std::printf("%s\n", sentence.c_str());
  std::fflush(stdout);
}

void Scoreboard::show(const Tally& t) {
  if (!terminal_) {
    std::printf("%6.1f s  world %" PRIu64 "  epoch %" PRIu64 "  steps %" PRIu64 " (%.1f/s)  kills %" PRIu64
                "  stops %" PRIu64 "  joins %" PRIu64 "  leaves %" PRIu64 "  master restarts %" PRIu64
                "  loss %.3f  collectives %" PRIu64 "  recovered errors %" PRIu64 "  violations %" PRIu64
                "\n",
                t.elapsed_s, t.world, t.epoch, t.steps, t.steps_per_s, t.kills, t.stops, t.joins, t.leaves,
                t.master_restarts, t.loss, t.collectives, t.recovered(), t.violations.count);
    std::fflush(stdout);
    return;
  }
  erase_table();
  std::printf("  %-12s %-12s %-12s %-12s %-12s %-12s\n", "elapsed s", "world", "processes", "epoch", "steps",
              "steps/s");
  std::printf("  %-12.1f %-12" PRIu64 " %-12" PRIu64 " %-12" PRIu64 " %-12" PRIu64 " %-12.1f\n", t.elapsed_s,
              t.world, t.processes_up, t.epoch, t.steps, t.steps_per_s);
  std::printf("  %-12s %-12s %-12s %-12s %-12s %-12s\n", "kills", "stops", "joins", "leaves", "masters",
              "loss");
  std::printf("  %-12" PRIu64 " %-12" PRIu64 " %-12" PRIu64 " %-12" PRIu64 " %-12" PRIu64 " %-12.3f\n",
              t.kills, t.stops, t.joins, t.leaves, t.master_restarts, t.loss);
  std::printf("  %-12s %-12s %-12s %-12s\n", "collectives", "confirmed", "recovered", "violations");
  std::printf("  %-12" PRIu64 " %-12" PRIu64 " %-12" PRIu64 " %-12" PRIu64 "\n", t.collectives,
              t.confirmations, t.recovered(), t.violations.count);
  table_lines_ = 6;
  std::fflush(stdout);
}

void Scoreboard::summary(const Tally& t, const RecoveryClock& clock, const std::string& end_reason) {
  erase_table();
  std::printf("\nended after %.1f s: %s (seed %" PRIu64 ")\n", t.elapsed_s, end_reason.c_str(), t.seed);
  std::printf("  done to them    kills %" PRIu64 ", stops %" PRIu64 " (%" PRIu64 " went on), leaves %" PRIu64
              ", master restarts %" PRIu64 ", master pauses %" PRIu64 ", control resets %" PRIu64 ", wipe-outs %" PRIu64
              ", device faults %" PRIu64 ", processes started %" PRIu64 "\n",
              t.kills, t.stops, t.continues, t.leaves, t.master_restarts, t.master_pauses, t.resets, t.wipe_outs,
              t.device_faults, t.spawned);
  std::printf("  done by them    steps %" PRIu64 " (%.1f/s), collectives committed %" PRIu64
              ", joins %" PRIu64 ", rejoins %" PRIu64 ", last epoch %" PRIu64 "\n",
              t.steps, t.elapsed_s > 0 ? static_cast<double>(t.steps) / t.elapsed_s : 0, t.collectives,
              t.joins, t.rejoins, t.epoch);
  if (t.terms > 0)
    std::printf("  masters         served the run one after the other %" PRIu64 ", last term %" PRIu64 "\n", t.terms,
                t.term);
  if (t.relay_views > 0)
    std::printf("  relays          killed or stopped %" PRIu64 ", in views %" PRIu64 "\n", t.relay_faults, t.relay_views);
  print_mixed(t.mixed);
  if (t.messages > 0)
    std::printf("  %-15s received %" PRIu64 ", not come %" PRIu64 "\n", "messages", t.messages, t.messages_missed);
  print_state(t.state);
  std::printf("  checked         reports that confirm another's bits %" PRIu64
              ", beginnings of the training %" PRIu64 "\n",
              t.confirmations, t.lineages);
  std::printf("  loss            %.3f at first, %.3f at last\n", LossCurve::mean(t.losses.first),
              LossCurve::mean(t.losses.last));
  std::printf("  times in ms\n");
  if (t.standstills > 0)
    std::printf("  %-15s the machine stood still for seconds %" PRIu64
                " times: expulsions after that are no violations\n",
                "note", t.standstills);
  print_series("kill to next step without the dead", clock.kills_ms());
  print_series("stop to next step without the silent", clock.stops_ms());
  print_series(t.terms > 0 ? "master killed to step under another" : "master killed to step in a later epoch",
               clock.masters_ms());
  print_series("master stopped to step under another", clock.master_stops_ms());
  print_series("start of a process to its admission", t.admission_ms);
  print_series("leaving", t.leave_ms);
  print_series("sync that fetches", t.state.fetch_ms);
  print_series("sync with nothing to fetch", t.state.quick_ms);
  print_series("prefetching", t.state.prefetch_ms);
  for (const auto& [kind, series] : t.recovered_ms)
    print_series(("told " + kind + " to next success").c_str(), series);
  for (const auto& [kind, count] : t.errors) {
    std::printf("  told %-16s %6" PRIu64 " times, e.g. \"%s\"\n", kind.c_str(), count,
                t.told.at(kind).c_str());
  }
  for (const auto& [kind, sentence] : t.told_after_stop) {
    std::printf("  told after SIGCONT: %s: \"%s\"\n", kind.c_str(), sentence.c_str());
  }
  for (const auto& [kind, count] : t.violations.by_kind) {
    std::printf("  VIOLATIONS %s: %" PRIu64 "\n", kind.c_str(), count);
  }
  if (t.violations.count == 0) {
    std::printf("  hangs 0, wrong sums 0, digest mismatches 0, lost inputs 0, leaked processes 0\nPASS\n");
  } else {
    std::printf("FAIL: %s\n", first_reason(t.violations).c_str());
  }
  std::fflush(stdout);
}

}  // namespace hawser::churn
