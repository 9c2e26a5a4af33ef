// The worker of the recovery measurement: does what it is told, line by line, and tells when it did it.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "comm_session.hpp"
#include "control_channel.hpp"
#include "options.hpp"
#include "reporter.hpp"
#include "sum_checks.hpp"

namespace hawser::churn {
namespace {

/// Commands from the control thread for the main thread.
class CommandQueue {
 public:
  void push(std::string_view line) {
    const std::scoped_lock lock(mutex_);
    lines_.emplace_back(line);
    arrived_.notify_one();
  }
  std::string pop() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !lines_.empty(); });
    std::string line = std::move(lines_.front());
    lines_.pop_front();
    return line;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::string> lines_;
};

class RecoveryWorker {
 public:
  RecoveryWorker(CommSession& session, Reporter& reporter, std::uint64_t elements)
      : session_(session), reporter_(reporter), send_(elements), receive_(elements) {}

  bool join();
  /// False: it is out of the run.
  bool update();
  void prepare(std::uint64_t key);
  bool reduce();

 private:
  bool tell_error(const Outcome& outcome, const char* phase);
  void verify(const hawserReduceInfo_t& info);

  CommSession& session_;
  Reporter& reporter_;
  std::vector<float> send_, receive_;
  SumCheck check_;
  std::uint64_t peer_id_ = 0;
};

bool RecoveryWorker::join() {
  hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
  Outcome outcome =
      session_.call(kMainSlot, "connect", [](hawserComm_t comm) { return hawserCommConnect(comm); });
  if (outcome.result == hawserSuccess) {
    outcome =
        session_.call(kMainSlot, "info", [&](hawserComm_t comm) { return hawserCommGetInfo(comm, &info); });
  }
  if (outcome.result != hawserSuccess) {
    tell_error(outcome, "connect");
    return false;
  }
  peer_id_ = info.peer_id;
  reporter_.say(LineBuilder("joined").add("peer", peer_id_).add("size", std::uint64_t{info.group_size}));
  return true;
}

// True: the call may be made again.
bool RecoveryWorker::tell_error(const Outcome& outcome, const char* phase) {
  const std::uint64_t at_ns = now_ns();
  const Next next = session_.judge(outcome, phase);
  if (next != Next::rejoin) return next == Next::retry || next == Next::new_round;
  reporter_.say(
      LineBuilder("told").add("kind", error_word(outcome.result)).add("t", at_ns).text(outcome.sentence));
  return false;
}

bool RecoveryWorker::update() {
  while (true) {
    const Outcome outcome =
        session_.call(kMainSlot, "update", [](hawserComm_t comm) { return hawserCommUpdateTopology(comm); });
    if (outcome.result == hawserSuccess) break;
    if (!tell_error(outcome, "update")) return false;
  }
  hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
  session_.call(kMainSlot, "info", [&](hawserComm_t comm) { return hawserCommGetInfo(comm, &info); });
  reporter_.say(LineBuilder("updated").add("size", std::uint64_t{info.group_size}));
  return true;
}

void RecoveryWorker::prepare(std::uint64_t key) {
  check_ = {.key = key, .count = send_.size()};
  fill_sum_input(check_, peer_id_, send_);
  reporter_.say(LineBuilder("ready").add("key", key));
}

bool RecoveryWorker::reduce() {
  std::vector<std::uint64_t> members(kMembersMax);
  hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
  info.contributors = members.data();
  info.contributor_capacity = kMembersMax;
  std::uint64_t attempts = 0;
  double first_error_ms = 0;
  reporter_.say(LineBuilder("begin").add("key", check_.key).add("t", now_ns()));
  while (true) {
    ++attempts;
    const Outcome outcome = session_.call(kMainSlot, "reduce", [&](hawserComm_t comm) {
      return hawserAllReduce(comm, send_.data(), receive_.data(), send_.size(), hawserFloat32, nullptr,
                             &info);
    });
    if (outcome.result == hawserSuccess) break;
    if (attempts == 1) first_error_ms = outcome.took_ms;
    if (!tell_error(outcome, "reduce")) return false;
  }
  reporter_.say(LineBuilder("done")
                    .add("key", check_.key)
                    .add("t", now_ns())
                    .add("attempts", attempts)
                    .add("first_error_ms", first_error_ms)
                    .add("size", std::uint64_t{info.world_size}));
  session_.recovered();
  verify(info);
  return true;
}

void RecoveryWorker::verify(const hawserReduceInfo_t& info) {
  const std::span<const std::uint64_t> members(info.contributors, std::min(info.world_size, kMembersMax));
  const std::string wrong = verify_sum(check_, members, receive_);
  if (!wrong.empty()) reporter_.violation("wrong_sum", wrong);
  fill_sum_input(check_, peer_id_, receive_);
  if (receive_ != send_) reporter_.violation("lost_input", "the input of the reduce changed");
  reporter_.say(LineBuilder("verified").add("key", check_.key));
}

}  // namespace

int run_recovery_worker(const WorkerOptions& options) {
  Reporter reporter;
  CommSession session(options, reporter);
  RecoveryWorker worker(session, reporter, options.elements);
  CommandQueue commands;
  const ControlChannel ears(
      [&](std::string_view line) {
        if (line == "where") return session.say_where();
        if (line == "leave") session.ask_to_leave();
        commands.push(line);
      },
      [&] { session.end_calls_that_outlast_the_leave(); });

  bool member = worker.join();
  for (std::string line = member ? commands.pop() : "join"; !session.leaving(); line = commands.pop()) {
    if (line == "join" || !member) {
      member = worker.join();
      continue;
    }
    const ReportLine command(line);
    if (command.word() == "update") member = worker.update();
    if (command.word() == "prepare") worker.prepare(command.number("key").value_or(0));
    if (command.word() == "reduce") member = worker.reduce();
    if (!member) member = worker.join();
  }
  session.destroy();
  return 0;
}

}  // namespace hawser::churn
