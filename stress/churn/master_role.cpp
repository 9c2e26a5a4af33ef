// The master process: the library's master, and nothing around it but a way to end it.

#include <cstdio>

#include "control_channel.hpp"
#include "hawser.h"
#include "options.hpp"
#include "reporter.hpp"

namespace hawser::churn {

int run_master(const MasterOptions& options) {
  Reporter reporter;
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  config.listen = options.listen.c_str();
  config.silence_ms = options.bounds.silence_ms;
  config.stall_ms = options.bounds.stall_ms;
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
