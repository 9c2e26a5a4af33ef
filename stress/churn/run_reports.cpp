// What the processes say, and what follows from it.

#include <algorithm>

#include "churn_run.hpp"
#include "reporter.hpp"

namespace hawser::churn {
namespace {

// Until a process that was sent SIGKILL does nothing more, on any machine.
constexpr std::uint64_t kKilledNs = 100'000'000;

}  // namespace

void ChurnRun::violation(const std::string& kind, const std::string& sentence) {
  tally_.violations.add(kind, sentence);
  if (tally_.violations.count <= Violations::kSentencesKept) {
    scoreboard_.note("VIOLATION " + kind + ": " + sentence);
  }
}

void ChurnRun::on_worker_line(WorkerRecord& worker, const ReportLine& line) {
  const std::string_view word = line.word();
  if (on_collective_line(worker, line)) return;
  log_line(worker.name, line.whole());
  if (on_state_line(worker, line)) return;
  if (word == "round") {
    on_round(worker, line);
  } else if (word == "joined") {
    on_joined(worker, line);
  } else if (word == "error") {
    on_error(worker, line);
  } else if (word == "recovered") {
    tally_.recovered_ms[std::string(line.get("kind"))].add(line.real("ms").value_or(0));
  } else if (word == "reset") {
    worker.synced = false;
    worker.peer_id = 0;
    ++tally_.rejoins;
  } else if (word == "control_reset") {
    tally_.resets += line.number("count").value_or(0);
  } else if (word == "left") {
    tally_.leave_ms.add(line.real("ms").value_or(0));
  } else if (word == "where") {
    worker.where = line.get("text");
  } else if (word == "violation") {
    violation(std::string(line.get("what")), worker.name + ": " + std::string(line.get("text")));
  }
}

bool ChurnRun::on_collective_line(WorkerRecord& worker, const ReportLine& line) {
  const std::string_view word = line.word();
  if (word == "reduce") {
    const AgreementLedger::CollectiveNews news = ledger_.on_reduce(worker.name, line);
    if (news.disagreement) violation("digest_mismatch", *news.disagreement);
    tally_.mixed.on_reduce(line, news.first);
  } else if (word == "many") {
    if (const auto disagreement = ledger_.on_many(worker.name, line))
      violation("digest_mismatch", *disagreement);
    tally_.mixed.on_many(line);
  } else if (word == "barrier") {
    if (const auto wrong = barriers_.on_barrier(worker.name, line)) violation("broken_barrier", *wrong);
  } else if (word == "mail") {
    tally_.messages += line.number("received").value_or(0);
    tally_.messages_missed += 1 - line.number("received").value_or(0);
  } else if (word == "tags") {
    tally_.mixed.on_tags(line);
  } else {
    return false;
  }
  return true;
}

bool ChurnRun::on_state_line(WorkerRecord& worker, const ReportLine& line) {
  const std::string_view word = line.word();
  if (word == "sync") {
    const StateLedger::SyncNews news = states_.on_sync(worker.name, line);
    if (news.disagreement) violation("digest_mismatch", *news.disagreement);
  } else if (word == "holds") {
    if (const auto other = states_.on_holds(worker.name, line)) violation("digest_mismatch", *other);
    if (line.number("newcomer") == 1u) aim_at_sync();
    return true;
  } else if (word == "found") {
    if (const auto other = states_.on_found(worker.name, line)) violation("digest_mismatch", *other);
    return true;
  }
  return tally_.state.on_line(line);
}

void ChurnRun::on_joined(WorkerRecord& worker, const ReportLine& line) {
  if (!worker.admitted) {
    worker.admitted = true;
    tally_.admission_ms.add(static_cast<double>(line.number("t").value_or(0) - worker.spawned_ns) / 1e6);
  }
  worker.peer_id = line.number("peer").value_or(0);
  worker.synced = false;
  worker.may_be_expelled = worker.stopped;
  worker.progress_ns = now_ns();
  worker.where_asked_ns = 0;
  ++tally_.joins;
}

void ChurnRun::on_round(WorkerRecord& worker, const ReportLine& line) {
  const AgreementLedger::RoundNews news = ledger_.on_round(worker.name, line);
  if (news.disagreement) violation("digest_mismatch", *news.disagreement);
  if (news.new_lineage && ledger_.lineages() > 1) {
    if (wiped_out_ns_ == 0)
      violation("state_lost", worker.name + " began the training anew, though others held the state");
    if (line.number("step").value_or(0) > 1) ++tally_.state.from_disk;
  }
  const double loss = line.real("loss").value_or(0);
  tally_.losses.add(loss);
  tally_.loss = tally_.loss == 0 ? loss : 0.95 * tally_.loss + 0.05 * loss;
  worker.synced = true;
  worker.progress_ns = now_ns();
  worker.where_asked_ns = 0;
  const RecoveryClock::Step step{.at_ns = line.number("t").value_or(0),
                                 .epoch = line.number("epoch").value_or(0),
                                 .members = line.list("members")};
  worker.round_ns = step.at_ns;
  clock_.on_step(step);
  note_term(step);
  // A step of someone who was killed then may still be heard.
  if (news.new_lineage || step.at_ns > wiped_out_ns_ + kKilledNs) wiped_out_ns_ = 0;
  if (!news.first) return;
  last_step_ns_ = now_ns();
  everyone_asked_ns_ = 0;
  tally_.epoch = std::max(tally_.epoch, step.epoch);
  members_last_ = step.members;
  members_last_ns_ = step.at_ns;
}

void ChurnRun::on_error(WorkerRecord& worker, const ReportLine& line) {
  const std::string kind(line.get("kind"));
  const std::string text(line.get("text"));
  ++tally_.errors[kind];
  tally_.told[kind] = text;
  if (worker.may_be_expelled) tally_.told_after_stop[kind] = text;
  if (phase_ != Phase::running) return;
  const std::string what = worker.name + " in " + std::string(line.get("phase")) + ": " + text;
  if (kind == "expelled" && !worker.may_be_expelled) violation("expelled_without_cause", what);
  if (kind == "master_unreachable" && !worker.may_be_expelled) violation("master_given_up", what);
  if (line.number("excused") == 1u) return;
  if (kind == "refused") violation("refused", what);
  // Members that retry the same call always call the same thing, except around a restart of the master.
  if (kind == "mismatch" && options_.retry == RetryPolicy::call && tally_.master_restarts == 0 &&
      (options_.standby == 0 || tally_.master_pauses == 0)) {
    violation("mismatch_without_cause", what);
  }
}

void ChurnRun::refresh_tally() {
  const std::uint64_t now = now_ns();
  const double before_s = tally_.elapsed_s;
  tally_.elapsed_s = begin_ns_ == 0 ? 0 : static_cast<double>(now - begin_ns_) / 1e9;
  const std::uint64_t new_steps = ledger_.steps() - tally_.steps;
  if (tally_.elapsed_s > before_s)
    tally_.steps_per_s = static_cast<double>(new_steps) / (tally_.elapsed_s - before_s);
  tally_.steps = ledger_.steps();
  tally_.collectives = ledger_.collectives();
  tally_.confirmations = ledger_.confirmations();
  tally_.lineages = ledger_.lineages();
  tally_.state.agreed = states_.syncs();
  tally_.state.confirmations = states_.confirmations();
  tally_.world = members_last_.size();
  tally_.processes_up = static_cast<std::uint64_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const auto& w) { return w->up(); }));
}

}  // namespace hawser::churn
