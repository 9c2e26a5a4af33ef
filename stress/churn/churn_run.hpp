#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agreement_ledger.hpp"
#include "barrier_ledger.hpp"
#include "child_process.hpp"
#include "churn_schedule.hpp"
#include "loop_timer.hpp"
#include "master_record.hpp"
#include "options.hpp"
#include "recovery_clock.hpp"
#include "relay_record.hpp"
#include "scoreboard.hpp"
#include "state_ledger.hpp"
#include "tally.hpp"
#include "worker_record.hpp"

namespace hawser::churn {

/// The orchestrator of one churn run: a libuv loop over the masters' processes, the workers and some timers.
/// One thread. Where the members are is known only from the lines that they write.
///
/// Its parts by file: run_lifecycle (start, end, processes), run_masters, run_relays, run_faults (what is done to
/// workers), run_reports (what they say), run_watch (what they fail to do).
class ChurnRun {
 public:
  ChurnRun(const ChurnOptions& options, EmulatedHosts* hosts);
  ~ChurnRun();
  ChurnRun(const ChurnRun&) = delete;
  ChurnRun& operator=(const ChurnRun&) = delete;

  /// Runs to the end. Returns the process's exit status.
  int run();

 private:
  enum class Phase : std::uint8_t { starting, running, leaving, stopping_master, over };

  // run_lifecycle
  void begin();
  void spawn_worker();
  void top_up();
  void on_worker_end(WorkerRecord& worker, const ChildEnd& end);
  void on_signal(int number);
  void settle();
  void finish(const std::string& why);
  void ask_who_stays();
  void maybe_stop_masters();
  void end_loop();
  void kill_everything();
  void check_no_process_left();
  std::string take_disk(WorkerRecord& worker);
  void remove_scratch();
  void log_line(const std::string& who, std::string_view line);

  // run_faults
  void arm_faults();
  void kill_one();
  void kill_now();
  void kill_worker(WorkerRecord& worker);
  void wipe_out();
  void wipe_out_holders();
  void aim_at_sync();
  void make_secret();
  void stop_one();
  void break_devices_of_one();
  void continue_worker(WorkerRecord& worker);
  void swing();
  void reset_one();
  std::vector<Candidate> candidates() const;
  std::optional<Majority> majority() const;
  std::optional<std::uint32_t> choose_victim();
  std::optional<std::uint32_t> choose_leaver();

  // run_masters
  void make_masters();
  void spawn_master(MasterRecord& master);
  void on_master_line(MasterRecord& master, std::string_view text);
  void on_master_end(MasterRecord& master, const ChildEnd& end);
  void stop_masters();
  void kill_master(MasterRecord& master);
  void pause_master(MasterRecord& master);
  void continue_master(MasterRecord& master);
  void note_term(const RecoveryClock::Step& step);
  void ask_who_serves(std::uint64_t now);
  void on_master_stands(MasterRecord& master, const ReportLine& line);
  std::uint64_t master_kills_left() const;
  std::uint64_t master_faults_left() const;
  void disturb_serving_master();

  // run_relays
  void make_relays();
  void spawn_relay(RelayRecord& relay);
  void on_relay_end(RelayRecord& relay, const ChildEnd& end);
  void disturb_relay();
  void continue_relay(RelayRecord& relay);
  void tell_relays_to_leave();
  bool relays_are_up() const;

  // run_reports
  void on_worker_line(WorkerRecord& worker, const ReportLine& line);
  bool on_collective_line(WorkerRecord& worker, const ReportLine& line);
  bool on_state_line(WorkerRecord& worker, const ReportLine& line);
  void on_joined(WorkerRecord& worker, const ReportLine& line);
  void on_round(WorkerRecord& worker, const ReportLine& line);
  void on_error(WorkerRecord& worker, const ReportLine& line);
  void violation(const std::string& kind, const std::string& sentence);
  void refresh_tally();

  // run_watch
  void watch();
  void watch_machine(std::uint64_t now);
  void watch_everyone(std::uint64_t now);
  bool settled(const WorkerRecord& worker) const;
  void watch_settling(std::uint64_t now);
  void watch_worker(WorkerRecord& worker, std::uint64_t now);
  void judge_end();

  const ChurnOptions options_;
  EmulatedHosts* const hosts_;  ///< Null: the loopback.
  uv_loop_t loop_{};
  ChurnSchedule schedule_;
  AgreementLedger ledger_;
  BarrierLedger barriers_;
  StateLedger states_;
  RecoveryClock clock_;
  Tally tally_;
  Scoreboard scoreboard_;
  std::FILE* log_ = nullptr;

  Phase phase_ = Phase::starting;
  std::string end_reason_;
  std::uint64_t begin_ns_ = 0;
  std::uint64_t last_step_ns_ = 0;
  std::uint64_t watched_ns_ = 0;
  std::uint64_t everyone_asked_ns_ = 0;
  std::uint64_t settle_ns_ = 0;  ///< When the faults ended; 0 before.
  std::uint64_t settle_asked_ns_ = 0;
  std::vector<std::uint64_t> members_last_;  ///< Of the last step.
  std::uint64_t members_last_ns_ = 0;        ///< When it was committed.
  std::uint32_t target_ = 0;

  std::vector<std::unique_ptr<MasterRecord>> masters_;
  std::string master_addresses_;  ///< As workers are told.
  std::vector<std::unique_ptr<ChildProcess>> former_masters_;
  std::uint64_t master_killed_ns_ = 0;     ///< The last time.
  std::uint64_t master_continued_ns_ = 0;  ///< The one that served goes on, and no step was committed since; else 0.
  MasterRecord* serving_ = nullptr;        ///< Of several; null: it is not known.
  bool asks_who_serves_ = false;
  std::uint64_t masters_asked_ns_ = 0;
  std::uint64_t wiped_out_ns_ = 0;      ///< When nobody was left who had the state; 0: somebody has it.
  /// What waits for a synchronisation with a newcomer: a kill, or that of all who have the state.
  bool kill_aims_at_sync_ = false;
  bool wipe_out_aims_at_sync_ = false;
  std::filesystem::path scratch_;
  std::vector<std::unique_ptr<WorkerRecord>> workers_;
  std::vector<std::unique_ptr<RelayRecord>> relays_;

  std::array<uv_signal_t, 2> signals_{};
  LoopTimer kill_timer_, stop_timer_, device_fault_timer_, continue_timer_, swing_timer_, wipe_out_timer_, reset_timer_,
      relay_timer_, serving_timer_, watch_timer_, show_timer_, end_timer_;
  std::deque<std::pair<std::uint64_t, WorkerRecord*>> to_continue_;  // unordered, looked through by a tick
  std::vector<std::uint64_t> master_kill_times_ms_;                  // since the begin, latest first
  std::vector<std::uint64_t> wipe_out_times_ms_;                     // the same
  std::vector<std::uint64_t> master_pause_times_ms_;                 // the same
};

}  // namespace hawser::churn
