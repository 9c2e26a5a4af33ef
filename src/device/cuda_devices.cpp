#include "device/cuda_devices.hpp"

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "device/cuda_driver.hpp"
#include "device/keep_for_ever.hpp"

namespace hawser::device {
namespace {

/// While an event is waited for, the driver is asked so often: at first in a row, then with pauses.
constexpr int kAskedInARow = 200;
constexpr std::chrono::microseconds kPause{20};

constexpr const char* kNoKernels =
    "this build has no kernels for GPUs: build it where nvcc is (CUDA 12.8 or later), or use tensors of the host";

CuDevicePtr pointer(const void* address) { return reinterpret_cast<CuDevicePtr>(address); }

/// Makes a context that of this thread as long as it lives.
class InContext {
 public:
  InContext(const CudaDriver& driver, CuContext context)
      : driver_(driver), result_(driver.cuCtxPushCurrent(context)) {}
  ~InContext() {
    CuContext popped = nullptr;
    if (result_ == kCuSuccess) static_cast<void>(driver_.cuCtxPopCurrent(&popped));
  }
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;
  CuResult result() const { return result_; }

 private:
  const CudaDriver& driver_;
  CuResult result_;
};

/// The functions of kernels in one context. Loaded when first run, and kept until the process ends.
class Functions {
 public:
  /// In the context.
  Result<CuFunction> find(const CudaDriver& driver, const Kernel& kernel) {
    const std::lock_guard lock(mutex_);
    if (const auto known = functions_.find(&kernel); known != functions_.end()) return known->second;
    CuModule& module = modules_[kernel.image];
    if (module == nullptr)
      if (const CuResult result = driver.cuModuleLoadData(&module, kernel.image); result != kCuSuccess)
        return driver.error("loading the kernels", result);
    CuFunction found = nullptr;
    if (const CuResult result = driver.cuModuleGetFunction(&found, module, kernel.name); result != kCuSuccess)
      return driver.error((std::string("finding the kernel ") + kernel.name).c_str(), result);
    // Otherwise it may be loaded when it is first run, which may wait for all streams.
    if (driver.cuFuncLoad != nullptr) static_cast<void>(driver.cuFuncLoad(found));
    functions_.emplace(&kernel, found);
    return found;
  }

 private:
  std::mutex mutex_;
  std::map<const void*, CuModule> modules_;  ///< By image.
  std::map<const Kernel*, CuFunction> functions_;
};

/// A device of the driver with its primary context.
struct Gpu {
  const CudaDriver& driver;
  CuContext context;
  Functions& functions;
  CuStream
      memory_stream;  ///< For its memory alone; null: the driver has no memory in the order of streams there.
  CuMemPool memory_pool;  ///< Goes with it.
};

/// What a stream of the library's was asked to do; or, with a device, one that a caller says is a stream
/// there.
Error refused(const CudaDriver& driver, const char* what, CuResult result, std::optional<int> callers = {}) {
  Error error = driver.error(what, result);
  // CUDA_ERROR_INVALID_VALUE, _INVALID_CONTEXT, _INVALID_HANDLE.
  if (!callers || (result != 1 && result != 201 && result != 400)) return error;
  const char* words = nullptr;
  if (driver.cuGetErrorString(result, &words) != kCuSuccess || words == nullptr) words = "unknown error";
  return {Status::invalid_argument,
          "the stream is none of device " + std::to_string(*callers) + " (" + what + ": " + words +
              ", CUDA error " + std::to_string(result) +
              "); give one of the device that the tensor lies on, and destroy it later"};
}

Result<void> launch(const Gpu& gpu, CuStream stream, const Launch& launch, std::optional<int> callers = {}) {
  if (launch.kernel->image == nullptr) return Error{Status::invalid_argument, kNoKernels};
  KernelArguments arguments{};
  HAWSER_ASSERT(launch.memory.size() <= KernelArguments::kMemories);
  for (std::size_t i = 0; i < launch.memory.size(); ++i) arguments.memory[i] = launch.memory[i].at;
  std::memcpy(arguments.parameters, launch.parameters.data(), launch.parameters.size());
  const InContext in(gpu.driver, gpu.context);
  if (in.result() != kCuSuccess) return gpu.driver.error("entering the GPU's context", in.result());
  const auto function = gpu.functions.find(gpu.driver, *launch.kernel);
  if (!function.ok()) return function.error();
  // The driver copies the arguments before it returns.
  void* parameters[] = {&arguments};
  if (const CuResult result = gpu.driver.cuLaunchKernel(*function, launch.blocks, 1, 1, kKernelThreads, 1, 1, 0, stream,
                                                        parameters, nullptr);
      result != kCuSuccess)
    return refused(gpu.driver, (std::string("starting the kernel ") + launch.kernel->name).c_str(), result,
                   callers);
  return {};
}

/// The words that gates are made of, in pinned memory that is kept until the process ends. A gate is open when its word
/// has reached its number. The numbers of a word only grow, so it can serve the next gate once one is open.
class GateWords {
 public:
  static constexpr std::size_t kBytes = 4096;
  struct Word {
    std::uint32_t* at = nullptr;
    std::uint32_t number = 0;
  };
  /// `more`: a page of zeros.
  template <class More>
  Result<Word> take(const More& more) {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) return take_free();
    }
    // Without the mutex, which open() needs: the driver may wait for streams at gates here.
    auto page = more();
    if (!page.ok()) return page.error();
    auto* const words = reinterpret_cast<std::uint32_t*>((*page)->bytes());
    std::memset(words, 0, kBytes);
    // Streams may read it for as long as they like.
    keep_for_ever(std::move(*page));
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < kBytes / sizeof *words; ++i) free_.push_back({words + i, 0});
    return take_free();
  }
  void give(Word word) noexcept try {
    const std::lock_guard lock(mutex_);
    free_.push_back(word);
  } catch (...) {
    // Without memory it is lost.
  }

 private:
  /// With the mutex.
  Word take_free() {
    Word word = free_.back();
    free_.pop_back();
    ++word.number;
    return word;
  }

  std::mutex mutex_;  ///< Nobody holds it while the driver is at work.
  std::vector<Word> free_;
};

class CudaGate final : public Gate {
 public:
  CudaGate(GateWords& words, GateWords::Word word) : words_(words), word_(word) {}
  ~CudaGate() override { open(); }
  void open() noexcept override {
    if (is_open_.exchange(true)) return;
    std::atomic_ref(*word_.at).store(word_.number, std::memory_order_release);
    words_.give(word_);
  }
  const GateWords::Word& word() const { return word_; }

 private:
  GateWords& words_;
  GateWords::Word word_;
  std::atomic<bool> is_open_{false};
};

class CudaEvent final : public Event {
 public:
  CudaEvent(Gpu gpu, CuEvent event) : gpu_(gpu), event_(event) {}
  ~CudaEvent() override {
    const InContext in(gpu_.driver, gpu_.context);
    static_cast<void>(gpu_.driver.cuEventDestroy(event_));
  }
  static Result<std::shared_ptr<Event>> record(Gpu gpu, CuStream stream, std::optional<int> callers = {}) {
    const InContext in(gpu.driver, gpu.context);
    if (in.result() != kCuSuccess) return gpu.driver.error("entering the GPU's context", in.result());
    CuEvent made = nullptr;
    if (const CuResult result = gpu.driver.cuEventCreate(&made, kCuEventDisableTiming); result != kCuSuccess)
      return gpu.driver.error("making an event", result);
    auto event = std::make_shared<CudaEvent>(gpu, made);
    if (const CuResult result = gpu.driver.cuEventRecord(made, stream); result != kCuSuccess)
      return refused(gpu.driver, "recording an event on the stream", result, callers);
    return std::shared_ptr<Event>(std::move(event));
  }

  Result<bool> wait(std::chrono::milliseconds bound) override {
    const auto end = std::chrono::steady_clock::now() + bound;
    for (int asked = 0;; ++asked) {
      const CuResult result = query();
      if (result == kCuSuccess) return true;
      if (result != kCuNotReady) return gpu_.driver.error("a copy on the GPU", result);
      if (asked < kAskedInARow) continue;
      if (std::chrono::steady_clock::now() >= end) return false;
      std::this_thread::sleep_for(kPause);
    }
  }
  CuEvent handle() const { return event_; }

 private:
  CuResult query() const {
    const InContext in(gpu_.driver, gpu_.context);
    return in.result() != kCuSuccess ? in.result() : gpu_.driver.cuEventQuery(event_);
  }

  Gpu gpu_;
  CuEvent event_;
};

class CudaStream final : public Stream {
 public:
  CudaStream(Gpu gpu, CuStream stream) : gpu_(gpu), stream_(stream) {}
  ~CudaStream() override {
    const InContext in(gpu_.driver, gpu_.context);
    static_cast<void>(gpu_.driver.cuStreamSynchronize(stream_));
    static_cast<void>(gpu_.driver.cuStreamDestroy(stream_));
  }
  Result<void> copy(std::byte* to, const std::byte* from, std::size_t bytes) override {
    return call("a copy on the GPU",
                [&] { return gpu_.driver.cuMemcpyAsync(pointer(to), pointer(from), bytes, stream_); });
  }
  Result<void> launch(const Launch& launch) override { return device::launch(gpu_, stream_, launch); }
  Result<void> wait_for(std::shared_ptr<const Event> event) override {
    const CuEvent handle = static_cast<const CudaEvent&>(*event).handle();
    return call("waiting for the caller's stream", [&] { return gpu_.driver.cuStreamWaitEvent(stream_, handle, 0); });
  }
  Result<std::shared_ptr<Event>> record() override { return CudaEvent::record(gpu_, stream_); }

 private:
  template <class Call>
  Result<void> call(const char* what, const Call& call) {
    const InContext in(gpu_.driver, gpu_.context);
    const CuResult result = in.result() != kCuSuccess ? in.result() : call();
    if (result != kCuSuccess) return gpu_.driver.error(what, result);
    return {};
  }

  Gpu gpu_;
  CuStream stream_;
};

class CudaMemory final : public Memory {
 public:
  CudaMemory(Gpu gpu, std::byte* at, bool is_pinned) : gpu_(gpu), at_(at), is_pinned_(is_pinned) {}
  ~CudaMemory() override {
    const InContext in(gpu_.driver, gpu_.context);
    if (is_pinned_) {
      static_cast<void>(gpu_.driver.cuMemFreeHost(at_));
    } else if (gpu_.memory_stream == nullptr) {
      static_cast<void>(gpu_.driver.cuMemFree(pointer(at_)));
    } else {
      static_cast<void>(gpu_.driver.cuMemFreeAsync(pointer(at_), gpu_.memory_stream));
      // That is when others can have it. Nothing else is on that stream.
      static_cast<void>(gpu_.driver.cuStreamSynchronize(gpu_.memory_stream));
    }
  }
  /// Without waiting for any stream, where the driver can.
  static CuResult allocate(const Gpu& gpu, CuDevicePtr& made, std::size_t bytes) {
    if (gpu.memory_stream == nullptr) return gpu.driver.cuMemAlloc(&made, bytes);
    const CuResult result =
        gpu.driver.cuMemAllocFromPoolAsync(&made, bytes, gpu.memory_pool, gpu.memory_stream);
    return result != kCuSuccess ? result : gpu.driver.cuStreamSynchronize(gpu.memory_stream);
  }
  std::byte* bytes() const override { return at_; }

 private:
  Gpu gpu_;
  std::byte* at_;
  bool is_pinned_;
};

class Cuda final : public Devices {
 public:
  const char* name() const override { return "cuda"; }
  int count() const override {
    const FoundDriver found = cuda_driver(false);
    const auto counts = found.usable != nullptr    ? found.usable->cuDeviceGetCount
                        : found.too_old != nullptr ? found.too_old->cuDeviceGetCount
                                                   : nullptr;
    int count = 0;
    if (counts == nullptr || counts(&count) != kCuSuccess) return 0;
    return count;
  }

  bool runs(const Kernel& kernel) const override { return kernel.image != nullptr; }
  Result<int> where(const void* address, std::size_t bytes) const override {
    if (address == nullptr) return kHost;
    const FoundDriver found = cuda_driver(false);
    if (found.usable == nullptr)
      return found.too_old == nullptr ? kHost : where_of_old(*found.too_old, address);
    const Range first = range_of(*found.usable, pointer(address));
    if (first.device == kHost) return kHost;
    // Memory may be made of several mappings, one behind the other. Whose they are the driver does not say.
    CuDevicePtr known_to = first.end;
    while (first.has_bounds && bytes > known_to - pointer(address)) {
      const Range next = first.is_whole ? Range{} : range_of(*found.usable, known_to);
      if (next.device != first.device || next.is_whole || next.end <= known_to)
        return Error{Status::invalid_argument,
                     std::to_string(bytes) + " bytes reach beyond their allocation on device " +
                         std::to_string(first.device) + ", which has " +
                         std::to_string(known_to - pointer(address)) + " bytes from there on"};
      known_to = next.end;
    }
    return first.device;
  }

  bool is_pageable(const void* address) const override {
    const FoundDriver found = cuda_driver(false);
    if (found.usable == nullptr) return true;
    unsigned memory_type = 0;
    CuPointerAttribute wanted[] = {CuPointerAttribute::memory_type};
    void* values[] = {&memory_type};
    return found.usable->cuPointerGetAttributes(1, wanted, values, pointer(address)) != kCuSuccess ||
           memory_type == 0;
  }
  Result<std::unique_ptr<Stream>> make_stream(int device) override {
    const auto gpu = find(device);
    if (!gpu.ok()) return gpu.error();
    const InContext in(gpu->driver, gpu->context);
    CuStream made = nullptr;
    if (const CuResult result = gpu->driver.cuStreamCreate(&made, kCuStreamNonBlocking); result != kCuSuccess)
      return gpu->driver.error("making a stream", result);
    return std::unique_ptr<Stream>(std::make_unique<CudaStream>(*gpu, made));
  }
  void make_ready(int device, std::span<const Kernel* const> kernels) override {
    const auto gpu = find(device);
    if (!gpu.ok()) return;
    const InContext in(gpu->driver, gpu->context);
    if (in.result() != kCuSuccess) return;
    for (const Kernel* const kernel : kernels)
      if (kernel->image != nullptr) static_cast<void>(gpu->functions.find(gpu->driver, *kernel));
  }
  Result<std::shared_ptr<Event>> record_on(int device, std::uintptr_t stream) override {
    const auto gpu = find(device);
    if (!gpu.ok()) return gpu.error();
    return CudaEvent::record(*gpu, reinterpret_cast<CuStream>(stream), device);
  }
  Result<void> launch_on(int device, std::uintptr_t stream, const Launch& launch) override {
    const auto gpu = find(device);
    if (!gpu.ok()) return gpu.error();
    return device::launch(*gpu, reinterpret_cast<CuStream>(stream), launch, device);
  }
  Result<std::shared_ptr<Gate>> make_gate() override {
    const auto word = words_.take([this] { return allocate_pinned(GateWords::kBytes); });
    if (!word.ok()) return word.error();
    return std::shared_ptr<Gate>(std::make_shared<CudaGate>(words_, *word));
  }
  Result<void> wait_on(int device, std::uintptr_t stream, std::shared_ptr<Gate> gate) override {
    const auto gpu = find(device);
    if (!gpu.ok()) return gpu.error();
    const GateWords::Word& word = static_cast<const CudaGate&>(*gate).word();
    const InContext in(gpu->driver, gpu->context);
    if (in.result() != kCuSuccess) return gpu->driver.error("entering the GPU's context", in.result());
    const CuResult result = gpu->driver.cuStreamWaitValue32(
        reinterpret_cast<CuStream>(stream), pointer(word.at), word.number, kCuStreamWaitValueGeq);
    if (result != kCuSuccess) return refused(gpu->driver, "making the stream wait", result, device);
    return {};
  }
  Result<std::unique_ptr<Memory>> allocate(int device, std::size_t bytes) override {
    const auto gpu = find(device);
    if (!gpu.ok()) return gpu.error();
    const InContext in(gpu->driver, gpu->context);
    CuDevicePtr made = 0;
    if (const CuResult result = CudaMemory::allocate(*gpu, made, bytes); result != kCuSuccess)
      return gpu->driver.error(
          ("allocating " + std::to_string(bytes) + " bytes on device " + std::to_string(device)).c_str(), result);
    return std::unique_ptr<Memory>(std::make_unique<CudaMemory>(*gpu, reinterpret_cast<std::byte*>(made), false));
  }
  bool frees_at_once(int device) override {
    const auto gpu = find(device);
    return gpu.ok() && gpu->memory_stream != nullptr;
  }
  /// In the context of a device that is in use: no other gets one for that.
  Result<std::unique_ptr<Memory>> allocate_pinned(std::size_t bytes) override {
    int device = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!gpus_.empty()) device = gpus_.begin()->first;
    }
    const auto gpu = find(device);
    if (!gpu.ok()) return gpu.error();
    const InContext in(gpu->driver, gpu->context);
    void* made = nullptr;
    if (const CuResult result = gpu->driver.cuMemHostAlloc(&made, bytes, kCuMemHostAllocPortable); result != kCuSuccess)
      return gpu->driver.error("pinning memory", result);
    return std::unique_ptr<Memory>(std::make_unique<CudaMemory>(*gpu, static_cast<std::byte*>(made), true));
  }

 private:
  struct Range {
    int device = kHost;
    bool has_bounds = false;
    bool is_whole = false;  ///< It is an allocation, and no mapping.
    CuDevicePtr end = 0;
  };
  static Range range_of(const CudaDriver& driver, CuDevicePtr address) {
    unsigned memory_type = 0;
    unsigned is_managed = 0;
    unsigned is_legacy = 0;
    int device = 0;
    CuDevicePtr start = 0;
    std::size_t size = 0;
    CuPointerAttribute wanted[] = {CuPointerAttribute::memory_type, CuPointerAttribute::is_managed,
                                   CuPointerAttribute::device_ordinal, CuPointerAttribute::range_start,
                                   CuPointerAttribute::range_size,
                                   CuPointerAttribute::is_legacy_ipc_capable};
    void* found[] = {&memory_type, &is_managed, &device, &start, &size, &is_legacy};
    // Of memory that the driver does not know it says nothing, without an error. A driver that was never
    // initialised knows none.
    if (driver.cuPointerGetAttributes(6, wanted, found, address) != kCuSuccess) return {};
    if (memory_type != kCuMemoryTypeDevice && is_managed == 0) return {};
    // No mapping can be given to other processes in the old way; of a pool nothing can, either.
    return {.device = device,
            .has_bounds = size != 0,
            .is_whole = is_legacy != 0 || is_managed != 0,
            .end = start + size};
  }
  static Result<int> where_of_old(const OldCudaDriver& driver, const void* address) {
    unsigned memory_type = 0;
    if (driver.cuPointerGetAttribute == nullptr ||
        driver.cuPointerGetAttribute(&memory_type, CuPointerAttribute::memory_type, pointer(address)) !=
            kCuSuccess)
      return kHost;
    unsigned is_managed = 0;
    static_cast<void>(
        driver.cuPointerGetAttribute(&is_managed, CuPointerAttribute::is_managed, pointer(address)));
    if (memory_type != kCuMemoryTypeDevice && is_managed == 0) return kHost;
    return driver.error("the memory lies on a GPU");
  }

  Result<Gpu> find(int device) {
    const FoundDriver known_driver = cuda_driver(false);
    if (known_driver.too_old != nullptr)
      return known_driver.too_old->error("device " + std::to_string(device) + " was asked for");
    const CudaDriver* const driver = known_driver.usable;
    if (driver == nullptr || device < 0 || device >= count())
      return Error{Status::invalid_argument, "there is no CUDA device " + std::to_string(device)};
    const std::lock_guard lock(mutex_);
    if (const auto known = gpus_.find(device); known != gpus_.end())
      return as_gpu(*driver, known->second);
    CuDevice handle = 0;
    if (const CuResult result = driver->cuDeviceGet(&handle, device); result != kCuSuccess)
      return driver->error("finding the GPU", result);
    CuContext context = nullptr;
    if (const CuResult result = driver->cuDevicePrimaryCtxRetain(&context, handle); result != kCuSuccess)
      return driver->error("entering the GPU's context", result);
    Used& used = gpus_[device];
    used.context = context;
    used.memory_pool = make_memory_pool(*driver, handle);
    if (used.memory_pool != nullptr) used.memory_stream = make_memory_stream(*driver, context);
    return as_gpu(*driver, used);
  }
  /// The device's own pool may have what is allocated wait for streams of others.
  static CuMemPool make_memory_pool(const CudaDriver& driver, CuDevice handle) {
    int has_pools = 0;
    if (driver.cuMemPoolCreate == nullptr || driver.cuMemPoolSetAttribute == nullptr ||
        driver.cuMemAllocFromPoolAsync == nullptr || driver.cuMemFreeAsync == nullptr ||
        driver.cuDeviceGetAttribute == nullptr ||
        driver.cuDeviceGetAttribute(&has_pools, kCuDeviceMemoryPoolsSupported, handle) != kCuSuccess ||
        has_pools == 0)
      return nullptr;
    const CuMemPoolProps there{.location = handle};
    CuMemPool made = nullptr;
    int no = 0;
    if (driver.cuMemPoolCreate(&made, &there) != kCuSuccess ||
        driver.cuMemPoolSetAttribute(made, kCuMemPoolReuseAllowInternalDependencies, &no) != kCuSuccess)
      return nullptr;
    return made;
  }
  static CuStream make_memory_stream(const CudaDriver& driver, CuContext context) {
    const InContext in(driver, context);
    CuStream made = nullptr;
    if (in.result() != kCuSuccess || driver.cuStreamCreate(&made, kCuStreamNonBlocking) != kCuSuccess)
      return nullptr;
    return made;
  }

  struct Used {
    CuContext context = nullptr;  ///< Retained until the process ends.
    CuStream memory_stream = nullptr;  ///< Likewise.
    CuMemPool memory_pool = nullptr;   ///< Likewise.
    Functions functions;
  };
  static Gpu as_gpu(const CudaDriver& driver, Used& used) {
    return {driver, used.context, used.functions, used.memory_stream, used.memory_pool};
  }
  std::mutex mutex_;
  std::map<int, Used> gpus_;
  GateWords words_;
};

}  // namespace

Result<std::unique_ptr<Devices>> cuda_devices(bool load) {
  auto made = std::make_unique<Cuda>();
  if (load) {
    const FoundDriver found = cuda_driver(true);
    if (found.too_old != nullptr) {
      Error error = found.too_old->error("HAWSER_DEVICE is cuda");
      error.status = Status::system;
      return error;
    }
    const CudaDriver* const driver = found.usable;
    if (driver == nullptr) return Error{Status::system, "there is no CUDA driver here (libcuda.so.1)"};
    if (const CuResult result = driver->cuInit(0); result != kCuSuccess)
      return driver->error("the CUDA driver", result);
    if (made->count() == 0) return Error{Status::system, "the CUDA driver finds no GPU"};
  }
  return std::unique_ptr<Devices>(std::move(made));
}

}  // namespace hawser::device
