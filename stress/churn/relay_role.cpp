// The relay process: it waits until members admit it, adds for them, and comes again when it is out.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <hawser/hawser.hpp>
#include <thread>

#include "control_channel.hpp"
#include "options.hpp"
#include "reporter.hpp"

namespace hawser::churn {
namespace {

constexpr std::chrono::milliseconds kPause{200};

/// Until the run is over for it, or it was told to leave.
void add_for_members(hawser::Communicator& comm, Reporter& reporter) {
  for (;;) {
    const auto info = comm.info();
    if (!info) return;
    reporter.say(LineBuilder("adds").add("epoch", info->epoch).add("members", std::uint64_t{info->group_size}));
    if (!comm.wait({.epoch = info->epoch, .timeout_ms = UINT32_MAX})) return;
  }
}

}  // namespace

int run_relay(const RelayOptions& options) {
  Reporter reporter;
  auto comm = hawser::Communicator::create({.master = options.master,
                                            .name = options.name,
                                            .listen_address = options.address,
                                            .silence_ms = options.bounds.silence_ms,
                                            .stall_ms = options.bounds.stall_ms,
                                            .relay = true});
  if (!comm) {
    std::fprintf(stderr, "hawser-churn relay: %s\n", comm.error().sentence.c_str());
    return 1;
  }
  std::atomic<bool> leaves = false;
  const ControlChannel ears(
      [&](std::string_view line) {
        if (line != "leave") return;
        leaves = true;
        (void)hawserCommClose(comm->handle());
      },
      nullptr);
  while (!leaves) {
    if (comm->connect()) add_for_members(*comm, reporter);
    if (!leaves) std::this_thread::sleep_for(kPause);
  }
  return 0;
}

}  // namespace hawser::churn
