#include <dlfcn.h>

#include <barrier>

#include "catch.hpp"
#include "device/cuda_driver.hpp"
#include "run_fixture.hpp"

/// On a driver for CUDA, with HAWSER_DEVICE=cuda: a GPU's (tools/gpu_check.sh), or the stand-in of
/// tests/device_cuda/fake_driver.c (runtime_on_cuda). Without that there is nothing to test here.
namespace hawser::test {
namespace {

constexpr std::chrono::minutes kGpuBound{5};
constexpr std::uint64_t kOnGpu = 1 << 20;

device::Devices* gpus() {
  const auto found = device::devices();
  if (!found.ok() || (*found)->name() != std::string_view("cuda") || (*found)->count() == 0) return nullptr;
  return *found;
}

/// A function of the driver's library, or of the stand-in.
template <class Function>
Function function_of_driver(const char* name) {
  return reinterpret_cast<Function>(::dlsym(::dlopen("libcuda.so.1", RTLD_LAZY), name));
}

std::uintptr_t make_stream_of_caller(int device) {
  const device::CudaDriver& driver = *device::cuda_driver(false).usable;
  device::CuContext context = nullptr;
  device::CuStream stream = nullptr;
  REQUIRE(driver.cuDevicePrimaryCtxRetain(&context, device) == 0);
  REQUIRE(driver.cuCtxPushCurrent(context) == 0);
  REQUIRE(driver.cuStreamCreate(&stream, device::kCuStreamNonBlocking) == 0);
  REQUIRE(driver.cuCtxPopCurrent(&context) == 0);
  return reinterpret_cast<std::uintptr_t>(stream);
}

void copy_on_gpu(int device, void* to, const void* from, std::size_t bytes) {
  auto stream = device::PatientStream::make(*gpus(), device, kGpuBound);
  REQUIRE(stream.ok());
  REQUIRE((*stream)->copy(static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes).ok());
  const auto end = (*stream)->record();
  REQUIRE(end.ok());
  REQUIRE((*stream)->wait(**end).ok());
}

}  // namespace

TEST_CASE("on CUDA two calls in place and one stream that waits for both wait for nothing of each other") {
  if (gpus() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const auto wait_for_gates = function_of_driver<void (*)(int)>("fake_wait_for_gates");
  const auto waited_in_vain = function_of_driver<int (*)()>("fake_waited_in_vain");
  const std::vector<float> ones(kOnGpu, 1.0F);
  std::vector<std::unique_ptr<device::Memory>> tensors;
  std::vector<std::uintptr_t> streams;
  for (int i = 0; i < 4; ++i) {
    const int device = i % 2 % gpus()->count();
    auto made = gpus()->allocate(device, 4 * kOnGpu);
    REQUIRE(made.ok());
    copy_on_gpu(device, (*made)->bytes(), ones.data(), 4 * kOnGpu);
    tensors.push_back(std::move(*made));
    streams.push_back(make_stream_of_caller(device));
  }
  if (wait_for_gates != nullptr) wait_for_gates(1);
  // Both members are in one process, whose driver asks for pinned memory beside all streams.
  std::barrier both_have_called(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    const int device = static_cast<int>(who) % gpus()->count();
    for (int round = 0; round < 2; ++round) {
      std::vector<AsyncCollective> calls;
      for (std::uint64_t tag = 0; tag < 2; ++tag) {
        std::byte* const at = tensors[who + 2 * tag]->bytes();
        auto call = peer.start({.call = {.signature = {.count = kOnGpu}, .send = at, .receive = at},
                                .tag = tag,
                                .stream = streams[who + 2 * tag]});
        REQUIRE(call.ok());
        both_have_called.arrive_and_wait();
        REQUIRE(call->stream_wait(streams[who]).ok());
        calls.push_back(*call);
      }
      const auto event = gpus()->record_on(device, streams[who]);
      REQUIRE(event.ok());
      REQUIRE(*(*event)->wait(kGpuBound));
      for (const AsyncCollective& call : calls) CHECK(call.wait().ok());
    }
  });
  if (wait_for_gates != nullptr) {
    wait_for_gates(0);
    CHECK(waited_in_vain() == 0);
  }
  for (const std::uintptr_t stream : streams)
    CHECK(device::cuda_driver(false).usable->cuStreamDestroy(reinterpret_cast<device::CuStream>(stream)) ==
          0);
  std::vector<float> result(kOnGpu);
  for (int i = 0; i < 4; ++i) {
    copy_on_gpu(i % 2 % gpus()->count(), result.data(), tensors[static_cast<std::size_t>(i)]->bytes(),
                4 * kOnGpu);
    CHECK(result == std::vector<float>(kOnGpu, 4.0F));
  }
}

}  // namespace hawser::test
