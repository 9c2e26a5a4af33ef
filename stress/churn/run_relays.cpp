// The relays of a run, and what is done to them: workers must not hear of it.

#include <algorithm>
#include <csignal>

#include "churn_run.hpp"
#include "emulated_hosts.hpp"

namespace hawser::churn {

void ChurnRun::make_relays() {
  for (std::uint32_t i = 0; i < options_.relays; ++i)
    spawn_relay(*relays_.emplace_back(std::make_unique<RelayRecord>(loop_, i)));
  if (options_.relays > 0 && options_.relay_fault_every_ms > 0)
    relay_timer_.once(schedule_.gap_ms(options_.relay_fault_every_ms), [this] { disturb_relay(); });
}

void ChurnRun::spawn_relay(RelayRecord& relay) {
  std::vector<std::string> arguments{"relay", "--master", master_addresses_, "--name", relay.name};
  if (hosts_ != nullptr) {
    // Not that of the master, if there is another one.
    const std::uint32_t host = (relay.index + 1) % hosts_->count();
    arguments.insert(arguments.end(), {"--address", hosts_->address(host), "--network", hosts_->name_space(host)});
  }
  add_bounds(arguments, options_.bounds);
  if (relay.process) former_masters_.push_back(std::move(relay.process));
  relay.killed = relay.stopped = false;
  relay.process = std::make_unique<ChildProcess>(
      loop_, arguments,
      ChildProcess::Callbacks{
          .on_line =
              [this](std::string_view text) {
                if (ReportLine(text).word() == "adds") ++tally_.relay_views;
              },
          .on_error_line = [this, &relay](std::string_view line) { log_line(relay.name, line); },
          .on_end = [this, &relay](const ChildEnd& end) { on_relay_end(relay, end); }});
}

void ChurnRun::on_relay_end(RelayRecord& relay, const ChildEnd& end) {
  const bool clean = phase_ != Phase::running && end.signal == 0 && end.status == 0;
  if (!relay.killed && !clean)
    violation("crash", relay.name + " ended with " + describe(end) + relay.process->last_words());
  if (phase_ == Phase::running) {
    relay.back.once(schedule_.master_away_ms(), [this, &relay] {
      if (phase_ == Phase::running) spawn_relay(relay);
    });
    return;
  }
  if (phase_ == Phase::leaving) maybe_stop_masters();
}

/// Killed, or stopped for a while and perhaps killed then.
void ChurnRun::disturb_relay() {
  relay_timer_.once(schedule_.gap_ms(options_.relay_fault_every_ms), [this] { disturb_relay(); });
  RelayRecord& relay = *relays_[schedule_.index_below(relays_.size())];
  if (!relay.up() || relay.killed || relay.stopped) return;
  ++tally_.relay_faults;
  if (!schedule_.one_of(1, 4)) {
    relay.killed = true;
    relay.process->signal(SIGKILL);
    return;
  }
  relay.stopped = true;
  relay.process->signal(SIGSTOP);
  relay.back.once(schedule_.stopped_for_ms(), [this, &relay] { continue_relay(relay); });
}

void ChurnRun::continue_relay(RelayRecord& relay) {
  if (!relay.stopped || !relay.up()) return;
  relay.stopped = false;
  relay.back.stop();
  relay.process->signal(SIGCONT);
}

void ChurnRun::tell_relays_to_leave() {
  relay_timer_.stop();
  for (const auto& relay : relays_) {
    relay->back.stop();
    if (!relay->up()) continue;
    if (relay->stopped) relay->process->signal(SIGCONT);
    relay->stopped = false;
    relay->process->tell("leave");
  }
}

bool ChurnRun::relays_are_up() const {
  return std::any_of(relays_.begin(), relays_.end(), [](const auto& relay) { return relay->up(); });
}

}  // namespace hawser::churn
