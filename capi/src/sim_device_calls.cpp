#include <chrono>
#include <map>
#include <memory>
#include <mutex>

#include "boundary.hpp"
#include "device/sim_devices.hpp"
#include "hawser_sim_device.h"

namespace capi = hawser::capi;
namespace device = hawser::device;

namespace {

hawser::Result<device::SimDevices*> simulated() {
  const auto found = device::devices();
  if (!found.ok()) return found.error();
  auto* const sim = dynamic_cast<device::SimDevices*>(*found);
  if (sim == nullptr)
    return hawser::Error{hawser::Status::invalid_usage,
                         "there is no simulated device in this process; start it with HAWSER_DEVICE=sim"};
  return sim;
}

/// What callers have allocated. Kept until the process ends.
struct Allocations {
  std::mutex mutex;
  std::map<void*, std::unique_ptr<device::Memory>> by_address;
};
Allocations& allocations() {
  static auto* const all = new Allocations;
  return *all;
}

/// Runs `body` with the simulated devices.
template <class Body>
hawserResult_t with_devices(const Body& body) {
  return capi::guarded([&] {
    const auto sim = simulated();
    return sim.ok() ? body(**sim) : capi::report(sim.error());
  });
}

hawserResult_t no_such_device(int32_t number, int count) {
  return capi::report(capi::invalid_argument("there is no device " + std::to_string(number) + "; there are " +
                                             std::to_string(count) + ", numbered from 0"));
}
hawserResult_t null_argument() { return capi::report(capi::invalid_argument("an argument is null")); }

}  // namespace

hawserResult_t hawserSimDeviceAllocate(int32_t number, uint64_t bytes, void** memory) {
  return with_devices([&](device::SimDevices& sim) {
    if (memory == nullptr) return null_argument();
    auto made = sim.allocate(number, bytes);
    if (!made.ok()) return capi::report(made.error());
    void* const at = (*made)->bytes();
    const std::lock_guard lock(allocations().mutex);
    allocations().by_address[at] = std::move(*made);
    *memory = at;
    return hawserSuccess;
  });
}

hawserResult_t hawserSimDeviceFree(void* memory) {
  return with_devices([&](device::SimDevices&) {
    if (memory == nullptr) return hawserSuccess;
    const std::lock_guard lock(allocations().mutex);
    if (allocations().by_address.erase(memory) == 0)
      return capi::report(capi::invalid_argument("this memory was not allocated by hawserSimDeviceAllocate"));
    return hawserSuccess;
  });
}

hawserResult_t hawserSimDeviceCopy(void* to, const void* from, uint64_t bytes) {
  return with_devices([&](device::SimDevices& sim) {
    if (to == nullptr || from == nullptr) return null_argument();
    for (const void* const side : {static_cast<const void*>(to), from})
      if (const auto on = sim.where(side, bytes); !on.ok()) return capi::report(on.error());
    sim.copy_now(to, from, bytes);
    return hawserSuccess;
  });
}

hawserResult_t hawserSimDeviceStream(int32_t number, void** stream) {
  return with_devices([&](device::SimDevices& sim) {
    if (stream == nullptr) return null_argument();
    if (number < 0 || number >= sim.count())
      return capi::report(capi::invalid_argument("there is no device " + std::to_string(number)));
    *stream = reinterpret_cast<void*>(sim.make_user_stream(number));
    return hawserSuccess;
  });
}

hawserResult_t hawserSimDeviceWrite(void* stream, void* to, const void* from, uint64_t bytes) {
  return with_devices([&](device::SimDevices& sim) {
    if (to == nullptr || from == nullptr) return null_argument();
    return capi::report(sim.upload_on(reinterpret_cast<std::uintptr_t>(stream), to, from, bytes));
  });
}

hawserResult_t hawserSimDeviceSynchronise(void* stream) {
  return with_devices([&](device::SimDevices& sim) {
    if (stream == nullptr) return null_argument();
    const auto end = sim.record_on_user_stream(reinterpret_cast<std::uintptr_t>(stream));
    if (!end.ok()) return capi::report(end.error());
    const auto ended = (*end)->wait(std::chrono::minutes(1));
    if (!ended.ok()) return capi::report(ended.error());
    if (!*ended) return capi::report(hawser::Error{hawser::Status::timeout, "the stream is busy after a minute"});
    return hawserSuccess;
  });
}

hawserResult_t hawserSimDeviceBreak(int32_t number) {
  return with_devices([&](device::SimDevices& sim) {
    if (number < 0 || number >= sim.count()) return no_such_device(number, sim.count());
    sim.break_device(number);
    return hawserSuccess;
  });
}

hawserResult_t hawserSimDeviceHang(int32_t number) {
  return with_devices([&](device::SimDevices& sim) {
    if (number < 0 || number >= sim.count()) return no_such_device(number, sim.count());
    sim.hang_device(number);
    return hawserSuccess;
  });
}

hawserResult_t hawserSimDeviceCount(hawserSimDeviceCounters_t* counters) {
  return with_devices([&](device::SimDevices& sim) {
    if (counters == nullptr) return null_argument();
    if (const auto read = capi::read_struct(*counters, "hawserSimDeviceCounters_t", capi::Rest::waits_for_answer);
        !read.ok())
      return capi::report(read.error());
    const auto now = sim.counters();
    hawserSimDeviceCounters_t ours = HAWSER_SIM_DEVICE_COUNTERS_INIT;
    ours.bytes_down = now.bytes_down;
    ours.bytes_up = now.bytes_up;
    ours.pinned_bytes_most = now.pinned_bytes_most;
    ours.launches = now.launches;
    capi::write_struct(ours, *counters);
    return hawserSuccess;
  });
}
