// The worker: joins, does rounds, joins again when the master has removed it, leaves when told to.

#include <hawser_sim_device.h>

#include <cstdio>
#include <sstream>

#include "comm_session.hpp"
#include "control_channel.hpp"
#include "options.hpp"
#include "reporter.hpp"
#include "reset_connections.hpp"
#include "worker_round.hpp"

namespace hawser::churn {
namespace {

// Connects, and again for as long as that fails. False: told to leave meanwhile.
bool join(CommSession& session, Reporter& reporter, WorkerRounds& rounds) {
  rounds.prepare_to_join();
  while (!session.leaving()) {
    Outcome outcome = rounds.connect();
    hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
    if (outcome.result == hawserSuccess) {
      outcome =
          session.call(kMainSlot, "info", [&](hawserComm_t comm) { return hawserCommGetInfo(comm, &info); });
    }
    if (outcome.result != hawserSuccess) {
      if (session.judge(outcome, "connect") == Next::leave) return false;
      session.rest_ms(100);
      continue;
    }
    reporter.say(LineBuilder("joined")
                     .add("peer", info.peer_id)
                     .add("epoch", info.epoch)
                     .add("size", std::uint64_t{info.group_size})
                     .add("t", now_ns()));
    session.recovered();
    rounds.joined_as(info.peer_id);
    return true;
  }
  return false;
}

/// `masters`: one, or several with commas between them.
std::uint64_t reset_connections_to_all(const std::string& masters) {
  std::uint64_t count = 0;
  std::istringstream list(masters);
  for (std::string master; std::getline(list, master, ',');) count += reset_connections_to(master);
  return count;
}

}  // namespace

int run_worker(const WorkerOptions& options) {
  Reporter reporter;
  CommSession session(options, reporter);
  WorkerRounds rounds(session, reporter, options);
  const ControlChannel ears(
      [&](std::string_view line) {
        if (line == "leave") session.ask_to_leave();
        if (line == "where") session.say_where();
        if (line == "devices-fail") session.break_devices(hawserSimDeviceBreak);
        if (line == "devices-hang") session.break_devices(hawserSimDeviceHang);
        if (line == "reset")
          reporter.say(LineBuilder("control_reset").add("count", reset_connections_to_all(options.master)));
      },
      [&] { session.end_calls_that_outlast_the_leave(); });

  Next next = Next::rejoin;
  while (!session.leaving() && next != Next::leave) {
    const bool newcomer = next == Next::rejoin;
    if (newcomer && !join(session, reporter, rounds)) break;
    next = rounds.run(newcomer);
    if (next == Next::rejoin) reporter.say(LineBuilder("reset").add("t", now_ns()));
  }
  session.destroy();
  return 0;
}

}  // namespace hawser::churn
