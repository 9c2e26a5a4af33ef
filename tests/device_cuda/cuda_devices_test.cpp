#include <dlfcn.h>

#include <cstring>
#include <future>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "device/cuda_devices.hpp"
#include "device/cuda_driver.hpp"
#include "device/kept_memory.hpp"
#include "device/memory_pool.hpp"
#include "device/work_queue.hpp"
#include "faults/failing_allocations.hpp"

/// On the stand-in driver of fake_driver.c, which LD_LIBRARY_PATH brings here; or on a real one.
namespace hawser::device {
namespace {

constexpr std::chrono::minutes kBound{5};

Devices& gpus() {
  static const auto found = cuda_devices(true);
  REQUIRE(found.ok());
  return **found;
}

}  // namespace

TEST_CASE("before the process loads a driver all memory is the host's", "[first]") {
  const auto devices = cuda_devices(false);
  REQUIRE(devices.ok());
  CHECK((*devices)->count() == 0);
  const int here = 0;
  CHECK(*(*devices)->where(&here, sizeof here) == kHost);
  CHECK((*devices)->make_stream(0).status() == Status::invalid_argument);
}

TEST_CASE("memory of a GPU is known by its address and bounds") {
  auto memory = gpus().allocate(0, 1000);
  REQUIRE(memory.ok());
  CHECK(*gpus().where((*memory)->bytes(), 1000) == 0);
  CHECK(*gpus().where((*memory)->bytes() + 999, 1) == 0);
  CHECK(gpus().where((*memory)->bytes() + 1, 1000).status() == Status::invalid_argument);
  const int here = 0;
  CHECK(*gpus().where(&here, sizeof here) == kHost);
  CHECK(*gpus().where(nullptr, 0) == kHost);
  auto pinned = gpus().allocate_pinned(1000);
  REQUIRE(pinned.ok());
  CHECK(*gpus().where((*pinned)->bytes(), 1000) == kHost);
  CHECK(gpus().allocate(gpus().count(), 1).status() == Status::invalid_argument);
}

TEST_CASE("a stream copies down and up, and its events come when that is done") {
  auto memory = gpus().allocate(0, 4096);
  auto pinned = gpus().allocate_pinned(4096);
  auto stream = gpus().make_stream(0);
  REQUIRE((memory.ok() && pinned.ok() && stream.ok()));
  auto before = gpus().record_on(0, 0);
  REQUIRE(before.ok());
  REQUIRE((*stream)->wait_for(*before).ok());
  std::vector<std::byte> input(4096, std::byte{7});
  REQUIRE((*stream)->copy((*memory)->bytes(), input.data(), 4096).ok());
  REQUIRE((*stream)->copy((*pinned)->bytes(), (*memory)->bytes(), 4096).ok());
  auto end = (*stream)->record();
  REQUIRE(end.ok());
  const auto early = (*end)->wait(std::chrono::milliseconds(0));
  REQUIRE(early.ok());
  REQUIRE(*(*end)->wait(kBound));
  CHECK(std::memcmp((*pinned)->bytes(), input.data(), 4096) == 0);
}

TEST_CASE("a work queue runs on a GPU, from another thread, and leaves no context behind") {
  auto memory = gpus().allocate(0, 4096);
  REQUIRE(memory.ok());
  const auto pool = MemoryPool::pinned(gpus(), 8192);
  const auto room = pool->reserve(8192);
  std::byte* const a = pool->take(4096);
  std::byte* const b = pool->take(4096);
  std::byte* const beyond = pool->take(4096);
  CHECK(*gpus().where(beyond, 4096) == kHost);
  std::memset(a, 5, 4096);
  std::thread([&] {
    auto queue = WorkQueue::start(gpus(), 0, kBound);
    REQUIRE(queue.ok());
    std::promise<Result<void>> up, down;
    (*queue)->put({.steps = {WorkQueue::Copy{.to = (*memory)->bytes(), .from = a, .bytes = 4096}},
                   .done = [&](const Result<void>& outcome) { up.set_value(outcome); }});
    (*queue)->put({.steps = {WorkQueue::Copy{.to = b, .from = (*memory)->bytes(), .bytes = 4096}},
                   .done = [&](const Result<void>& outcome) { down.set_value(outcome); }});
    CHECK(up.get_future().get().ok());
    CHECK(down.get_future().get().ok());
  }).join();
  CHECK(std::memcmp(a, b, 4096) == 0);
  pool->give(a, 4096);
  pool->give(b, 4096);
  pool->give(beyond, 4096);
  if (const auto depth = reinterpret_cast<int (*)()>(::dlsym(::dlopen("libcuda.so.1", RTLD_LAZY), "fake_depth")))
    CHECK(depth() == 0);
}

TEST_CASE("a stream runs kernels from an image, and says which it does not find") {
  if (::dlsym(::dlopen("libcuda.so.1", RTLD_LAZY), "fake_depth") == nullptr) return;  // A real driver: device_kernels.
  auto memory = gpus().allocate(0, 64);
  auto stream = gpus().make_stream(0);
  REQUIRE((memory.ok() && stream.ok()));
  const Kernel set{.name = "set", .run_block = nullptr, .image = "set"};
  CHECK(gpus().runs(set));
  const unsigned char value = 7;
  REQUIRE((*stream)->launch(Launch::of(set, 1, {{(*memory)->bytes(), 64}}, value)).ok());
  CHECK(*(*memory)->bytes() == std::byte{7});
  const Kernel missing{.name = "missing", .run_block = nullptr, .image = "set"};
  CHECK((*stream)->launch(Launch::of(missing, 1, {}, value)).error().sentence ==
        "finding the kernel missing: invalid argument (CUDA error 500)");
  const Kernel none{.name = "none", .run_block = nullptr, .image = nullptr};
  CHECK(!gpus().runs(none));
  CHECK((*stream)->launch(Launch::of(none, 1, {}, value)).status() == Status::invalid_argument);
}

TEST_CASE("streams wait at gates, whose words serve others once they are open") {
  auto stream = gpus().make_stream(0);
  REQUIRE(stream.ok());
  for (int i = 0; i < 3000; ++i) {
    auto first = gpus().make_gate();
    auto second = gpus().make_gate();
    REQUIRE((first.ok() && second.ok()));
    REQUIRE(gpus().wait_on(0, 0, *first).ok());
    REQUIRE(gpus().wait_on(0, 0, *second).ok());
    (*second)->open();
    (*second)->open();
    (*first)->open();
  }
  const auto end = gpus().record_on(0, 0);
  REQUIRE(end.ok());
  CHECK(*(*end)->wait(kBound));
}

/// A function of the stand-in; null on a real driver.
template <class Function>
Function* fake(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(::dlopen("libcuda.so.1", RTLD_LAZY), name));
}

TEST_CASE("managed memory lies on its device, as others do") {
  const auto manage = fake<void(void*)>("fake_manage");
  auto memory = gpus().allocate(0, 64);
  REQUIRE(memory.ok());
  if (manage == nullptr) return;
  manage((*memory)->bytes());
  CHECK(*gpus().where((*memory)->bytes() + 3, 61) == 0);
  CHECK(gpus().where((*memory)->bytes() + 3, 62).status() == Status::invalid_argument);
}

TEST_CASE("each error of the driver says what to do") {
  const auto fail_next = fake<void(int)>("fake_fail_next");
  if (fail_next == nullptr) return;
  auto memory = gpus().allocate(0, 64);
  auto stream = gpus().make_stream(0);
  REQUIRE((memory.ok() && stream.ok()));
  std::byte here[64] = {};
  const auto sentence = [&](int result) {
    fail_next(result);
    return (*stream)->copy((*memory)->bytes(), here, 64).error().sentence;
  };
  CHECK(sentence(700).find("compute-sanitizer") != std::string::npos);
  CHECK(sentence(709).find("start this process again") != std::string::npos);
  // Nothing is left of them here: what comes next is as if they had not been.
  CHECK((*stream)->copy((*memory)->bytes(), here, 64).ok());
  fail_next(2);
  CHECK(gpus().allocate(0, 1000).error().sentence.find("free memory on the GPU") != std::string::npos);
  fail_next(719);
  CHECK(gpus().record_on(0, 0).error().sentence.find("compute-sanitizer") != std::string::npos);
}

TEST_CASE("memory that is made of several mappings lies on its device as a whole") {
  const auto map_by = fake<void(std::size_t)>("fake_map_by");
  if (map_by == nullptr) return;
  map_by(1 << 16);
  auto memory = gpus().allocate(0, 1'000'000);
  auto stream = gpus().make_stream(0);
  map_by(0);
  REQUIRE((memory.ok() && stream.ok()));
  std::byte* const at = (*memory)->bytes();
  CHECK(*gpus().where(at, 1'000'000) == 0);
  CHECK(*gpus().where(at + 65'535, 2) == 0);
  CHECK(gpus().where(at + 999'999, 2).status() == Status::invalid_argument);
  CHECK(gpus().where(at + 5, 1'000'000).error().sentence.find("which has 999995 bytes from there on") !=
        std::string::npos);
  const std::vector<std::byte> input(1'000'000, std::byte{7});
  CHECK((*stream)->copy(at, input.data(), input.size()).ok());
}

TEST_CASE("of two allocations right behind one another each is known by its bounds") {
  const auto divide = fake<void(void*, std::size_t)>("fake_divide");
  if (divide == nullptr) return;
  // There the driver has no pool.
  auto memory = gpus().allocate(1, 1000);
  REQUIRE(memory.ok());
  divide((*memory)->bytes(), 400);
  CHECK(*gpus().where((*memory)->bytes(), 400) == 1);
  CHECK(*gpus().where((*memory)->bytes() + 400, 600) == 1);
  CHECK(gpus().where((*memory)->bytes() + 3, 400).error().sentence.find("which has 397 bytes") !=
        std::string::npos);
}

TEST_CASE("a stream of the caller that the driver does not take is an invalid argument") {
  const auto fail_next = fake<void(int)>("fake_fail_next");
  if (fail_next == nullptr) return;
  auto gate = gpus().make_gate();
  REQUIRE(gate.ok());
  const Kernel set{.name = "set", .run_block = nullptr, .image = "set"};
  auto memory = gpus().allocate(0, 64);
  REQUIRE(memory.ok());
  const Launch launch = Launch::of(set, 1, {{(*memory)->bytes(), 64}}, std::uint8_t{7});
  REQUIRE(gpus().launch_on(0, 0, launch).ok());
  const std::string words = "the stream is none of device 0 (";
  for (const int result : {1, 201, 400}) {
    fail_next(result);
    const auto recorded = gpus().record_on(0, 0);
    CHECK(recorded.status() == Status::invalid_argument);
    CHECK(recorded.error().sentence.starts_with(words));
    fail_next(result);
    const auto launched = gpus().launch_on(0, 0, launch);
    CHECK(launched.status() == Status::invalid_argument);
    CHECK(launched.error().sentence.starts_with(words));
    fail_next(result);
    const auto waits = gpus().wait_on(0, 0, *gate);
    CHECK(waits.status() == Status::invalid_argument);
    CHECK(waits.error().sentence.starts_with(words));
  }
  // Of the library's own streams it is the device's fault.
  auto stream = gpus().make_stream(0);
  REQUIRE(stream.ok());
  fail_next(400);
  CHECK((*stream)->record().status() == Status::system);
}

TEST_CASE("where the driver has memory in the order of streams, none is waited for") {
  const auto wait_for_gates = fake<void(int)>("fake_wait_for_gates");
  const auto waited_in_vain = fake<int()>("fake_waited_in_vain");
  if (wait_for_gates == nullptr) return;
  auto gate = gpus().make_gate();
  REQUIRE((gate.ok() && gpus().allocate(0, 64).ok()));
  REQUIRE(gpus().wait_on(0, 0, *gate).ok());
  const auto after = gpus().record_on(0, 0);
  REQUIRE(after.ok());
  wait_for_gates(1);
  CHECK(gpus().allocate(0, 64).ok());
  wait_for_gates(0);
  CHECK(waited_in_vain() == 0);
  CHECK_FALSE(*(*after)->wait(std::chrono::milliseconds(50)));
  (*gate)->open();
  CHECK(*(*after)->wait(kBound));
}

TEST_CASE("where memory is missing, what is kept goes back to a driver that does not wait for it") {
  const auto fail_next = fake<void(int)>("fake_fail_next");
  if (fail_next == nullptr) return;
  for (const int device : {0, 1}) {
    const auto memory = KeptMemory::on(gpus(), device);
    std::byte* kept = nullptr;
    {
      const auto large = memory->take(1'000'000);
      REQUIRE(large.ok());
      kept = large->get();
    }
    fail_next(2);
    CHECK(memory->take(2'000'000).ok() == (device == 0));
    if (device == 1) CHECK(memory->take(1'000'000)->get() == kept);
  }
}

TEST_CASE("a gate opens while the driver is asked for the words of others, and waits for streams at gates") {
  const auto wait_for_gates = fake<void(int)>("fake_wait_for_gates");
  const auto waiting = fake<int()>("fake_waiting");
  const auto waited_in_vain = fake<int()>("fake_waited_in_vain");
  if (wait_for_gates == nullptr) return;
  auto first = gpus().make_gate();
  auto second = gpus().make_gate();
  REQUIRE((first.ok() && second.ok()));
  REQUIRE((gpus().wait_on(0, 0, *first).ok() && gpus().wait_on(0, 0, *second).ok()));
  wait_for_gates(1);
  // More than a page of words has.
  auto others = std::async(std::launch::async, [] {
    std::vector<std::shared_ptr<Gate>> made;
    for (int i = 0; i < 1500; ++i)
      if (auto gate = gpus().make_gate(); gate.ok()) made.push_back(std::move(*gate));
    return made.size();
  });
  while (waiting() == 0 && others.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
  }
  CHECK(waiting() == 1);
  (*first)->open();
  CHECK(waiting() == 1);
  (*second)->open();
  CHECK(others.get() == 1500);
  wait_for_gates(0);
  CHECK(waited_in_vain() == 0);
}

TEST_CASE("gates are made of pinned words, whatever allocation has failed before") {
  std::vector<std::shared_ptr<Gate>> made;
  for (std::uint64_t failing = 1; failing <= 10; ++failing)
    for (int i = 0; i < 1100; ++i) {
      test::FailingAllocations::begin(failing, 1);
      try {
        if (auto gate = gpus().make_gate(); gate.ok()) made.push_back(std::move(*gate));
      } catch (const std::bad_alloc&) {
        // The next one has memory.
      }
      test::FailingAllocations::end();
      if (i % 100 == 0 && !made.empty()) CHECK(gpus().wait_on(0, 0, made.back()).ok());
    }
}

/// With a driver that the process has loaded, and that is older than CUDA 11.7 (FAKE_IS_OLD).
TEST_CASE("memory of a GPU with a driver that is too old is refused, and the sentence says what is missing",
          "[.old]") {
  void* const library = ::dlopen("libcuda.so.1", RTLD_NOW);
  REQUIRE(library != nullptr);
  const auto function = [&]<class Function>(const char* name, Function) {
    return reinterpret_cast<Function>(::dlsym(library, name));
  };
  void* context = nullptr;
  CuDevicePtr memory = 0;
  REQUIRE(function("cuInit", CudaDriver().cuInit)(0) == 0);
  REQUIRE(function("cuDevicePrimaryCtxRetain", CudaDriver().cuDevicePrimaryCtxRetain)(&context, 0) == 0);
  REQUIRE(function("cuCtxPushCurrent_v2", CudaDriver().cuCtxPushCurrent)(context) == 0);
  REQUIRE(function("cuMemAlloc_v2", CudaDriver().cuMemAlloc)(&memory, 64) == 0);
  const auto devices = cuda_devices(false);
  REQUIRE(devices.ok());
  // So that callers ask where their memory lies.
  CHECK((*devices)->count() > 0);
  const auto found = (*devices)->where(reinterpret_cast<void*>(memory), 64);
  CHECK(found.status() == Status::invalid_argument);
  CHECK(found.error().sentence ==
        "the memory lies on a GPU, and the CUDA driver here is too old: it has no cuStreamWaitValue32_v2; "
        "install a "
        "driver of CUDA 11.7 or later, or use tensors of the host");
  const int here = 0;
  CHECK(*(*devices)->where(&here, sizeof here) == kHost);
  CHECK((*devices)->make_stream(0).error().sentence.find("cuStreamWaitValue32_v2") != std::string::npos);
  const auto named = cuda_devices(true);
  CHECK(named.status() == Status::system);
  CHECK(named.error().sentence.find("cuStreamWaitValue32_v2") != std::string::npos);
}

TEST_CASE("what the driver refuses is told in its words") {
  auto memory = gpus().allocate(0, 64);
  auto stream = gpus().make_stream(1);
  if (!stream.ok()) return;  // A machine with one GPU.
  REQUIRE(memory.ok());
  std::byte here[64];
  const auto wrong = (*stream)->copy(here, (*memory)->bytes(), 64);
  if (wrong.ok()) return;  // A real driver copies between GPUs.
  CHECK(wrong.error().sentence == "a copy on the GPU: invalid argument (CUDA error 1)");
}

}  // namespace hawser::device
