// What the processes fail to do: hangs of all, hangs of one, and the verdict at the end.

#include <algorithm>
#include <csignal>
#include <utility>

#include "churn_run.hpp"
#include "reporter.hpp"

namespace hawser::churn {
namespace {

// Time for an answer to "where" before the sentence on a hang is written.
constexpr std::uint64_t kAnswerNs = 1'500'000'000;
// One worker may wait longer than all together: it may be in need of an admission, which others must make.
constexpr double kOneWorkerFactor = 3;
constexpr std::uint64_t kReportsForLoss = 400;

// Less than the library's bounds for silence and stalls.
constexpr std::uint64_t kStandstillNs = 2'000'000'000;
// A restarted master has found its members by then, or given them up.
constexpr std::uint64_t kMasterBackNs = 10'000'000'000;

std::uint64_t ns_of(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

std::string seconds_of(std::uint64_t ns) { return std::to_string(ns / 1'000'000'000) + " s"; }

}  // namespace

void ChurnRun::watch() {
  if (phase_ != Phase::running) return;
  const std::uint64_t now = now_ns();
  watch_machine(now);
  const auto due = [&](std::vector<std::uint64_t>& times_ms) {
    if (settle_ns_ != 0 || times_ms.empty() || now - begin_ns_ < times_ms.back() * 1'000'000) return false;
    times_ms.pop_back();
    return true;
  };
  // A master that is restarted when nobody is left begins another run, with epochs from 1.
  const bool nobody_left = wiped_out_ns_ != 0 || wipe_out_aims_at_sync_;
  if (!nobody_left && due(master_kill_times_ms_)) kill_master(*masters_.front());
  if (now >= master_killed_ns_ + kMasterBackNs && due(wipe_out_times_ms_)) wipe_out();
  if (due(master_pause_times_ms_)) pause_master(*masters_.front());
  ask_who_serves(now);
  top_up();
  watch_everyone(now);
  for (const auto& worker : workers_) {
    if (worker->up()) watch_worker(*worker, now);
  }
  if (settle_ns_ != 0) watch_settling(now);
}

// If this process stood still, all did: to the master and its members that is silence.
void ChurnRun::watch_machine(std::uint64_t now) {
  const std::uint64_t before = std::exchange(watched_ns_, now);
  if (before == 0 || now - before < kStandstillNs) return;
  ++tally_.standstills;
  for (const auto& worker : workers_) worker->may_be_expelled = true;
}

void ChurnRun::watch_everyone(std::uint64_t now) {
  if (now - last_step_ns_ < ns_of(options_.hang_bound_s)) return;
  if (everyone_asked_ns_ == 0) {
    everyone_asked_ns_ = now;
    for (const auto& worker : workers_) {
      worker->where.clear();
      if (worker->up()) worker->process->tell("where");
    }
    for (const auto& master : masters_)
      if (options_.standby > 0 && master->running()) master->process->tell("stands");
    return;
  }
  if (now - everyone_asked_ns_ < kAnswerNs) return;
  std::string where;
  if (options_.standby > 0)
    for (const auto& master : masters_)
      where += " " + master->name + (!master->up() ? " (away)" : master->paused ? " (stopped)" : "") + ": " +
               (master->waits.empty() ? "serves, or has not said" : master->waits) + ";";
  for (const auto& worker : workers_) {
    if (!worker->up()) continue;
    where += " " + worker->name + (worker->stopped ? " (stopped)" : "") + ": " +
             (worker->where.empty() ? "no answer" : worker->where) + ";";
  }
  violation("hang", "nobody committed a step for " + seconds_of(now - last_step_ns_) + ";" + where);
  finish("a hang");
}

void ChurnRun::watch_worker(WorkerRecord& worker, std::uint64_t now) {
  // A call without a communicator waits a minute for a device that hangs.
  if (worker.device_fault_ns != 0 && worker.up() && now - worker.device_fault_ns > ns_of(60 + options_.hang_bound_s)) {
    violation("hang", worker.name + " has not ended " + seconds_of(now - worker.device_fault_ns) +
                          " after its devices failed");
    worker.device_fault_ns = 0;
    worker.process->signal(SIGKILL);
  }
  if (worker.killed || worker.stopped) return;
  const bool told_to_leave = worker.leave_told_ns != 0;
  const std::uint64_t since = told_to_leave ? worker.leave_told_ns : worker.progress_ns;
  const double bound_s = told_to_leave ? options_.hang_bound_s : kOneWorkerFactor * options_.hang_bound_s;
  if (now - since < ns_of(bound_s)) return;
  if (worker.where_asked_ns == 0) {
    worker.where_asked_ns = now;
    worker.where.clear();
    worker.process->tell("where");
    return;
  }
  if (now - worker.where_asked_ns < kAnswerNs) return;
  violation("hang",
            worker.name + (told_to_leave ? " was told to leave and did not for " : " made no progress for ") +
                seconds_of(now - since) +
                " while others went on; it is in: " + (worker.where.empty() ? "no answer" : worker.where));
  kill_worker(worker);
}

bool ChurnRun::settled(const WorkerRecord& worker) const {
  return !worker.up() || worker.killed || worker.round_ns > settle_ns_;
}

// A hang in a run's last seconds would go unseen if the workers were just told to leave. So the run ends with
// a proof: once nothing is done to them any more, every worker commits another round.
void ChurnRun::watch_settling(std::uint64_t now) {
  const bool all =
      std::all_of(workers_.begin(), workers_.end(), [this](const auto& w) { return settled(*w); });
  if (all) return finish("the time is over");
  if (now - settle_ns_ < ns_of(options_.hang_bound_s)) return;
  if (settle_asked_ns_ == 0) {
    settle_asked_ns_ = now;
    for (const auto& worker : workers_) {
      worker->where = "no answer";
      if (worker->up()) worker->process->tell("where");
    }
  }
  if (now - settle_asked_ns_ < kAnswerNs) return;
  for (const auto& worker : workers_) {
    if (settled(*worker)) continue;
    violation("hang", worker->name + " committed no round for " + seconds_of(now - settle_ns_) +
                          " after the last fault; it is in: " + worker->where);
  }
  finish("a hang");
}

void ChurnRun::judge_end() {
  for (const std::string& sentence : states_.unexplained()) violation("wrong_content", sentence);
  if (tally_.steps == 0) violation("hang", "not a single step was committed");
  const double first = LossCurve::mean(tally_.losses.first);
  const double last = LossCurve::mean(tally_.losses.last);
  if (tally_.losses.reports >= kReportsForLoss && !(last < first)) {
    violation("loss", "it went from " + std::to_string(first) + " to " + std::to_string(last));
  }
}

}  // namespace hawser::churn
