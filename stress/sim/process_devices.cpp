#include <algorithm>
#include <cstring>
#include <memory>

#include "sim/process.hpp"
#include "sim/world.hpp"

/// Devices of a process. Their memory is the host's here: that nobody else touches it is for other tests
/// (tests/collective, tests/runtime). What is played is when their works are done, and that they are not.
namespace hawser::sim {

/// Where the buffers of a call lie: in one of four they are the host's.
DeviceBuffers Process::device_buffers(const Call& call) {
  DeviceBuffers buffers;
  if (!world_.profile.application.devices) return buffers;
  const std::uint64_t where = world_.random.below(4);
  const bool in_place = call.buffers->in_place();
  if ((where & 1) != 0 || (in_place && where != 0)) buffers.send = 0;
  if ((where & 2) != 0 || (in_place && where != 0)) buffers.receive = 0;
  if (!buffers.any()) return buffers;
  world_.coverage.saw("sim: buffers on a device");
  if (in_place && reduces(call.signature.collective)) {
    const auto scratch = std::make_shared<std::vector<std::byte>>(call.buffers->result().size());
    buffers.scratch = scratch->data();
    buffers.scratch_owner = scratch;
  }
  buffers.copy_now = [](const CopyBytes& copy) { std::memcpy(copy.to, copy.from, copy.bytes); };
  buffers.computes = call.signature.quantization && buffers.send == buffers.receive && world_.random.chance(3, 4);
  if (buffers.computes) world_.coverage.saw("sim: works on a device");
  return buffers;
}

bool Process::device_is_at_work() const {
  return std::any_of(works_.begin(), works_.end(), [](const auto& one) { return one.second.device != kOnHost; });
}

void Process::device_fails(Ending ending) {
  if (world_.tracing()) world_.trace(name_ + " ends, since a device of its fails");
  const auto found =
      std::find_if(works_.begin(), works_.end(), [](const auto& one) { return one.second.device != kOnHost; });
  HAWSER_ASSERT(found != works_.end());
  Work part = found->second;
  part.steps.resize(static_cast<std::size_t>(world_.random.below(part.steps.size() + 1)));
  static_cast<void>(hawser::run(part, desk_));
  end(ending);
}

}  // namespace hawser::sim
