// What the run does to its workers: kills, stops, joiners, leaves; and when it does something to its only master.

#include <algorithm>
#include <csignal>
#include <utility>

#include "churn_run.hpp"
#include "reporter.hpp"

namespace hawser::churn {
namespace {

// A step that was committed so long after a fault knows of it.
constexpr std::uint64_t kSettledNs = 500'000'000;

}  // namespace

void ChurnRun::arm_faults() {
  if (options_.kill_every_ms > 0) {
    kill_timer_.once(schedule_.gap_ms(options_.kill_every_ms), [this] { kill_one(); });
  }
  if (options_.stop_every_ms > 0) {
    stop_timer_.once(schedule_.gap_ms(options_.stop_every_ms), [this] { stop_one(); });
    continue_timer_.every(50, [this] {
      const std::uint64_t now = now_ns();
      std::erase_if(to_continue_, [&](const auto& entry) {
        if (entry.first > now) return false;
        if (schedule_.kill_the_stopped()) {
          kill_worker(*entry.second);
        } else {
          continue_worker(*entry.second);
        }
        return true;
      });
    });
  }
  if (options_.device_fault_every_ms > 0) {
    device_fault_timer_.once(schedule_.gap_ms(options_.device_fault_every_ms), [this] { break_devices_of_one(); });
  }
  if (options_.joins) {
    swing_timer_.once(schedule_.gap_ms(options_.swing_every_ms), [this] { swing(); });
  }
  if (options_.reset_every_ms > 0) {
    reset_timer_.once(schedule_.gap_ms(options_.reset_every_ms), [this] { reset_one(); });
  }
  const auto spread = [&](std::uint32_t times) {
    std::vector<std::uint64_t> moments_ms;
    for (std::uint32_t i = times; i > 0; --i)
      moments_ms.push_back(static_cast<std::uint64_t>(options_.seconds * 1000 * i / (times + 1)));
    return moments_ms;
  };
  master_kill_times_ms_ = spread(options_.master_restarts);
  wipe_out_times_ms_ = spread(options_.wipe_outs);
  // Between the restarts, if there are as many.
  for (std::uint32_t i = options_.master_pauses; i > 0; --i)
    master_pause_times_ms_.push_back(
        static_cast<std::uint64_t>(options_.seconds * 1000 * (i - 0.5) / options_.master_pauses));
}

std::vector<Candidate> ChurnRun::candidates() const {
  std::vector<Candidate> all;
  for (const auto& w : workers_) {
    if (w->up()) {
      all.push_back(
          {.index = w->index,
           .member = w->peer_id != 0,
           .synced = w->synced,
           .running = w->running(),
           .in_view = w->peer_id != 0 && std::ranges::count(members_last_, w->peer_id) > 0});
    }
  }
  return all;
}

/// What has to stay so that another master can take the run over at any moment.
std::optional<Majority> ChurnRun::majority() const {
  if (options_.standby == 0) return std::nullopt;
  const auto is_unsettled = [&](const auto& w) { return w->disturbed_ns + kSettledNs > members_last_ns_; };
  return Majority{.of = members_last_.size(),
                  .unsettled = static_cast<std::size_t>(
                      std::count_if(workers_.begin(), workers_.end(), [&](const auto& w) {
                        return w->disturbed_ns != 0 && is_unsettled(w);
                      }))};
}

std::optional<std::uint32_t> ChurnRun::choose_victim() {
  schedule_.keep(majority());
  return schedule_.choose_victim(candidates());
}

std::optional<std::uint32_t> ChurnRun::choose_leaver() {
  schedule_.keep(majority());
  return schedule_.choose_leaver(candidates());
}

// Synchronisations that fetch are short and rare, so some of the kills are aimed at them.
void ChurnRun::kill_one() {
  if (schedule_.kill_in_sync()) {
    kill_aims_at_sync_ = true;
    // If no newcomer comes, it is done anyhow.
    kill_timer_.once(schedule_.gap_ms(options_.kill_every_ms), [this] { kill_now(); });
  } else {
    kill_now();
  }
}

void ChurnRun::kill_now() {
  kill_aims_at_sync_ = false;
  for (int i = schedule_.kill_two() ? 2 : 1; i > 0; --i) {
    const auto victim = choose_victim();
    if (victim) kill_worker(*workers_[*victim]);
  }
  kill_timer_.once(schedule_.gap_ms(options_.kill_every_ms), [this] { kill_one(); });
}

void ChurnRun::kill_worker(WorkerRecord& worker) {
  if (!worker.up()) return;
  worker.killed = true;
  if (!worker.stopped) {
    worker.disturbed_ns = now_ns();
    clock_.killed(worker.disturbed_ns, worker.peer_id);
  }
  ++tally_.kills;
  worker.process->signal(SIGKILL);
}

/// It ends by that, as if it had been killed; the others go on.
void ChurnRun::break_devices_of_one() {
  device_fault_timer_.once(schedule_.gap_ms(options_.device_fault_every_ms), [this] { break_devices_of_one(); });
  const auto victim = choose_victim();
  if (!victim) return;
  WorkerRecord& worker = *workers_[*victim];
  worker.killed = true;
  worker.device_fault_ns = worker.disturbed_ns = now_ns();
  clock_.killed(worker.device_fault_ns, worker.peer_id);
  worker.process->tell(tally_.device_faults++ % 2 == 0 ? "devices-fail" : "devices-hang");
}

void ChurnRun::stop_one() {
  stop_timer_.once(schedule_.gap_ms(options_.stop_every_ms), [this] { stop_one(); });
  // Stopped peers hold up the others up to the stall bound each; more than a few at once would only stand
  // still.
  if (to_continue_.size() >= std::max(1u, options_.peers / 4)) return;
  const auto victim = choose_victim();
  if (!victim) return;
  WorkerRecord& worker = *workers_[*victim];
  worker.stopped = true;
  worker.may_be_expelled = true;
  ++tally_.stops;
  worker.disturbed_ns = now_ns();
  clock_.stopped(worker.disturbed_ns, worker.peer_id);
  worker.process->signal(SIGSTOP);
  to_continue_.emplace_back(now_ns() + schedule_.stopped_for_ms() * 1'000'000, &worker);
}

void ChurnRun::continue_worker(WorkerRecord& worker) {
  if (!worker.up() || !worker.stopped) return;
  worker.stopped = false;
  worker.progress_ns = now_ns();
  ++tally_.continues;
  clock_.continued(worker.peer_id);
  worker.process->signal(SIGCONT);
}

void ChurnRun::swing() {
  const std::uint32_t before = target_;
  target_ = schedule_.swing(target_);
  const auto leaver = choose_leaver();
  // A smaller target sends someone away; a larger one does so too every now and then, which makes a
  // replacement join.
  if (leaver && (target_ < before || schedule_.spawn_at_once())) {
    WorkerRecord& worker = *workers_[*leaver];
    worker.leave_told_ns = worker.disturbed_ns = now_ns();
    ++tally_.leaves;
    worker.process->tell("leave");
  }
  if (target_ > before) top_up();
  swing_timer_.once(schedule_.gap_ms(options_.swing_every_ms), [this] { swing(); });
}

// Nobody is left who has the state: the run goes on from the disk. Half of the time some are left, but with
// half of the state: those who were just fetching it.
void ChurnRun::wipe_out() {
  if (schedule_.wipe_out_in_sync()) {
    wipe_out_aims_at_sync_ = true;
    return;
  }
  ++tally_.wipe_outs;
  wiped_out_ns_ = now_ns();
  for (const auto& worker : workers_) kill_worker(*worker);
}

void ChurnRun::wipe_out_holders() {
  ++tally_.wipe_outs;
  wiped_out_ns_ = now_ns();
  for (const auto& worker : workers_)
    if (worker->synced) kill_worker(*worker);
}

// A worker has said that it synchronises with a newcomer.
void ChurnRun::aim_at_sync() {
  const auto usual_ms = static_cast<std::uint64_t>(tally_.state.fetch_ms.median());
  if (std::exchange(wipe_out_aims_at_sync_, false)) {
    wipe_out_timer_.once(schedule_.into_sync_ms(usual_ms), [this] { wipe_out_holders(); });
  } else if (std::exchange(kill_aims_at_sync_, false)) {
    kill_timer_.once(schedule_.into_sync_ms(usual_ms), [this] { kill_now(); });
  }
}

// Its owner does it, since no other process may.
void ChurnRun::reset_one() {
  reset_timer_.once(schedule_.gap_ms(options_.reset_every_ms), [this] { reset_one(); });
  const auto one = schedule_.choose_leaver(candidates());
  if (one) workers_[*one]->process->tell("reset");
}

}  // namespace hawser::churn
