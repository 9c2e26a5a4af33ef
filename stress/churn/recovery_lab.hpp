#pragma once

#include <uv.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "child_process.hpp"
#include "loop_timer.hpp"
#include "options.hpp"
#include "report_line.hpp"
#include "tally.hpp"

namespace hawser::churn {

/// One worker of the measurement, as its lines tell.
struct LabWorker {
  std::string name;
  std::unique_ptr<ChildProcess> process;
  bool member = false;
  bool gone_wanted = false;  ///< Killed, or told to leave.
  std::uint64_t ready_key = 0, begin_key = 0, done_key = 0, verified_key = 0;
  std::uint64_t begin_ns = 0, done_ns = 0;
  std::uint64_t attempts = 0;
  double first_error_ms = 0;
  std::uint64_t size = 0;     ///< Contributors of the last reduce.
  std::uint64_t updates = 0;  ///< Update-topology calls that returned.
  std::string last_error_kind, last_error_text;
  std::string told_kind, told_text;  ///< What put it out of the run.
  std::uint64_t told_ns = 0;
};

/// Processes for the measurement, and a way to write it as a sequence: tell, then turn the loop until
/// something holds.
class RecoveryLab {
 public:
  explicit RecoveryLab(const RecoveryOptions& options);
  ~RecoveryLab();
  RecoveryLab(const RecoveryLab&) = delete;
  RecoveryLab& operator=(const RecoveryLab&) = delete;

  /// Master and workers up, all admitted. False: a violation says why.
  bool start();
  /// The members.
  std::vector<LabWorker*> members();
  /// All members prepare a reduce and call it. Returns its key once all have begun, or nothing on a hang.
  std::optional<std::uint64_t> begin_reduce();
  /// Until the worker has the result (whatever it had to retry) and has checked it.
  bool finish_reduce(const std::vector<LabWorker*>& who, std::uint64_t key);
  /// Brings the number of members back to the wanted one by new processes.
  bool refill();
  /// Turns the loop until it holds. False after the hang bound, with a violation that names what was waited
  /// for.
  bool wait_for(const std::string& what, const std::function<bool()>& holds);
  void rest_ms(std::uint64_t ms);
  /// Everybody leaves, everything is reaped.
  void end();

  Violations& violations() { return violations_; }

 private:
  LabWorker& spawn_worker();
  void on_worker_line(LabWorker& worker, const ReportLine& line);
  void on_worker_end(LabWorker& worker, const ChildEnd& end);
  bool turn_until(std::uint64_t bound_ms, const std::function<bool()>& holds);
  void log_line(const std::string& who, std::string_view line);

  const RecoveryOptions options_;
  uv_loop_t loop_{};
  LoopTimer bound_;
  std::unique_ptr<ChildProcess> master_;
  std::string master_address_;
  bool ending_ = false;
  std::vector<std::unique_ptr<LabWorker>> workers_;
  std::uint64_t key_ = 0;
  Violations violations_;
  std::FILE* log_ = nullptr;
};

}  // namespace hawser::churn
