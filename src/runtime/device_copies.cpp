#include "runtime/device_copies.hpp"

#include <algorithm>
#include <cstring>
#include <future>
#include <new>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.hpp"
#include "device_kernels/kernels.hpp"

namespace hawser {
namespace {

/// While a caller's stream is waited for, the end of the communicator is looked for so often.
constexpr std::chrono::milliseconds kLookForEnd{50};

using Steps = std::vector<device::WorkQueue::Step>;

bool is_in_place(const CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes) {
  return call.send < call.receive + receive_bytes && call.receive < call.send + send_bytes;
}

/// Memory of a device in equal parts, for the sums of one call: its buffers are all of one size. It lasts as
/// long as the call; they may be given back later.
class SumsPool final : public BufferPool {
 public:
  SumsPool(std::byte* at, std::size_t bytes) : next_(at), end_(at + bytes) {}

  std::byte* take(std::size_t bytes) override {
    const std::lock_guard lock(mutex_);
    if (part_ == 0) part_ = (bytes + kAlignment - 1) & ~(kAlignment - 1);
    HAWSER_ASSERT(bytes <= part_);
    if (!free_.empty()) {
      std::byte* const at = free_.back();
      free_.pop_back();
      return at;
    }
    // No thread of the network asks the driver.
    if (static_cast<std::size_t>(end_ - next_) < part_) throw std::bad_alloc();
    free_.reserve(++parts_);
    return std::exchange(next_, next_ + part_);
  }
  void give(std::byte* buffer, std::size_t) noexcept override {
    const std::lock_guard lock(mutex_);
    free_.push_back(buffer);
  }

 private:
  static constexpr std::size_t kAlignment = 256;

  std::mutex mutex_;
  std::byte* next_;
  std::byte* end_;
  std::size_t part_ = 0;          ///< Bytes; known at the first.
  std::size_t parts_ = 0;         ///< That have been made.
  std::vector<std::byte*> free_;  ///< Has room for all of them.
};

/// One buffer.
class OneBuffer final : public BufferPool {
 public:
  explicit OneBuffer(std::shared_ptr<std::byte> memory) : memory_(std::move(memory)) {}
  std::byte* take(std::size_t) override { return memory_.get(); }
  void give(std::byte*, std::size_t) noexcept override { memory_.reset(); }

 private:
  std::shared_ptr<std::byte> memory_;
};

}  // namespace

/// One call under way.
struct DeviceCopies::Hold {
  std::shared_ptr<DeviceCopies> owner;
  std::vector<std::shared_ptr<const void>> memory;
  explicit Hold(std::shared_ptr<DeviceCopies> of) : owner(std::move(of)) { ++owner->under_way_; }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() {
    // First: whoever finds no call under way finds its memory free.
    memory.clear();
    --owner->under_way_;
  }
};

DeviceCopies::DeviceCopies(device::Devices& devices, Duration patience)
    : devices_(devices),
      patience_(std::chrono::ceil<std::chrono::milliseconds>(patience)),
      pool_(device::MemoryPool::pinned(devices, kPinnedBytesMost)) {}

DeviceCopies::~DeviceCopies() { finish(); }

std::shared_ptr<DeviceCopies::Hold> DeviceCopies::begin_call() {
  const std::lock_guard lock(idle_mutex_);
  return std::make_shared<Hold>(shared_from_this());
}

void DeviceCopies::trim() noexcept {
  const std::lock_guard idle_lock(idle_mutex_);
  if (under_way_ > 0) return;
  std::vector<std::shared_ptr<device::KeptMemory>> all;
  try {
    const std::lock_guard lock(mutex_);
    for (const auto& [device, memory] : memory_) all.push_back(memory);
  } catch (...) {
    // Without memory for the list the next caller does it.
  }
  for (const auto& memory : all) memory->trim(kDeviceBytesKept);
}

Result<DeviceCopies::Places> DeviceCopies::find(const CollectiveCall& call, std::size_t send_bytes,
                                                std::size_t receive_bytes) const {
  Places places;
  if (devices_.count() == 0) return places;
  if (send_bytes > 0 && call.send != nullptr) {
    const auto on = devices_.where(call.send, send_bytes);
    if (!on.ok()) return Error{on.status(), "the send buffer: " + on.error().sentence};
    places.send = *on;
  }
  if (receive_bytes > 0 && call.receive != nullptr) {
    const auto on = devices_.where(call.receive, receive_bytes);
    if (!on.ok()) return Error{on.status(), "the receive buffer: " + on.error().sentence};
    places.receive = *on;
  }
  return places;
}

Result<device::StreamWaits::Events> DeviceCopies::streams_now(const Places& places,
                                                              std::uintptr_t stream) const {
  device::StreamWaits::Events now;
  const auto add = [&](int device, std::uintptr_t on) -> Result<void> {
    auto recorded = devices_.record_on(device, on);
    if (!recorded.ok()) return recorded.error();
    now.push_back(std::move(*recorded));
    return {};
  };
  if (places.send != kOnHost)
    if (const auto made = add(places.send, stream); !made.ok()) return made.error();
  if (places.receive != kOnHost && places.receive != places.send)
    if (const auto made = add(places.receive, places.stream_of_receive(stream)); !made.ok())
      return made.error();
  return now;
}

Result<DeviceCopies::Prepared> DeviceCopies::prepare(CollectiveCall& call, std::size_t send_bytes,
                                                     std::size_t receive_bytes, std::uintptr_t stream) {
  Prepared prepared;
  DeviceBuffers& buffers = call.device;
  const auto places = find(call, send_bytes, receive_bytes);
  if (!places.ok()) return places.error();
  buffers.send = places->send;
  buffers.receive = places->receive;
  if (!buffers.any()) return prepared;
  auto first = streams_now(*places, stream);
  if (!first.ok()) return first.error();
  prepared.first = std::move(*first);
  const auto hold = begin_call();
  prepared.hold = hold;
  if (buffers.receive != kOnHost && is_in_place(call, send_bytes, receive_bytes) &&
      reduces(call.signature.collective)) {
    auto scratch = take_memory(buffers.receive, receive_bytes);
    if (!scratch.ok())
      return Error{Status::system,
                   scratch.error().sentence +
                       "; they keep the input of an in-place collective safe: reduce out of place, or a "
                       "part at a time"};
    buffers.scratch = scratch->get();
    hold->memory.push_back(std::move(*scratch));
  }
  buffers.pool = pool_;
  buffers.copy_now = [self = shared_from_this(), device = buffers.receive](const CopyBytes& copy) {
    self->copy_now(device, copy);
  };
  buffers.computes = buffers.send == buffers.receive && call.signature.quantization &&
                     reduces(call.signature.collective) && runs_works(devices_);
  if (const auto ready = make_ready(call, send_bytes, receive_bytes, *hold); !ready.ok())
    return ready.error();
  return prepared;
}

/// What the driver may take long for, or wait for streams in, is done in the caller's thread: those of the
/// network and of the queues wait for nothing.
Result<void> DeviceCopies::make_ready(CollectiveCall& call, std::size_t send_bytes, std::size_t receive_bytes,
                                      Hold& hold) {
  DeviceBuffers& buffers = call.device;
  for (const int device : {buffers.send, buffers.receive})
    if (device != kOnHost) load_kernels(device);
  // Of quantised chunks only what travels is on the host; room for sums is as much as the values at most.
  hold.memory.push_back(pool_->reserve(std::min(kCallBytes, send_bytes + receive_bytes)));
  const auto start = [&](int device, Kind kind) -> Result<void> {
    if (device == kOnHost) return {};
    const auto started = queue(device, kind);
    return started.ok() ? Result<void>() : Result<void>(started.error());
  };
  if (buffers.scratch != nullptr)
    if (const auto made = make_undo_stream(buffers.receive); !made.ok()) return made;
  if (!buffers.computes) {
    if (const auto down = start(buffers.send, Kind::down); !down.ok()) return down;
    return start(buffers.receive, Kind::up);
  }
  // Inputs are put back by copies.
  if (buffers.scratch != nullptr)
    if (const auto up = start(buffers.receive, Kind::up); !up.ok()) return up;
  const auto compute = queue(buffers.receive, Kind::compute);
  if (!compute.ok()) return compute.error();
  if (const auto made = compute->desk->make_ready(DeviceDesk::needs(call.signature), may_trim()); !made.ok())
    return made;
  std::byte* sums = nullptr;
  std::size_t sums_bytes = 0;
  const DataType type = call.signature.type;
  if (type != working_type(type) || call.signature.collective == Collective::reduce_scatter) {
    // Twice: a part is as large as a whole chunk, or as what travels of it.
    const std::size_t widened =
        std::max(send_bytes, receive_bytes) / element_bytes(type) * element_bytes(working_type(type));
    sums_bytes = std::min(kSumsBytes, 2 * widened + kSumsBytes / 32);
    auto taken = take_memory(buffers.receive, sums_bytes);
    if (!taken.ok())
      return Error{Status::system, taken.error().sentence + "; they are for the sums of a quantised call"};
    sums = taken->get();
    hold.memory.push_back(std::move(*taken));
  }
  buffers.device_pool = std::make_shared<SumsPool>(sums, sums_bytes);
  return {};
}

/// All of them: a later call may begin while a stream waits for this one.
void DeviceCopies::load_kernels(int device) {
  const std::lock_guard lock(making_mutex_);
  if (!loaded_.insert(device).second || !runs_works(devices_)) return;
  devices_.make_ready(device, device_kernels::all_kernels());
}

Result<void> DeviceCopies::make_ready_for_state(const std::set<std::int32_t>& on) {
  // Once is enough for all states. A second one would pin as much again, also if it ended at once.
  std::call_once(states_begin_, [&] { of_states_ = pool_->reserve(kCallBytes); });
  for (const std::int32_t device : on)
    for (const Kind kind : {Kind::down, Kind::up})
      if (const auto started = queue(device, kind); !started.ok()) return started.error();
  return {};
}

Result<void> DeviceCopies::wait_for(device::StreamWaits::Events events, device::StreamWaits::Done done) {
  const std::lock_guard lock(mutex_);
  if (is_over_) return Error{Status::closed, "the communicator is closed"};
  return stream_waits_->put(std::move(events), std::move(done));
}

/// Error: closed. Nothing, where it has not been made.
Result<std::optional<DeviceCopies::Queue>> DeviceCopies::known_queue(int device, Kind kind) {
  const std::lock_guard lock(mutex_);
  if (is_over_) return Error{Status::closed, "the communicator is closed"};
  const auto found = queues_.find({device, kind});
  return found == queues_.end() ? std::optional<Queue>() : found->second;
}

Result<DeviceCopies::Queue> DeviceCopies::queue(int device, Kind kind) {
  const auto known = known_queue(device, kind);
  if (!known.ok()) return known.error();
  if (*known) return **known;
  // Without the other mutex, which threads of the network need.
  const std::lock_guard making_lock(making_mutex_);
  const auto made_meanwhile = known_queue(device, kind);
  if (!made_meanwhile.ok()) return made_meanwhile.error();
  if (*made_meanwhile) return **made_meanwhile;
  auto started = device::WorkQueue::start(devices_, device, patience_);
  if (!started.ok()) return started.error();
  Queue made{.works = std::move(*started), .desk = std::make_shared<DeviceDesk>(devices_, memory_on(device))};
  const std::lock_guard lock(mutex_);
  if (is_over_) return Error{Status::closed, "the communicator is closed"};
  queues_.emplace(std::pair(device, kind), made);
  return made;
}

/// What is more than copies has a stream of its own, in which it follows its copies. All copies of a call's
/// work go the same way, so the driver is asked about one; of a list either way will do.
DeviceCopies::Kind DeviceCopies::kind_of(const Work& work) const {
  const CopyBytes* first = nullptr;
  for (const WorkStep& step : work.steps) {
    const auto* const copy = std::get_if<CopyBytes>(&step);
    if (copy == nullptr) return Kind::compute;
    if (first == nullptr) first = copy;
  }
  if (first == nullptr) return Kind::up;
  const auto to = devices_.where(first->to, first->bytes);
  return to.ok() && *to == kOnHost ? Kind::down : Kind::up;
}

std::shared_ptr<device::KeptMemory> DeviceCopies::memory_on(int device) {
  const std::lock_guard lock(mutex_);
  auto& memory = memory_[device];
  if (!memory) memory = device::KeptMemory::on(devices_, device);
  if (has_failed_) memory->lose();
  return memory;
}

/// In the caller's thread.
Result<std::shared_ptr<std::byte>> DeviceCopies::take_memory(int device, std::size_t bytes) {
  return memory_on(device)->take(bytes, may_trim());
}

/// Nothing of a device that failed is waited for: its memory is lost with it.
void DeviceCopies::lose() noexcept {
  has_failed_ = true;
  pool_->lose();
  const std::lock_guard lock(mutex_);
  for (const auto& [device, memory] : memory_) memory->lose();
}

Result<void> DeviceCopies::place(Residual& residual, const CollectiveCall& call) {
  const int wanted = call.device.computes ? call.device.receive : kOnHost;
  if (residual.device() == wanted) return {};
  if (wanted == kOnHost) return residual.move_to_host();
  auto memory = take_memory(wanted, residual.bytes());
  if (!memory.ok()) return Error{Status::system, memory.error().sentence + "; it is for a residual"};
  std::byte* const at = memory->get();
  return residual.move_to(
      {.device = wanted, .memory = at, .owner = std::move(*memory), .copy = copying(wanted)});
}

Result<void> DeviceCopies::put(const Work& work, std::function<void(const Result<void>&)> done) {
  std::vector<std::uint8_t*> marks;
  for (const WorkStep& step : work.steps)
    if (const auto* const copy = std::get_if<CopyBytes>(&step); copy != nullptr && copy->done != nullptr)
      marks.push_back(copy->done);
  const auto found = queue(work.device, kind_of(work));
  if (!found.ok()) return found.error();
  // Of the desk: what the steps need until they are done.
  const auto memory = std::make_shared<std::vector<std::shared_ptr<std::byte>>>();
  device::WorkQueue::Job job{
      .steps = {},
      .steps_of = [work, desk = found->desk, memory]() -> Result<Steps> {
        auto made = on_device(work, *desk);
        if (!made.ok()) return made.error();
        *memory = std::move(made->memory);
        return std::move(made->steps);
      },
      .done =
          [this, memory, marks = std::move(marks), done = std::move(done)](const Result<void>& outcome) {
            if (outcome.ok()) {
              for (std::uint8_t* const mark : marks) *mark = 1;
            } else {
              lose();
            }
            done(outcome);
          }};
  const std::lock_guard lock(mutex_);
  if (is_over_) return Error{Status::closed, "the communicator is closed"};
  found->works->put(std::move(job));
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
  if (device == kOnHost) return PooledBuffer(new std::byte[bytes], BufferFree{.bytes = bytes});
  auto memory = take_memory(device, bytes);
  if (!memory.ok()) throw std::bad_alloc();
  std::byte* const at = memory->get();
  return PooledBuffer(at,
                      BufferFree{.pool = std::make_shared<OneBuffer>(std::move(*memory)), .bytes = bytes});
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
  std::unique_ptr<device::StreamWaits> waits;
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    waits.swap(stream_waits_);
  }
  waits.reset();
  // They stay as they are from now on. Their streams end with them, when all calls have.
  for (auto& [which, queue] : queues_)
    if (queue.works->finish()) lose();
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

Result<void> DeviceCopies::make_undo_stream(int device) {
  const std::lock_guard making_lock(making_mutex_);
  {
    const std::lock_guard lock(undo_mutex_);
    if (undo_streams_.contains(device)) return {};
  }
  auto made = device::PatientStream::make(devices_, device, patience_);
  if (!made.ok()) return made.error();
  const std::lock_guard lock(undo_mutex_);
  undo_streams_.emplace(device, std::move(*made));
  return {};
}

/// Of a device that has failed nothing can be put back: its memory is lost with it, and nobody waits for it again.
void DeviceCopies::copy_now(int device, const CopyBytes& copy) noexcept try {
  if (has_failed_) return;
  const auto done = [&]() -> Result<void> {
    const std::lock_guard lock(undo_mutex_);
    device::PatientStream& stream = *undo_streams_.at(device);
    if (const auto begun = stream.copy(copy.to, copy.from, copy.bytes); !begun.ok()) return begun;
    const auto end = stream.record();
    if (!end.ok()) return end.error();
    return stream.wait(**end);
  }();
  if (!done.ok()) lose();
} catch (...) {
  // Without memory for an event.
  lose();
}

}  // namespace hawser
