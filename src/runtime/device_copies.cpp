#include "runtime/device_copies.hpp"

#include <algorithm>
#include <cstring>
#include <future>
#include <string>
#include <utility>
#include <variant>

#include "device/keep_for_ever.hpp"
#include "device/patient_stream.hpp"

namespace hawser {
namespace {

/// While a caller's stream is waited for, the end of the communicator is looked for so often.
constexpr std::chrono::milliseconds kLookForEnd{50};

using Steps = std::vector<device::WorkQueue::Step>;

bool is_in_place(const CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes) {
  return call.send < call.receive + receive_bytes && call.receive < call.send + send_bytes;
}

}  // namespace

DeviceCopies::DeviceCopies(device::Devices& devices, Duration patience)
    : devices_(devices),
      patience_(std::chrono::ceil<std::chrono::milliseconds>(patience)),
      pool_(device::MemoryPool::pinned(devices, kPinnedBytesMost)) {}

Result<device::StreamWaits::Events> DeviceCopies::prepare(CollectiveCall& call, std::size_t send_bytes,
                                                          std::size_t receive_bytes, std::uintptr_t stream) {
  device::StreamWaits::Events first;
  if (devices_.count() == 0) return first;
  DeviceBuffers& buffers = call.device;
  if (send_bytes > 0 && call.send != nullptr) {
    const auto on = devices_.where(call.send, send_bytes);
    if (!on.ok()) return Error{on.status(), "the send buffer: " + on.error().sentence};
    buffers.send = *on;
  }
  if (receive_bytes > 0 && call.receive != nullptr) {
    const auto on = devices_.where(call.receive, receive_bytes);
    if (!on.ok()) return Error{on.status(), "the receive buffer: " + on.error().sentence};
    buffers.receive = *on;
  }
  if (!buffers.any()) return first;
  const auto comes_first = [&](int device, std::uintptr_t on) -> Result<void> {
    auto recorded = devices_.record_on(device, on);
    if (!recorded.ok()) return recorded.error();
    first.push_back(std::move(*recorded));
    return {};
  };
  if (buffers.send != kOnHost)
    if (const auto made = comes_first(buffers.send, stream); !made.ok()) return made.error();
  if (buffers.receive != kOnHost && buffers.receive != buffers.send)
    if (const auto made = comes_first(buffers.receive, buffers.send == kOnHost ? stream : 0); !made.ok())
      return made.error();
  if (buffers.receive != kOnHost && is_in_place(call, send_bytes, receive_bytes) &&
      reduces(call.signature.collective)) {
    auto scratch = devices_.allocate(buffers.receive, receive_bytes);
    if (!scratch.ok())
      return Error{Status::system,
                   scratch.error().sentence +
                       "; they keep the input of an in-place collective safe: reduce out of place, or a "
                       "part at a time"};
    buffers.scratch = (*scratch)->bytes();
    // To free a device's memory may wait for the device: that is for the queue's thread.
    buffers.scratch_owner = std::shared_ptr<device::Memory>(
        scratch->release(), [self = shared_from_this(), on = buffers.receive](device::Memory* memory) noexcept {
          self->free_later(on, std::unique_ptr<device::Memory>(memory));
        });
  }
  buffers.pool = pool_;
  buffers.copy_now = [self = shared_from_this(), device = buffers.receive](const CopyBytes& copy) {
    self->copy_now(device, copy);
  };
  if (buffers.send == buffers.receive && call.signature.quantization && reduces(call.signature.collective) &&
      runs_works(devices_)) {
    buffers.computes = true;
    buffers.device_pool = memory_on(buffers.receive);
  }
  if (const auto ready = make_ready(call, send_bytes, receive_bytes); !ready.ok()) return ready.error();
  return first;
}

/// What the driver may take long for is done in the caller's thread: those of the network wait for nothing.
Result<void> DeviceCopies::make_ready(const CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes) {
  const DeviceBuffers& buffers = call.device;
  // Of quantised chunks only what travels is on the host; room for sums is as much as the values at most.
  pool_->reserve(std::min(kCallBytes, send_bytes + receive_bytes));
  if (buffers.computes && call.signature.type != working_type(call.signature.type))
    memory_on(buffers.receive)->reserve(std::min(kCallBytes, 2 * receive_bytes));
  const std::lock_guard lock(mutex_);
  if (is_over_) return Error{Status::closed, "the communicator is closed"};
  const auto start = [&](int device, Kind kind) -> Result<void> {
    if (device == kOnHost) return {};
    const auto started = queue(device, kind);
    return started.ok() ? Result<void>() : Result<void>(started.error());
  };
  if (buffers.computes) return start(buffers.receive, Kind::compute);
  if (const auto down = start(buffers.send, Kind::down); !down.ok()) return down;
  return start(buffers.receive, Kind::up);
}

Result<void> DeviceCopies::wait_for(device::StreamWaits::Events events, device::StreamWaits::Done done) {
  const std::lock_guard lock(mutex_);
  if (is_over_) return Error{Status::closed, "the communicator is closed"};
  return stream_waits_->put(std::move(events), std::move(done));
}

void DeviceCopies::free_later(int device, std::unique_ptr<device::Memory> memory) noexcept try {
  const std::shared_ptr<device::Memory> shared(std::move(memory));
  // To free memory of a device that has failed may wait for ever. It is lost with the device.
  if (has_failed_) {
    device::keep_for_ever(shared);
    return;
  }
  const std::lock_guard lock(mutex_);
  if (is_over_) return;
  if (const auto up = queue(device, Kind::up); up.ok())
    (*up)->works->put({.steps = {}, .done = [shared](const Result<void>& outcome) {
                         if (!outcome.ok()) device::keep_for_ever(shared);
                       }});
} catch (...) {
  // Without memory for the job it is freed here.
}

/// With the mutex.
Result<DeviceCopies::Queue*> DeviceCopies::queue(int device, Kind kind) {
  Queue& found = queues_[{device, kind}];
  if (!found.works) {
    auto started = device::WorkQueue::start(devices_, device, patience_);
    if (!started.ok()) return started.error();
    found.works = std::move(*started);
    found.desk = std::make_shared<DeviceDesk>(devices_, device);
  }
  return &found;
}

/// What is more than copies has a stream of its own, in which it follows its copies.
DeviceCopies::Kind DeviceCopies::kind_of(const Work& work) const {
  Kind kind = Kind::up;
  for (const WorkStep& step : work.steps) {
    const auto* const copy = std::get_if<CopyBytes>(&step);
    if (copy == nullptr) return Kind::compute;
    const auto to = devices_.where(copy->to, copy->bytes);
    if (to.ok() && *to == kOnHost) kind = Kind::down;
  }
  return kind;
}

std::shared_ptr<device::MemoryPool> DeviceCopies::memory_on(int device) {
  const std::lock_guard lock(mutex_);
  auto& pool = memory_[device];
  if (!pool) pool = device::MemoryPool::on_device(devices_, device, kDeviceBytesKept);
  return pool;
}

Result<void> DeviceCopies::place(Residual& residual, const CollectiveCall& call) {
  const int wanted = call.device.computes ? call.device.receive : kOnHost;
  if (residual.device() == wanted) return {};
  if (wanted == kOnHost) return residual.move_to_host();
  auto memory = devices_.allocate(wanted, residual.bytes());
  if (!memory.ok()) return Error{Status::system, memory.error().sentence + "; it is for a residual"};
  std::byte* const at = (*memory)->bytes();
  return residual.move_to({.device = wanted,
                           .memory = at,
                           .owner = std::shared_ptr<const device::Memory>(std::move(*memory)),
                           .copy = copying(wanted)});
}

Result<void> DeviceCopies::put(const Work& work, std::function<void(const Result<void>&)> done) {
  std::vector<std::uint8_t*> marks;
  for (const WorkStep& step : work.steps)
    if (const auto* const copy = std::get_if<CopyBytes>(&step); copy != nullptr && copy->done != nullptr)
      marks.push_back(copy->done);
  const Kind kind = kind_of(work);
  const std::lock_guard lock(mutex_);
  if (is_over_) return Error{Status::closed, "the communicator is closed"};
  const auto found = queue(work.device, kind);
  if (!found.ok()) return found.error();
  // Of the desk: what the steps need until they are done.
  const auto memory = std::make_shared<std::vector<std::shared_ptr<const device::Memory>>>();
  (*found)->works->put({.steps = {},
                        .steps_of = [work, desk = (*found)->desk, memory]() -> Result<Steps> {
                          auto made = on_device(work, *desk);
                          if (!made.ok()) return made.error();
                          *memory = std::move(made->memory);
                          return std::move(made->steps);
                        },
                        .done = [this, memory, marks = std::move(marks),
                                 done = std::move(done)](const Result<void>& outcome) {
                          if (outcome.ok()) {
                            for (std::uint8_t* const mark : marks) *mark = 1;
                          } else {
                            has_failed_ = true;
                            device::keep_for_ever(memory);
                          }
                          done(outcome);
                        }});
  return {};
}

int DeviceCopies::device_of(const std::vector<StreamCopy>& copies) const {
  std::optional<int> found;
  for (const StreamCopy& one : copies)
    for (const std::byte* const side : {one.bytes.from, static_cast<const std::byte*>(one.bytes.to)}) {
      const auto on = devices_.where(side, one.bytes.bytes);
      if (!on.ok() || found.value_or(*on) != *on) return kOnHost;
      found = *on;
    }
  return found.value_or(kOnHost);
}

PooledBuffer DeviceCopies::take(int device, std::size_t bytes) {
  const std::shared_ptr<BufferPool> pool = device == kOnHost ? nullptr : memory_on(device);
  return PooledBuffer(pool ? pool->take(bytes) : new std::byte[bytes], BufferFree{.pool = pool, .bytes = bytes});
}

Result<void> DeviceCopies::copy(const std::vector<StreamCopy>& copies) {
  std::map<int, Work> works;
  std::map<std::pair<int, std::uintptr_t>, std::shared_ptr<device::Event>> first;
  const bool all_on_host = devices_.count() == 0;
  for (const auto& [one, stream] : copies) {
    if (all_on_host) {
      std::memcpy(one.to, one.from, one.bytes);
      continue;
    }
    const auto from = devices_.where(one.from, one.bytes);
    if (!from.ok()) return from.error();
    const auto to = devices_.where(one.to, one.bytes);
    if (!to.ok()) return to.error();
    const int device = std::max(*from, *to);
    if (device == kOnHost) {
      std::memcpy(one.to, one.from, one.bytes);
      continue;
    }
    auto& event = first[{device, stream}];
    if (!event) {
      auto recorded = devices_.record_on(device, stream);
      if (!recorded.ok()) return recorded.error();
      event = std::move(*recorded);
    }
    Work& work = works[device];
    work.device = device;
    work.steps.emplace_back(one);
  }
  // The caller's streams take what they take.
  for (const auto& [where, event] : first)
    for (bool has_come = false; !has_come;) {
      const auto come = event->wait(kLookForEnd);
      if (!come.ok()) return come.error();
      const std::lock_guard lock(mutex_);
      if (is_over_) return Error{Status::closed, "the communicator is closed"};
      has_come = *come;
    }
  std::vector<std::future<Result<void>>> ends;
  Result<void> outcome;
  for (auto& [device, work] : works) {
    auto end = std::make_shared<std::promise<Result<void>>>();
    ends.push_back(end->get_future());
    const auto begun = put(work, [end](const Result<void>& ended) { end->set_value(ended); });
    if (!begun.ok()) end->set_value(begun);
  }
  for (std::future<Result<void>>& end : ends) {
    const auto ended = end.get();
    if (!ended.ok() && outcome.ok()) outcome = ended;
  }
  return outcome;
}

void DeviceCopies::finish() noexcept {
  std::map<std::pair<int, Kind>, Queue> ending;
  std::unique_ptr<device::StreamWaits> waits;
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    ending.swap(queues_);
    waits.swap(stream_waits_);
  }
  waits.reset();
  bool hangs = false;
  for (auto& [which, queue] : ending) {
    if (!queue.works || !queue.works->finish()) continue;
    hangs = true;
    // Its memory is that of steps which a hanging device may still do.
    device::keep_for_ever(queue.desk);
  }
  if (!hangs) return;
  device::keep_for_ever(pool_);
  for (const auto& [device, pool] : memory_) device::keep_for_ever(pool);
}

/// Copies here and now, on a stream of its own. It needs no communicator.
std::function<Result<void>(const CopyBytes&)> DeviceCopies::copying(int device) const {
  return [&devices = devices_, device, patience = patience_](const CopyBytes& copy) -> Result<void> {
    const auto stream = device::PatientStream::make(devices, device, patience);
    if (!stream.ok()) return stream.error();
    if (const auto begun = (*stream)->copy(copy.to, copy.from, copy.bytes); !begun.ok()) return begun.error();
    const auto end = (*stream)->record();
    if (!end.ok()) return end.error();
    return (*stream)->wait(**end);
  };
}

/// Of a device that has failed nothing can be put back: its memory is lost with it, and nobody waits for it again.
void DeviceCopies::copy_now(int device, const CopyBytes& copy) noexcept {
  if (!has_failed_) has_failed_ = !copying(device)(copy).ok();
}

}  // namespace hawser
