// The masters of a run: one, or several of which one serves, and what is done to them.

#include <algorithm>
#include <csignal>
#include <utility>

#include "churn_run.hpp"
#include "emulated_hosts.hpp"
#include "reporter.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint64_t kMasterEndMs = 5'000;
// A master answers one address four times a second, and the other masters ask from there, too.
constexpr std::uint64_t kAskedAgainNs = 700'000'000;
// In an emulated network each host has its ports for itself. This one is given to nobody who asks for any.
constexpr std::uint32_t kPortInNetwork = 20'500;

}  // namespace

/// Before the first of several is started, all need their addresses.
void ChurnRun::make_masters() {
  for (std::uint32_t i = 0; i <= options_.standby; ++i) {
    MasterRecord& master = *masters_.emplace_back(std::make_unique<MasterRecord>(loop_, i));
    if (options_.standby == 0) continue;
    master.name += std::to_string(i);
    if (hosts_ != nullptr) {
      master.address = hosts_->address(i % hosts_->count()) + ":" + std::to_string(kPortInNetwork + i);
    } else {
      master.port = std::make_unique<HeldPort>();
      master.address = master.port->address();
    }
    master_addresses_ += (i == 0 ? "" : ",") + master.address;
  }
  for (const auto& master : masters_) spawn_master(*master);
}

void ChurnRun::spawn_master(MasterRecord& master) {
  const std::uint32_t host = hosts_ != nullptr ? master.index % hosts_->count() : 0;
  const std::string fresh = (hosts_ != nullptr ? hosts_->address(host) : "127.0.0.1") + ":0";
  std::vector<std::string> arguments{"master", "--listen", master.address.empty() ? fresh : master.address};
  if (hosts_ != nullptr) arguments.insert(arguments.end(), {"--network", hosts_->name_space(host)});
  if (options_.standby > 0) arguments.insert(arguments.end(), {"--masters", master_addresses_});
  if (master.index > 0) arguments.emplace_back("--standby");
  if (!options_.lease.empty()) arguments.insert(arguments.end(), {"--lease", options_.lease});
  add_bounds(arguments, options_.bounds);
  if (master.process) former_masters_.push_back(std::move(master.process));
  master.listens = master.killed = master.paused = false;
  master.process = std::make_unique<ChildProcess>(
      loop_, arguments,
      ChildProcess::Callbacks{
          .on_line = [this, &master](std::string_view line) { on_master_line(master, line); },
          .on_error_line = [this, &master](std::string_view line) { log_line(master.name, line); },
          .on_end = [this, &master](const ChildEnd& end) { on_master_end(master, end); }});
}

void ChurnRun::on_master_line(MasterRecord& master, std::string_view text) {
  const ReportLine line(text);
  if (line.word() == "stands") on_master_stands(master, line);
  if (line.word() != "listening") return;
  master.listens = true;
  if (master.address.empty()) {
    master.address = line.get("address");
  } else if (line.get("address") != master.address) {
    violation("master",
              "it listens on " + std::string(line.get("address")) + " after a restart on " + master.address);
  }
  if (phase_ != Phase::starting ||
      !std::all_of(masters_.begin(), masters_.end(), [](const auto& one) { return one->listens; }))
    return;
  if (master_addresses_.empty()) master_addresses_ = master.address;
  begin();
}

void ChurnRun::on_master_end(MasterRecord& master, const ChildEnd& end) {
  const bool wanted = master.killed || phase_ == Phase::stopping_master;
  if (!wanted ||
      (phase_ == Phase::stopping_master && !master.killed && (end.signal != 0 || end.status != 0))) {
    violation("crash", "the " + master.name + " ended with " + describe(end) + master.process->last_words());
  }
  if (phase_ == Phase::stopping_master) {
    if (std::none_of(masters_.begin(), masters_.end(), [](const auto& one) { return one->up(); })) end_loop();
    return;
  }
  if (phase_ == Phase::leaving) return;
  if (!wanted) return finish("the master is gone");
  master.back.once(schedule_.master_away_ms(), [this, &master] { spawn_master(master); });
}

void ChurnRun::stop_masters() {
  if (phase_ == Phase::stopping_master || phase_ == Phase::over) return;
  phase_ = Phase::stopping_master;
  bool any_up = false;
  for (const auto& master : masters_) {
    continue_master(*master);
    master->back.stop();
    if (!master->up()) continue;
    any_up = true;
    master->process->tell("leave");
  }
  if (!any_up) return end_loop();
  end_timer_.once(kMasterEndMs, [this] {
    violation("hang", "the master did not end within " + std::to_string(kMasterEndMs) + " ms");
    for (const auto& master : masters_) {
      master->killed = true;
      if (master->up()) master->process->signal(SIGKILL);
    }
  });
}

// ------------------------------------------------------------------------------------------- what is done to them

void ChurnRun::kill_master(MasterRecord& master) {
  if (!master.running()) return;
  master.killed = true;
  master_killed_ns_ = now_ns();
  ++tally_.master_restarts;
  if (options_.standby > 0) {
    clock_.serving_master_killed(master_killed_ns_);
    log_line(master.name, "is killed by the run");
  } else {
    clock_.master_killed(master_killed_ns_);
  }
  master.process->signal(SIGKILL);
}

// It hears nothing, says nothing, and is back. Alone it lost no member by that. One of several has lost the run, if it
// was away for long enough, and must not disturb it.
void ChurnRun::pause_master(MasterRecord& master) {
  if (!master.running()) return;
  master.paused = true;
  ++tally_.master_pauses;
  if (options_.standby > 0) {
    clock_.serving_master_stopped(now_ns());
    log_line(master.name, "is stopped by the run");
  }
  master.process->signal(SIGSTOP);
  master.back.once(schedule_.master_paused_ms(), [this, &master] { continue_master(master); });
}

void ChurnRun::continue_master(MasterRecord& master) {
  if (!std::exchange(master.paused, false)) return;
  master.back.stop();
  if (!master.up()) return;
  if (options_.standby > 0) {
    log_line(master.name, "is continued by the run");
    clock_.serving_master_continued();
    // Unless another one has taken over, it goes on.
    if (serving_ == nullptr && !asks_who_serves_) master_continued_ns_ = now_ns();
  }
  master.process->signal(SIGCONT);
}

// ------------------------------------------------------------------------------------------- which of them serves

/// The first step under another master, or under the same one after it was stopped.
void ChurnRun::note_term(const RecoveryClock::Step& step) {
  if (options_.standby == 0) return;
  const std::uint64_t term = term_of(step.epoch);
  if (term > tally_.term) {
    tally_.term = term;
    ++tally_.terms;
  } else if (term < tally_.term || master_continued_ns_ == 0 || step.at_ns < master_continued_ns_) {
    return;
  }
  master_continued_ns_ = 0;
  serving_ = nullptr;
  serving_timer_.stop();
  asks_who_serves_ = true;
  ask_who_serves(now_ns());
}

void ChurnRun::ask_who_serves(std::uint64_t now) {
  if (!asks_who_serves_ || now < masters_asked_ns_ + kAskedAgainNs) return;
  masters_asked_ns_ = now;
  for (const auto& master : masters_)
    if (master->running()) master->process->tell("stands");
}

void ChurnRun::on_master_stands(MasterRecord& master, const ReportLine& line) {
  master.waits = line.get("text");
  if (!asks_who_serves_ || !master.running() || line.number("serves") != 1u || line.number("term") != tally_.term)
    return;
  asks_who_serves_ = false;
  serving_ = &master;
  if (settle_ns_ != 0 || phase_ != Phase::running) return;
  if (master_faults_left() == 0) {
    if (options_.master_kills + options_.master_stops > 0) settle();
    return;
  }
  serving_timer_.once(schedule_.gap_ms(options_.master_gap_ms), [this] { disturb_serving_master(); });
}

std::uint64_t ChurnRun::master_kills_left() const {
  return options_.master_kills - std::min<std::uint64_t>(options_.master_kills, tally_.master_restarts);
}

std::uint64_t ChurnRun::master_faults_left() const {
  return master_kills_left() + options_.master_stops -
         std::min<std::uint64_t>(options_.master_stops, tally_.master_pauses);
}

// There is always another one that can take over.
void ChurnRun::disturb_serving_master() {
  const bool others_run = std::any_of(masters_.begin(), masters_.end(), [&](const auto& one) {
    return one.get() != serving_ && one->running();
  });
  const bool one_is_paused = std::any_of(masters_.begin(), masters_.end(), [](const auto& one) { return one->paused; });
  if (!others_run || one_is_paused || !serving_->running())
    return serving_timer_.once(100, [this] { disturb_serving_master(); });
  MasterRecord& master = *std::exchange(serving_, nullptr);
  if (schedule_.one_of(master_kills_left(), master_faults_left()))
    kill_master(master);
  else
    pause_master(master);
}

}  // namespace hawser::churn
