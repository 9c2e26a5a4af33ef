#include "churn_report.hpp"

#include "hawser.h"
#include "series_json.hpp"

namespace hawser::churn {
namespace {

void add_options(JsonWriter& json, const ChurnOptions& o) {
  json.open("options")
      .add("seconds", o.seconds)
      .add("peers", std::uint64_t{o.peers})
      .add("seed", o.seed)
      .add("kill_every_ms", std::uint64_t{o.kill_every_ms})
      .add("stop_every_ms", std::uint64_t{o.stop_every_ms})
      .add("device_fault_every_ms", std::uint64_t{o.device_fault_every_ms})
      .add("joins", o.joins)
      .add("master_restarts", std::uint64_t{o.master_restarts})
      .add("wipe_outs", std::uint64_t{o.wipe_outs})
      .add("reset_every_ms", std::uint64_t{o.reset_every_ms})
      .add("master_pauses", std::uint64_t{o.master_pauses})
      .add("standby", std::uint64_t{o.standby})
      .add("master_kills", std::uint64_t{o.master_kills})
      .add("relays", std::uint64_t{o.relays})
      .add("master_stops", std::uint64_t{o.master_stops})
      .add("master_gap_ms", std::uint64_t{o.master_gap_ms})
      .add("wan", std::string_view(o.wan))
      .add("state_bytes", o.state.ballast_bytes)
      .add("sync_every", std::uint64_t{o.state.sync_every})
      .add("checkpoint_every", std::uint64_t{o.state.checkpoint_every})
      .add("prefetch", o.state.prefetch)
      .add("elements", o.elements)
      .add("hang_bound_s", o.hang_bound_s)
      .add("retry", std::string_view(o.retry == RetryPolicy::call ? "call" : "round"))
      .add("mixed", o.mixed)
      .add("tags", std::uint64_t{o.tags})
      .close();
}

void add_counts(JsonWriter& json, std::string_view key, const MixedTally::Counts& counts) {
  json.open(key);
  for (const auto& [name, count] : counts) json.add(name, count);
  json.close();
}

void add_mixed(JsonWriter& json, const MixedTally& m) {
  add_counts(json, "collectives_by_kind", m.by_kind);
  add_counts(json, "collectives_by_type", m.by_type);
  add_counts(json, "collectives_by_op", m.by_op);
  add_counts(json, "collectives_by_quantization", m.by_quantization);
  json.add("quantised", m.quantised)
      .add("with_residual", m.with_residual)
      .add("compressed_calls", m.compressed_calls)
      .add("tags_in_flight_most", m.tags_in_flight_most)
      .add("many_calls", m.many_calls)
      .add("many_tensors", m.many_tensors)
      .add("many_collectives", m.many_collectives)
      .add("many_mended", m.many_mended);
}

void add_state(JsonWriter& json, const StateTally& s) {
  json.open("shared_state")
      .add("syncs", s.syncs)
      .add("syncs_agreed", s.agreed)
      .add("digest_confirmations", s.confirmations)
      .add("syncs_failed", s.failed)
      .add("syncs_failed_incomplete", s.failed_incomplete)
      .add("syncs_mended", s.mended)
      .add("syncs_mended_fetching", s.mended_fetching)
      .add("syncs_fetching", s.fetching)
      .add("syncs_several_sources", s.several_sources)
      .add("bytes_fetched", s.bytes_fetched)
      .add("bytes_again", s.bytes_again)
      .add("compressed", s.compressed)
      .add("only_marked", s.only_marked)
      .add("kept_old_bytes", s.kept_old)
      .add("send_only", s.send_only)
      .add("receive_only", s.receive_only)
      .add("sync_fetching_ms", s.fetch_ms)
      .add("sync_nothing_to_fetch_ms", s.quick_ms)
      .add("prefetches", s.prefetches)
      .add("prefetches_complete", s.prefetches_complete)
      .add("prefetches_partial", s.prefetches_partial)
      .add("prefetch_bytes", s.prefetch_bytes)
      .add("prefetch_sources_most", s.prefetch_sources_most)
      .add("prefetch_ms", s.prefetch_ms)
      .add("checkpoints_saved", s.saved)
      .add("checkpoints_loaded", s.loaded)
      .add("checkpoints_damaged_refused", s.refused)
      .add("fell_back", s.fell_back)
      .add("beginnings_from_disk", s.from_disk)
      .close();
}

void add_errors(JsonWriter& json, const Tally& t) {
  json.open("errors");
  for (const auto& [kind, count] : t.errors) {
    json.open(kind).add("count", count).add("example", std::string_view(t.told.at(kind)));
    const auto recovered = t.recovered_ms.find(kind);
    if (recovered != t.recovered_ms.end()) json.add("recovered_ms", recovered->second);
    const auto after_stop = t.told_after_stop.find(kind);
    if (after_stop != t.told_after_stop.end())
      json.add("example_after_stop", std::string_view(after_stop->second));
    json.close();
  }
  json.close();
}

void add_violations(JsonWriter& json, const Violations& violations) {
  json.add("violations", violations.count).open("violations_by_kind");
  for (const auto& [kind, count] : violations.by_kind) json.add(kind, count);
  json.close().open_list("violation_sentences");
  for (const std::string& sentence : violations.sentences) json.add({}, std::string_view(sentence));
  json.close_list();
}

}  // namespace

bool write_churn_report(const ChurnOptions& options, const Tally& t, const RecoveryClock& clock) {
  JsonWriter json;
  json.open().add("pass", t.violations.count == 0).add("version", std::string_view(hawserGetVersion()));
  add_options(json, options);
  json.add("elapsed_s", t.elapsed_s)
      .add("kills", t.kills)
      .add("stops", t.stops)
      .add("device_faults", t.device_faults)
      .add("continues", t.continues)
      .add("processes_started", t.spawned)
      .add("joins", t.joins)
      .add("rejoins", t.rejoins)
      .add("leaves", t.leaves)
      .add("master_restarts", t.master_restarts)
      .add("wipe_outs", t.wipe_outs)
      .add("control_resets", t.resets)
      .add("master_pauses", t.master_pauses)
      .add("standstills", t.standstills)
      .add("steps", t.steps)
      .add("collectives_committed", t.collectives)
      .add("confirmations", t.confirmations)
      .add("messages_received", t.messages)
      .add("messages_missed", t.messages_missed)
      .add("beginnings", t.lineages)
      .add("last_epoch", t.epoch)
      .add("masters_that_served", t.terms)
      .add("last_term", t.term)
      .add("relay_faults", t.relay_faults)
      .add("views_of_relays", t.relay_views)
      .add("loss_first", LossCurve::mean(t.losses.first))
      .add("loss_last", LossCurve::mean(t.losses.last))
      .add("kill_to_next_step_ms", clock.kills_ms())
      .add("stop_to_next_step_ms", clock.stops_ms())
      .add("master_kill_to_next_step_ms", clock.masters_ms())
      .add("master_stop_to_next_step_ms", clock.master_stops_ms())
      .add("admission_ms", t.admission_ms)
      .add("leave_ms", t.leave_ms);
  add_mixed(json, t.mixed);
  add_state(json, t.state);
  add_errors(json, t);
  add_violations(json, t.violations);
  json.close();
  return json.write_to(options.report);
}

}  // namespace hawser::churn
