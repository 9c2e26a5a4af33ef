// How a run starts and ends, and how its processes do.

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "churn_report.hpp"
#include "churn_run.hpp"
#include "emulated_hosts.hpp"
#include "given_secret.hpp"
#include "reporter.hpp"

namespace hawser::churn {
namespace {

// For all workers together to leave when they are told to.
constexpr std::uint64_t kLeaveMs = 15'000;
// More of the same tells nothing new.
constexpr std::uint64_t kCrashesMax = 12;
constexpr std::uint64_t kAnswerMs = 1'000;

void add_state(std::vector<std::string>& arguments, const StateOptions& state) {
  arguments.insert(arguments.end(),
                   {"--state-bytes", std::to_string(state.ballast_bytes), "--sync-every",
                    std::to_string(state.sync_every), "--checkpoint-every",
                    std::to_string(state.checkpoint_every), "--prefetch", state.prefetch ? "1" : "0"});
}

}  // namespace

ChurnRun::ChurnRun(const ChurnOptions& options, EmulatedHosts* hosts)
    : options_(options),
      hosts_(hosts),
      schedule_((uv_loop_init(&loop_), options)),
      kill_timer_(loop_),
      stop_timer_(loop_),
      device_fault_timer_(loop_),
      continue_timer_(loop_),
      swing_timer_(loop_),
      wipe_out_timer_(loop_),
      reset_timer_(loop_),
      relay_timer_(loop_),
      serving_timer_(loop_),
      watch_timer_(loop_),
      show_timer_(loop_),
      end_timer_(loop_) {
  tally_.seed = options.seed;
  target_ = options.peers;
  if (!options.log.empty()) {
    log_ = std::fopen(options.log.c_str(), "w");
    if (log_ == nullptr) throw std::runtime_error("can't write " + options.log);
  }
  scratch_ = options.scratch.empty() ? std::filesystem::temp_directory_path()
                                     : std::filesystem::path(options.scratch);
  scratch_ /= "hawser-churn-" + std::to_string(uv_os_getpid());
  std::signal(SIGPIPE, SIG_IGN);
  for (std::size_t i = 0; i < signals_.size(); ++i) {
    uv_signal_init(&loop_, &signals_[i]);
    signals_[i].data = this;
    uv_signal_start(
        &signals_[i],
        [](uv_signal_t* handle, int number) { static_cast<ChurnRun*>(handle->data)->on_signal(number); },
        i == 0 ? SIGINT : SIGTERM);
  }
}

ChurnRun::~ChurnRun() {
  if (log_ != nullptr) std::fclose(log_);
}

/// All children find it in their environment.
void ChurnRun::make_secret() {
  if (options_.plain) {
    ::setenv("HAWSER_INSECURE", "1", 1);
    return;
  }
  give_secret(scratch_ / "run.secret");
}

int ChurnRun::run() {
  make_secret();
  make_masters();
  // Without a master there is nothing to wait for.
  end_timer_.once(10'000, [this] {
    violation("hang", "the master did not say its address");
    finish("no master");
  });
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
  refresh_tally();
  judge_end();
  check_no_process_left();
  remove_scratch();
  if (!options_.report.empty() && !write_churn_report(options_, tally_, clock_)) {
    violation("report", "can't write " + options_.report);
  }
  scoreboard_.summary(tally_, clock_, end_reason_);
  return tally_.violations.count == 0 ? 0 : 1;
}

void ChurnRun::begin() {
  phase_ = Phase::running;
  begin_ns_ = last_step_ns_ = now_ns();
  top_up();
  make_relays();
  arm_faults();
  watch_timer_.every(250, [this] { watch(); });
  show_timer_.every(scoreboard_.period_ms(), [this] {
    refresh_tally();
    scoreboard_.show(tally_);
  });
  // Else the last of these ends it.
  if (options_.master_kills + options_.master_stops == 0)
    end_timer_.once(static_cast<std::uint64_t>(options_.seconds * 1000), [this] { settle(); });
  else
    end_timer_.stop();
}

void ChurnRun::top_up() {
  const auto counts = [](const auto& w) { return w->up() && !w->killed && w->leave_told_ns == 0; };
  auto up = static_cast<std::uint32_t>(std::count_if(workers_.begin(), workers_.end(), counts));
  for (; up < target_; ++up) spawn_worker();
}

void ChurnRun::spawn_worker() {
  workers_.push_back(std::make_unique<WorkerRecord>());
  WorkerRecord& worker = *workers_.back();
  worker.index = static_cast<std::uint32_t>(workers_.size() - 1);
  worker.name = "w" + std::to_string(worker.index);
  worker.spawned_ns = worker.progress_ns = now_ns();
  std::vector<std::string> arguments{"worker",
                                     "--master",
                                     master_addresses_,
                                     "--name",
                                     worker.name,
                                     "--seed",
                                     std::to_string(schedule_.worker_seed()),
                                     "--elements",
                                     std::to_string(options_.elements),
                                     "--retry",
                                     options_.retry == RetryPolicy::call ? "call" : "round",
                                     "--mixed",
                                     options_.mixed ? "1" : "0",
                                     "--tags",
                                     std::to_string(options_.tags),
                                     "--io-threads",
                                     std::to_string(options_.io_threads != 0 ? options_.io_threads
                                                                             : 1 + worker.index % 2 * 2),
                                     "--scratch",
                                     take_disk(worker)};
  if (hosts_ != nullptr) {
    // More workers than hosts share some of them.
    const std::uint32_t host = worker.place % hosts_->count();
    arguments.insert(arguments.end(), {"--address", hosts_->address(host), "--advertise", hosts_->outside(host),
                                       "--network", hosts_->name_space(host)});
  }
  add_state(arguments, options_.state);
  if (wiped_out_ns_ != 0 || schedule_.from_disk()) arguments.emplace_back("--from-disk");
  add_bounds(arguments, options_.bounds);
  for (const std::string& file : options_.text) arguments.insert(arguments.end(), {"--text", file});
  ++tally_.spawned;
  worker.process = std::make_unique<ChildProcess>(
      loop_, arguments,
      ChildProcess::Callbacks{
          .on_line = [this, &worker](std::string_view line) { on_worker_line(worker, ReportLine(line)); },
          .on_error_line = [this, &worker](std::string_view line) { log_line(worker.name, line); },
          .on_end = [this, &worker](const ChildEnd& end) { on_worker_end(worker, end); }});
}

// That of the first place that is free: whoever takes a dead one's place finds its checkpoints.
std::string ChurnRun::take_disk(WorkerRecord& worker) {
  const auto taken = [&](std::uint32_t place) {
    return std::ranges::any_of(workers_, [&](const auto& w) { return w->up() && w->place == place; });
  };
  while (taken(worker.place)) ++worker.place;
  const std::filesystem::path folder = scratch_ / ("place-" + std::to_string(worker.place));
  std::filesystem::create_directories(folder);
  return folder.string();
}

void ChurnRun::on_worker_end(WorkerRecord& worker, const ChildEnd& end) {
  const bool clean = end.signal == 0 && end.status == 0;
  if (!worker.killed && !(clean && worker.leave_told_ns != 0)) {
    violation("crash", worker.name + " ended with " + describe(end) + ", which nobody asked for" +
                           worker.process->last_words());
  }
  std::erase_if(to_continue_, [&](const auto& entry) { return entry.second == &worker; });
  worker.synced = false;
  if (tally_.violations.of("crash") >= kCrashesMax) finish("too many crashes");
  if (phase_ == Phase::running && schedule_.spawn_at_once()) top_up();
  if (phase_ == Phase::leaving) maybe_stop_masters();
}

void ChurnRun::maybe_stop_masters() {
  const bool any_up = std::any_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->up(); });
  if (!any_up && !relays_are_up()) stop_masters();
}

void ChurnRun::on_signal(int number) {
  if (phase_ == Phase::starting || phase_ == Phase::running) {
    finish(number == SIGINT ? "interrupted (SIGINT)" : "told to end (SIGTERM)");
  } else {
    kill_everything();
  }
}

// The time is over: nothing more is done to anyone, and what was under way has to come right (see
// watch_settling).
void ChurnRun::settle() {
  settle_ns_ = now_ns();
  for (LoopTimer* timer : {&kill_timer_, &stop_timer_, &device_fault_timer_, &continue_timer_, &swing_timer_,
                           &wipe_out_timer_, &reset_timer_, &relay_timer_, &serving_timer_})
    timer->stop();
  for (const auto& master : masters_) continue_master(*master);
  for (const auto& relay : relays_) continue_relay(*relay);
  kill_aims_at_sync_ = wipe_out_aims_at_sync_ = false;
  for (const auto& worker : workers_) continue_worker(*worker);
}

void ChurnRun::finish(const std::string& why) {
  if (phase_ != Phase::starting && phase_ != Phase::running) return;
  refresh_tally();
  phase_ = Phase::leaving;
  end_reason_ = why;
  for (LoopTimer* timer : {&kill_timer_, &stop_timer_, &device_fault_timer_, &continue_timer_, &swing_timer_,
                           &wipe_out_timer_, &reset_timer_, &relay_timer_, &serving_timer_, &watch_timer_,
                           &show_timer_}) {
    timer->stop();
  }
  for (const auto& master : masters_) continue_master(*master);
  bool any_up = false;
  for (const auto& worker : workers_) {
    if (!worker->up()) continue;
    any_up = true;
    if (worker->stopped) continue_worker(*worker);
    if (worker->leave_told_ns == 0) worker->leave_told_ns = now_ns();
    worker->process->tell("leave");
  }
  tell_relays_to_leave();
  if (!any_up && !relays_are_up()) return stop_masters();
  end_timer_.once(kLeaveMs, [this] { ask_who_stays(); });
}

// Whoever is still there after the bound hangs; where, it is asked before it is killed.
void ChurnRun::ask_who_stays() {
  for (const auto& worker : workers_) {
    worker->where = "no answer";
    if (worker->up()) worker->process->tell("where");
  }
  end_timer_.once(kAnswerMs, [this] {
    for (const auto& worker : workers_) {
      if (!worker->up()) continue;
      violation("hang", worker->name + " did not leave at the end within " + std::to_string(kLeaveMs) +
                            " ms; it is in: " + worker->where);
      worker->killed = true;
      worker->process->signal(SIGKILL);
    }
    for (const auto& relay : relays_) {
      if (!relay->up()) continue;
      violation("hang", relay->name + " did not leave at the end within " + std::to_string(kLeaveMs) + " ms");
      relay->killed = true;
      relay->process->signal(SIGKILL);
    }
  });
}

void ChurnRun::end_loop() {
  phase_ = Phase::over;
  for (LoopTimer* timer :
       {&kill_timer_, &stop_timer_, &device_fault_timer_, &continue_timer_, &swing_timer_, &wipe_out_timer_,
        &reset_timer_, &relay_timer_, &serving_timer_, &watch_timer_, &show_timer_, &end_timer_}) {
    timer->close();
  }
  for (const auto& relay : relays_) relay->back.close();
  for (const auto& master : masters_) master->back.close();
  for (uv_signal_t& handle : signals_) uv_close(reinterpret_cast<uv_handle_t*>(&handle), nullptr);
}

// A second signal: the person does not want to wait. What was found until now is still told.
void ChurnRun::kill_everything() {
  for (const auto& worker : workers_) {
    if (!worker->up()) continue;
    worker->killed = true;
    worker->process->signal(SIGKILL);
  }
  for (const auto& relay : relays_) {
    relay->killed = true;
    if (relay->up()) relay->process->signal(SIGKILL);
  }
  for (const auto& master : masters_) {
    master->killed = true;
    if (master->up()) master->process->signal(SIGKILL);
  }
}

void ChurnRun::check_no_process_left() {
  for (const auto& worker : workers_) {
    if (worker->up()) violation("leaked_process", worker->name + " is still there");
  }
  // All children of this process were started by the run; none may be left, dead or alive.
  if (waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD)
    violation("leaked_process", "a child was not reaped");
}

void ChurnRun::remove_scratch() {
  std::error_code error;
  std::filesystem::remove_all(scratch_, error);
  if (error) violation("report", "can't remove " + scratch_.string() + ": " + error.message());
}

void ChurnRun::log_line(const std::string& who, std::string_view line) {
  if (log_ == nullptr) return;
  std::fprintf(log_, "%.3f %s %.*s\n", begin_ns_ == 0 ? 0.0 : static_cast<double>(now_ns() - begin_ns_) / 1e9,
               who.c_str(), static_cast<int>(line.size()), line.data());
}

int run_churn(const ChurnOptions& options, EmulatedHosts* hosts) { return ChurnRun(options, hosts).run(); }

}  // namespace hawser::churn
