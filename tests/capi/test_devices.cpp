/// Devices through the C face, in a process that has none: tests of the runtime have the simulated ones.
#include <hawser.h>
#include <hawser_sim_device.h>

#include <string>

#include "catch.hpp"

TEST_CASE("without a device all memory is the host's") {
  const int here = 0;
  int32_t device = 7;
  CHECK(hawserDeviceOf(&here, sizeof here, &device) == hawserSuccess);
  CHECK(device == -1);
  device = 7;
  CHECK(hawserDeviceOf(nullptr, 0, &device) == hawserSuccess);
  CHECK(device == -1);
  CHECK(hawserDeviceOf(&here, sizeof here, nullptr) == hawserErrorInvalidArgument);
}

TEST_CASE("functions of the simulated device say how to get one") {
  void* out = nullptr;
  int here = 0;
  hawserSimDeviceCounters_t counters = HAWSER_SIM_DEVICE_COUNTERS_INIT;
  for (const hawserResult_t result :
       {hawserSimDeviceAllocate(0, 10, &out), hawserSimDeviceFree(&here), hawserSimDeviceCopy(&here, &here, 4),
        hawserSimDeviceStream(0, &out), hawserSimDeviceWrite(nullptr, &here, &here, 4),
        hawserSimDeviceSynchronise(&here), hawserSimDeviceCount(&counters)}) {
    CHECK(result == hawserErrorInvalidUsage);
    CHECK(std::string(hawserGetLastError()).find("HAWSER_DEVICE=sim") != std::string::npos);
  }
  CHECK(out == nullptr);
}
