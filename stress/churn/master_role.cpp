// The master process: the library's master, and nothing around it but a way to end it.

#include <cstdio>

#include "control_channel.hpp"
#include "hawser.h"
#include "hawser_status.h"
#include "options.hpp"
#include "reporter.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint32_t kAnswerMs = 1'000;

/// Whether it serves the run, of several masters: it asks itself, as anybody would.
void say_how_it_stands(Reporter& reporter, const char* address) {
  hawserStatus_t status = nullptr;
  hawserStatusInfo_t info = HAWSER_STATUS_INFO_INIT;
  LineBuilder line("stands");
  if (hawserStatusQuery(address, kAnswerMs, &status) == hawserSuccess &&
      hawserStatusGetInfo(status, &info) == hawserSuccess)
    line.add("serves", std::uint64_t{info.standby == 0 ? 1u : 0u}).add("term", info.term).text(info.waits);
  else
    line.text(hawserGetLastError());
  reporter.say(line);
  hawserStatusDestroy(status);
}

}  // namespace

int run_master(const MasterOptions& options) {
  Reporter reporter;
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  config.listen = options.listen.c_str();
  config.silence_ms = options.bounds.silence_ms;
  config.stall_ms = options.bounds.stall_ms;
  config.masters = options.masters.empty() ? nullptr : options.masters.c_str();
  config.standby = options.standby ? 1 : 0;
  config.lease = options.lease.empty() ? nullptr : options.lease.c_str();
  hawserMaster_t master = nullptr;
  if (hawserMasterCreate(&config, &master) != hawserSuccess) {
    std::fprintf(stderr, "hawser-churn master: %s\n", hawserGetLastError());
    return 1;
  }
  char address[HAWSER_ADDRESS_BYTES] = "";
  if (hawserMasterGetAddress(master, address, sizeof address) != hawserSuccess) {
    std::fprintf(stderr, "hawser-churn master: %s\n", hawserGetLastError());
    return 1;
  }
  hawserResult_t result = hawserSuccess;
  {
    const ControlChannel ears(
        [&](std::string_view line) {
          if (line == "leave") hawserMasterStop(master);
          if (line == "stands") say_how_it_stands(reporter, address);
        },
        nullptr);
    reporter.say(LineBuilder("listening").add("address", address));
    result = hawserMasterRun(master);
    if (result != hawserSuccess) std::fprintf(stderr, "hawser-churn master: %s\n", hawserGetLastError());
  }
  hawserMasterDestroy(master);
  return result == hawserSuccess ? 0 : 1;
}

}  // namespace hawser::churn
