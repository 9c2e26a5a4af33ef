#include "device/sim_devices.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/random.hpp"

namespace hawser::device {
namespace {

using Clock = std::chrono::steady_clock;

Error no_memory(std::size_t bytes, const std::string& where) {
  return {Status::system, "no memory for " + std::to_string(bytes) + " bytes on " + where};
}

/// Pages of the process; null where there are none.
class Pages {
 public:
  Pages(std::size_t bytes, int protection)
      : bytes_(std::max<std::size_t>(bytes, 1)),
        at_(::mmap(nullptr, bytes_, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~Pages() {
    if (at_ != MAP_FAILED) ::munmap(at_, bytes_);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* get() const { return at_ == MAP_FAILED ? nullptr : static_cast<std::byte*>(at_); }

 private:
  std::size_t bytes_;
  void* at_;
};

/// The devices' memory: at one address nobody can touch it, at another the devices do.
class AddressMap {
 public:
  struct Allocation {
    Allocation(int on, std::size_t size)
        : device(on), bytes(size), shown(size, PROT_NONE), held(size, PROT_READ | PROT_WRITE) {}
    int device;
    std::size_t bytes;
    Pages shown;
    Pages held;
  };

  explicit AddressMap(std::size_t bytes_each) : bytes_each_(bytes_each) {}

  Result<std::byte*> add(int device, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    std::size_t& used = used_[device];
    if (bytes > bytes_each_ - used) return no_memory(bytes, "simulated device " + std::to_string(device));
    auto made = std::make_shared<const Allocation>(device, bytes);
    std::byte* const at = made->shown.get();
    if (at == nullptr || made->held.get() == nullptr)
      return no_memory(bytes, "simulated device " + std::to_string(device));
    used += bytes;
    by_address_.emplace(at, std::move(made));
    return at;
  }
  void remove(std::byte* at) {
    const std::lock_guard lock(mutex_);
    const auto found = by_address_.find(at);
    HAWSER_ASSERT(found != by_address_.end());
    used_[found->second->device] -= found->second->bytes;
    by_address_.erase(found);
  }
  std::size_t bytes_used() const {
    const std::lock_guard lock(mutex_);
    std::size_t all = 0;
    for (const auto& [device, used] : used_) all += used;
    return all;
  }
  Result<int> where(const void* address, std::size_t bytes) const {
    const std::lock_guard lock(mutex_);
    const auto one = find(address);
    if (one == nullptr) return kHost;
    const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(address) - one->shown.get());
    if (bytes > one->bytes - offset)
      return Error{Status::invalid_argument,
                   std::to_string(bytes) + " bytes reach beyond their allocation on device " +
                       std::to_string(one->device) + ", which has " + std::to_string(one->bytes - offset) +
                       " bytes from there on"};
    return one->device;
  }
  /// Where a device finds bytes, and what keeps them there when they are freed meanwhile; null for the host's.
  struct Held {
    std::byte* at = nullptr;
    std::shared_ptr<const Allocation> owner;
  };
  Held held(const void* address, std::size_t bytes) const {
    const std::lock_guard lock(mutex_);
    auto one = find(address);
    auto* const given = static_cast<std::byte*>(const_cast<void*>(address));
    if (one == nullptr) return {given, nullptr};
    const auto offset = static_cast<std::size_t>(given - one->shown.get());
    HAWSER_ASSERT(bytes <= one->bytes - offset);
    std::byte* const at = one->held.get() + offset;
    return {at, std::move(one)};
  }

 private:
  std::shared_ptr<const Allocation> find(const void* address) const {
    auto after = by_address_.upper_bound(static_cast<const std::byte*>(address));
    if (after == by_address_.begin()) return nullptr;
    const auto& one = std::prev(after)->second;
    return static_cast<const std::byte*>(address) < one->shown.get() + one->bytes ? one : nullptr;
  }

  mutable std::mutex mutex_;
  std::size_t bytes_each_;
  std::map<const std::byte*, std::shared_ptr<const Allocation>> by_address_;
  std::map<int, std::size_t> used_;
};

/// A wait for gates that takes longer is in vain.
constexpr std::chrono::seconds kInVain{5};

/// What all streams share.
struct Shared {
  explicit Shared(SimConfig given) : config(given), memory(given.memory_bytes) {}
  /// As drivers may, in allocations and elsewhere. `device`: or kHost, for all.
  void synchronise(int device) {
    const auto waits = [&] {
      int waiting = 0;
      for (int one = 0; one < config.devices; ++one)
        if (device == kHost || device == one)
          waiting += at_gates[static_cast<std::size_t>(one)] + (hangs[static_cast<std::size_t>(one)] ? 1 : 0);
      return waits_for_gates && waiting > 0;
    };
    for (const auto end = Clock::now() + kInVain; waits();
         std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      if (Clock::now() < end) continue;
      ++waited_in_vain;
      return;
    }
  }
  void load(int device, const Kernel* kernel) {
    const std::lock_guard lock(loaded_mutex);
    if (loaded.contains({device, kernel})) return;
    synchronise(device);
    loaded.emplace(device, kernel);
  }
  SimConfig config;
  AddressMap memory;
  std::array<std::atomic<bool>, 64> broken{};
  std::array<std::atomic<bool>, 64> hangs{};
  std::array<std::atomic<int>, 64> at_gates{};  ///< Callers' streams that wait, by device.
  std::atomic<bool> waits_for_gates{false};
  std::atomic<std::uint64_t> pageable_copies{0};
  mutable std::mutex pinned_mutex;
  std::map<const std::byte*, const std::byte*> pinned;  ///< Begins and ends.
  bool is_pinned(const void* address) const {
    const auto* const at = static_cast<const std::byte*>(address);
    const std::lock_guard lock(pinned_mutex);
    const auto after = pinned.upper_bound(at);
    return after != pinned.begin() && at < std::prev(after)->second;
  }
  std::atomic<std::uint64_t> waited_in_vain{0};
  std::mutex loaded_mutex;
  std::set<std::pair<int, const Kernel*>> loaded;
  std::atomic<std::uint64_t> streams{0};
  std::atomic<std::uint64_t> bytes_down{0};
  std::atomic<std::uint64_t> bytes_up{0};
  std::atomic<std::uint64_t> launches{0};
  std::atomic<std::uint64_t> pinned_bytes{0};
  std::atomic<std::uint64_t> pinned_bytes_most{0};
};

class SimEvent final : public Event {
 public:
  Result<bool> wait(std::chrono::milliseconds bound) override {
    std::unique_lock lock(mutex_);
    if (!cv_.wait_for(lock, bound, [&] { return outcome_.has_value(); })) return false;
    if (!outcome_->ok()) return outcome_->error();
    return true;
  }
  void happen(const Result<void>& outcome) {
    const std::lock_guard lock(mutex_);
    outcome_ = outcome;
    cv_.notify_all();
  }
  /// Whoever waits for it on another stream. Bounded: the other stream ends its work before it goes.
  Result<void> wait_long() const {
    std::unique_lock lock(mutex_);
    cv_.wait(lock, [&] { return outcome_.has_value(); });
    return *outcome_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable cv_;
  std::optional<Result<void>> outcome_;
};

class SimGate final : public Gate {
 public:
  ~SimGate() override { open(); }
  void open() noexcept override { event_->happen({}); }
  const std::shared_ptr<SimEvent>& event() const { return event_; }

 private:
  std::shared_ptr<SimEvent> event_ = std::make_shared<SimEvent>();
};

class SimStream final : public Stream {
 public:
  /// `is_callers`: of a caller of the library, who has not hung.
  SimStream(std::shared_ptr<Shared> shared, int device, bool is_callers)
      : shared_(std::move(shared)),
        device_(device),
        is_callers_(is_callers),
        random_(Random(shared_->config.seed ^ Random(shared_->streams++).next()).next()),
        thread_([this] { work(); }) {}
  ~SimStream() override {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    cv_.notify_all();
    thread_.join();
  }

  Result<void> copy(std::byte* to, const std::byte* from, std::size_t bytes) override {
    for (const std::byte* const side : {static_cast<const std::byte*>(to), from}) {
      const auto on = shared_->memory.where(side, bytes);
      if (!on.ok()) return on.error();
      if (*on != kHost && *on != device_)
        return Error{Status::invalid_argument, "a stream of device " + std::to_string(device_) +
                                                   " was given memory of device " + std::to_string(*on)};
    }
    for (const std::byte* const side : {static_cast<const std::byte*>(to), from})
      if (bytes > 0 && *shared_->memory.where(side, bytes) == kHost && !shared_->is_pinned(side))
        ++shared_->pageable_copies;
    put([this, target = shared_->memory.held(to, bytes), source = shared_->memory.held(from, bytes), bytes] {
      std::memcpy(target.at, source.at, bytes);
      if (source.owner && !target.owner) shared_->bytes_down += bytes;
      if (target.owner && !source.owner) shared_->bytes_up += bytes;
      take_time(bytes);
    });
    return {};
  }
  Result<void> launch(const Launch& launch) override {
    HAWSER_ASSERT(launch.memory.size() <= KernelArguments::kMemories);
    auto arguments = std::make_unique<KernelArguments>();
    std::vector<AddressMap::Held> memory;
    for (const Launch::Memory& one : launch.memory) {
      const auto on = shared_->memory.where(one.at, one.bytes);
      if (!on.ok()) return on.error();
      if (one.at != nullptr && *on != device_)
        return Error{Status::invalid_argument, std::string("the kernel ") + launch.kernel->name + " on device " +
                                                   std::to_string(device_) + " was given memory of " +
                                                   (*on == kHost ? "the host" : "device " + std::to_string(*on))};
      memory.push_back(shared_->memory.held(one.at, one.bytes));
      arguments->memory[memory.size() - 1] = memory.back().at;
    }
    std::memcpy(arguments->parameters, launch.parameters.data(), launch.parameters.size());
    shared_->load(device_, launch.kernel);
    put([this, kernel = launch.kernel, blocks = launch.blocks, memory = std::move(memory),
         arguments = std::shared_ptr<KernelArguments>(std::move(arguments))] {
      for (unsigned block = 0; block < blocks; ++block) kernel->run_block(*arguments, block);
      ++shared_->launches;
    });
    return {};
  }
  Result<void> upload(std::byte* to, std::vector<std::byte> bytes) {
    const auto on = shared_->memory.where(to, bytes.size());
    if (!on.ok()) return on.error();
    put([target = shared_->memory.held(to, bytes.size()), bytes = std::move(bytes)] {
      std::memcpy(target.at, bytes.data(), bytes.size());
    });
    return {};
  }
  Result<void> wait_for(std::shared_ptr<const Event> event) override {
    put([this, event = std::move(event)] {
      const auto before = static_cast<const SimEvent&>(*event).wait_long();
      if (!before.ok()) outcome_ = before.error();
    });
    return {};
  }
  void wait_at(std::shared_ptr<const SimEvent> gate) {
    ++shared_->at_gates[static_cast<std::size_t>(device_)];
    put(
        [this, gate = std::move(gate)] {
          static_cast<void>(gate->wait_long());
          --shared_->at_gates[static_cast<std::size_t>(device_)];
        },
        true);
  }
  Result<std::shared_ptr<Event>> record() override {
    auto event = std::make_shared<SimEvent>();
    put([this, event] { event->happen(outcome_); }, true);
    return std::shared_ptr<Event>(std::move(event));
  }

 private:
  struct Piece {
    std::function<void()> run;
    bool always = false;  ///< Also once the stream has failed.
  };

  void put(std::function<void()> run, bool always = false) {
    {
      const std::lock_guard lock(mutex_);
      pieces_.push_back({std::move(run), always});
    }
    cv_.notify_all();
  }
  void take_time(std::size_t bytes) {
    if (shared_->config.bytes_per_second <= 0) return;
    busy_until_ = std::max(busy_until_, Clock::now()) +
                  std::chrono::duration_cast<Clock::duration>(
                      std::chrono::duration<double>(static_cast<double>(bytes) / shared_->config.bytes_per_second));
    std::this_thread::sleep_until(busy_until_);
  }
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      cv_.wait(lock, [&] { return is_over_ || !pieces_.empty(); });
      if (pieces_.empty()) return;
      const Piece piece = std::move(pieces_.front());
      pieces_.pop_front();
      lock.unlock();
      while (!is_callers_ && shared_->hangs[static_cast<std::size_t>(device_)])
        std::this_thread::sleep_for(std::chrono::seconds(1));
      const auto delay = shared_->config.delay_most.count();
      if (delay > 0 && !piece.always) std::this_thread::sleep_for(std::chrono::microseconds(random_.between(0, delay)));
      const bool fails = shared_->broken[static_cast<std::size_t>(device_)] ||
                         (shared_->config.fails_one_in > 0 && random_.chance(1, shared_->config.fails_one_in));
      if (outcome_.ok() && !piece.always && fails)
        outcome_ = Error{Status::system, "simulated device " + std::to_string(device_) + " failed"};
      if (outcome_.ok() || piece.always) piece.run();
      lock.lock();
    }
  }

  std::shared_ptr<Shared> shared_;
  int device_;
  bool is_callers_;
  Random random_;
  Result<void> outcome_;  ///< Of its thread.
  Clock::time_point busy_until_{};
  std::mutex mutex_;
  std::condition_variable cv_;
  std::deque<Piece> pieces_;
  bool is_over_ = false;
  std::thread thread_;  ///< Last: it uses the others.
};

class DeviceMemory final : public Memory {
 public:
  DeviceMemory(std::shared_ptr<Shared> shared, int device, std::byte* at)
      : shared_(std::move(shared)), device_(device), at_(at) {}
  ~DeviceMemory() override {
    shared_->synchronise(device_);
    shared_->memory.remove(at_);
  }
  std::byte* bytes() const override { return at_; }

 private:
  std::shared_ptr<Shared> shared_;
  int device_;
  std::byte* at_;
};

class PinnedMemory final : public Memory {
 public:
  PinnedMemory(std::shared_ptr<Shared> shared, std::size_t size)
      : shared_(std::move(shared)), size_(size), pages_(size, PROT_READ | PROT_WRITE) {
    {
      const std::lock_guard lock(shared_->pinned_mutex);
      if (pages_.get() != nullptr) shared_->pinned.emplace(pages_.get(), pages_.get() + size_);
    }
    const std::uint64_t now = shared_->pinned_bytes += size_;
    for (std::uint64_t most = shared_->pinned_bytes_most;
         now > most && !shared_->pinned_bytes_most.compare_exchange_weak(most, now);) {
    }
  }
  ~PinnedMemory() override {
    shared_->synchronise(kHost);
    const std::lock_guard lock(shared_->pinned_mutex);
    shared_->pinned.erase(pages_.get());
    shared_->pinned_bytes -= size_;
  }
  std::byte* bytes() const override { return pages_.get(); }

 private:
  std::shared_ptr<Shared> shared_;
  std::size_t size_;
  Pages pages_;
};

class Simulated final : public SimDevices {
 public:
  explicit Simulated(SimConfig config) : shared_(std::make_shared<Shared>(config)) {}

  const char* name() const override { return "sim"; }
  int count() const override { return shared_->config.devices; }
  bool runs(const Kernel&) const override { return shared_->config.kernels; }
  Result<int> where(const void* address, std::size_t bytes) const override {
    return shared_->memory.where(address, bytes);
  }
  bool is_pageable(const void* address) const override {
    return *shared_->memory.where(address, 0) == kHost && !shared_->is_pinned(address);
  }
  Result<std::unique_ptr<Stream>> make_stream(int device) override {
    if (const auto known = check(device); !known.ok()) return known.error();
    shared_->synchronise(device);
    return std::unique_ptr<Stream>(std::make_unique<SimStream>(shared_, device, false));
  }
  void make_ready(int device, std::span<const Kernel* const> kernels) override {
    if (!check(device).ok()) return;
    for (const Kernel* const kernel : kernels) shared_->load(device, kernel);
  }
  Result<std::shared_ptr<Event>> record_on(int device, std::uintptr_t stream) override {
    if (const auto known = check(device); !known.ok()) return known.error();
    const auto found = user_stream(stream, device);
    if (!found.ok()) return found.error();
    return (*found)->record();
  }
  Result<void> launch_on(int device, std::uintptr_t stream, const Launch& launch) override {
    if (const auto known = check(device); !known.ok()) return known.error();
    const auto found = user_stream(stream, device);
    if (!found.ok()) return found.error();
    return (*found)->launch(launch);
  }
  Result<std::shared_ptr<Gate>> make_gate() override { return std::shared_ptr<Gate>(std::make_shared<SimGate>()); }
  Result<void> wait_on(int device, std::uintptr_t stream, std::shared_ptr<Gate> gate) override {
    if (const auto known = check(device); !known.ok()) return known.error();
    const auto found = user_stream(stream, device);
    if (!found.ok()) return found.error();
    (*found)->wait_at(static_cast<const SimGate&>(*gate).event());
    return {};
  }
  Result<std::unique_ptr<Memory>> allocate(int device, std::size_t bytes) override {
    if (const auto known = check(device); !known.ok()) return known.error();
    shared_->synchronise(device);
    const auto at = shared_->memory.add(device, bytes);
    if (!at.ok()) return at.error();
    return std::unique_ptr<Memory>(std::make_unique<DeviceMemory>(shared_, device, *at));
  }
  Result<std::unique_ptr<Memory>> allocate_pinned(std::size_t bytes) override {
    shared_->synchronise(kHost);
    auto made = std::make_unique<PinnedMemory>(shared_, bytes);
    if (made->bytes() == nullptr) return no_memory(bytes, "the host, pinned");
    return std::unique_ptr<Memory>(std::move(made));
  }

  void copy_now(void* to, const void* from, std::size_t bytes) override {
    const auto target = shared_->memory.held(to, bytes);
    const auto source = shared_->memory.held(from, bytes);
    std::memcpy(target.at, source.at, bytes);
  }
  std::byte* seen_by_device(const void* address, std::size_t bytes) override {
    return shared_->memory.held(address, bytes).at;
  }
  std::uintptr_t make_user_stream(int device) override {
    HAWSER_ASSERT(check(device).ok());
    const std::lock_guard lock(mutex_);
    user_streams_.push_back({device, std::make_unique<SimStream>(shared_, device, true)});
    return kFirstUserStream + user_streams_.size() - 1;
  }
  Result<std::shared_ptr<Event>> record_on_user_stream(std::uintptr_t stream) override {
    int device = 0;
    {
      const std::lock_guard lock(mutex_);
      if (const UserStream* const found = find(stream)) device = found->device;
    }
    return record_on(device, stream);
  }
  Result<void> upload_on(std::uintptr_t stream, void* to, const void* from, std::size_t bytes) override {
    const auto on = where(to, bytes);
    if (!on.ok()) return on.error();
    const auto found = user_stream(stream, *on);
    if (!found.ok()) return found.error();
    const auto* const begin = static_cast<const std::byte*>(from);
    return (*found)->upload(static_cast<std::byte*>(to), {begin, begin + bytes});
  }
  void break_device(int device) override {
    HAWSER_ASSERT(check(device).ok());
    shared_->broken[static_cast<std::size_t>(device)] = true;
  }
  void hang_device(int device) override {
    HAWSER_ASSERT(check(device).ok());
    shared_->hangs[static_cast<std::size_t>(device)] = true;
  }
  void wait_for_gates(bool waits) override { shared_->waits_for_gates = waits; }
  Counters counters() const override {
    return {.bytes_down = shared_->bytes_down,
            .bytes_up = shared_->bytes_up,
            .launches = shared_->launches,
            .pinned_bytes_most = shared_->pinned_bytes_most,
            .pageable_copies = shared_->pageable_copies,
            .waited_in_vain = shared_->waited_in_vain,
            .device_bytes = shared_->memory.bytes_used()};
  }

 private:
  /// Frameworks have a meaning for the smaller numbers: 1 and 2 are default streams of CUDA.
  static constexpr std::uintptr_t kFirstUserStream = 0x1000;

  struct UserStream {
    int device = 0;
    std::unique_ptr<SimStream> stream;
  };

  Result<void> check(int device) const {
    if (device >= 0 && device < count()) return {};
    return Error{Status::invalid_argument, "there is no device " + std::to_string(device) + "; there are " +
                                               std::to_string(count()) + ", numbered from 0"};
  }
  /// 0: the default stream of the device, made when it is first used.
  Result<SimStream*> user_stream(std::uintptr_t stream, int device) {
    const std::lock_guard lock(mutex_);
    if (stream == 0) {
      auto& made = default_streams_[device];
      if (!made) made = std::make_unique<SimStream>(shared_, device, true);
      return made.get();
    }
    const UserStream* const found = find(stream);
    if (found == nullptr)
      return Error{Status::invalid_argument, "there is no stream " + std::to_string(stream) + " here"};
    if (found->device != device)
      return Error{Status::invalid_argument, "the stream belongs to device " + std::to_string(found->device) +
                                                 ", the tensor to device " + std::to_string(device)};
    return found->stream.get();
  }
  /// With the mutex.
  const UserStream* find(std::uintptr_t stream) const {
    if (stream < kFirstUserStream || stream - kFirstUserStream >= user_streams_.size()) return nullptr;
    return &user_streams_[stream - kFirstUserStream];
  }

  std::shared_ptr<Shared> shared_;
  mutable std::mutex mutex_;
  std::vector<UserStream> user_streams_;
  std::map<int, std::unique_ptr<SimStream>> default_streams_;
};

}  // namespace

Result<SimConfig> parse_sim_config(const std::string& text) {
  SimConfig config;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string option = text.substr(at, end - at);
    at = end + 1;
    const std::size_t equals = option.find('=');
    const std::string name = option.substr(0, equals);
    std::uint64_t value = 0;
    const char* const first = option.data() + std::min(equals + 1, option.size());
    const char* const last = option.data() + option.size();
    const auto [stopped, error] = std::from_chars(first, last, value);
    const bool is_number = equals != std::string::npos && error == std::errc{} && stopped == last;
    if (is_number && name == "seed")
      config.seed = value;
    else if (is_number && name == "gbit")
      config.bytes_per_second = static_cast<double>(value) * 1e9 / 8;
    else if (is_number && name == "delay_us" && value <= 10'000'000)
      config.delay_most = std::chrono::microseconds(value);
    else if (is_number && name == "fails")
      config.fails_one_in = value;
    else if (is_number && name == "devices" && value >= 1 && value <= 64)
      config.devices = static_cast<int>(value);
    else if (is_number && name == "mib" && value >= 1 && value <= 1 << 20)
      config.memory_bytes = static_cast<std::size_t>(value) << 20;
    else if (is_number && name == "kernels" && value <= 1)
      config.kernels = value == 1;
    else
      return Error{Status::invalid_argument,
                   "'" + option + "' is no option of the simulated device; there are seed=N, gbit=N, delay_us=N (up to "
                   "10000000), fails=N, devices=N (1 to 64), mib=N and kernels=0, separated by commas"};
  }
  return config;
}

std::unique_ptr<SimDevices> SimDevices::make(SimConfig config) { return std::make_unique<Simulated>(config); }

}  // namespace hawser::device
