#include <dlfcn.h>

#include <cstring>
#include <future>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "device/work_queue.hpp"
#include "device/cuda_devices.hpp"
#include "device/memory_pool.hpp"

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
