#include "boundary.hpp"
#include "device/devices.hpp"
#include "hawser.h"

namespace capi = hawser::capi;

hawserResult_t hawserDeviceOf(const void* address, uint64_t bytes, int32_t* number) {
  return capi::guarded([&] {
    if (number == nullptr) return capi::report(capi::invalid_argument("the output is null"));
    const auto devices = hawser::device::devices();
    if (!devices.ok()) return capi::report(devices.error());
    const auto found = (*devices)->where(address, bytes);
    if (!found.ok()) return capi::report(found.error());
    *number = *found;
    return hawserSuccess;
  });
}
