/// Devices through the C face, on the simulated ones (capi_on_devices); without HAWSER_DEVICE=sim nothing is tested
/// here.
#include <hawser.h>
#include <hawser_optim.h>
#include <hawser_sim_device.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace {

bool has_devices() {
  const char* const named = std::getenv("HAWSER_DEVICE");
  return named != nullptr && std::string_view(named).starts_with("sim");
}

class FloatsOnDevice {
 public:
  FloatsOnDevice(const std::vector<float>& values, int32_t device) : bytes_(values.size() * sizeof(float)) {
    REQUIRE(hawserSimDeviceAllocate(device, bytes_, &memory_) == hawserSuccess);
    REQUIRE(hawserSimDeviceCopy(memory_, values.data(), bytes_) == hawserSuccess);
  }
  ~FloatsOnDevice() { CHECK(hawserSimDeviceFree(memory_) == hawserSuccess); }
  FloatsOnDevice(const FloatsOnDevice&) = delete;
  FloatsOnDevice& operator=(const FloatsOnDevice&) = delete;
  void* get() const { return memory_; }
  std::vector<float> now() const {
    std::vector<float> values(bytes_ / sizeof(float));
    REQUIRE(hawserSimDeviceCopy(values.data(), memory_, bytes_) == hawserSuccess);
    return values;
  }

 private:
  void* memory_ = nullptr;
  std::uint64_t bytes_;
};

std::vector<float> numbers(std::size_t count, float by) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = (static_cast<float>(i % 101) - 50) * by;
  return values;
}

}  // namespace

TEST_CASE("the arithmetic of DiLoCo has the host's bits on a device, in the order of the thread's stream") {
  if (!has_devices()) return;
  constexpr std::uint64_t kCount = 10'007;
  auto outer = numbers(kCount, 0.37F);
  auto inner = numbers(kCount, 0.41F);
  auto momentum = numbers(kCount, 0.1F);
  std::vector<float> delta(kCount);
  const FloatsOnDevice there_outer(outer, 1), there_inner(inner, 1), there_momentum(momentum, 1), there_delta(delta, 1);
  void* stream = nullptr;
  REQUIRE(hawserSimDeviceStream(1, &stream) == hawserSuccess);
  REQUIRE(hawserOptimSetStream(stream) == hawserSuccess);
  const auto both = [&](const auto& call) {
    REQUIRE(call(outer.data(), inner.data(), momentum.data(), delta.data()) == hawserSuccess);
    REQUIRE(call(there_outer.get(), there_inner.get(), there_momentum.get(), there_delta.get()) == hawserSuccess);
  };
  both([](void*, void*, void* m, void*) { return hawserClearMomentum(m, kCount, hawserFloat32); });
  for (int step = 0; step < 3; ++step) {
    both([](void* o, void* i, void*, void* d) { return hawserPseudoGradient(o, i, d, kCount, hawserFloat32, 0.3); });
    both([](void*, void*, void*, void* d) { return hawserScale(d, kCount, hawserFloat32, 1.7, 3); });
    both([](void* o, void*, void* m, void* d) { return hawserOuterStep(o, m, d, kCount, hawserFloat32, nullptr); });
    both([](void* o, void* i, void*, void*) { return hawserMix(i, o, kCount, hawserFloat32, 0.6); });
    both([](void* o, void* i, void*, void* d) { return hawserAddDifference(i, o, d, kCount, hawserFloat32); });
  }
  REQUIRE(hawserSimDeviceSynchronise(stream) == hawserSuccess);
  CHECK(there_outer.now() == outer);
  CHECK(there_inner.now() == inner);
  CHECK(there_momentum.now() == momentum);
  CHECK(there_delta.now() == delta);
  REQUIRE(hawserOptimSetStream(nullptr) == hawserSuccess);
}

TEST_CASE("tensors of one step in different places, or beyond their allocation, are refused") {
  if (!has_devices()) return;
  const FloatsOnDevice zero(numbers(8, 1), 0), one(numbers(8, 1), 1);
  std::vector<float> here(8);
  CHECK(hawserMix(zero.get(), one.get(), 8, hawserFloat32, 0.5) == hawserErrorInvalidArgument);
  CHECK(std::string(hawserGetLastError()).find("different devices") != std::string::npos);
  CHECK(hawserMix(zero.get(), here.data(), 8, hawserFloat32, 0.5) == hawserErrorInvalidArgument);
  CHECK(hawserScale(zero.get(), 9, hawserFloat32, 1, 1) == hawserErrorInvalidArgument);
  void* stream = nullptr;
  REQUIRE(hawserSimDeviceStream(1, &stream) == hawserSuccess);
  REQUIRE(hawserOptimSetStream(stream) == hawserSuccess);
  CHECK(hawserScale(zero.get(), 8, hawserFloat32, 2, 1) == hawserErrorInvalidArgument);
  REQUIRE(hawserOptimSetStream(nullptr) == hawserSuccess);
  CHECK(zero.now() == numbers(8, 1));
  CHECK(hawserOpStreamWait(nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSimDeviceBreak(64) == hawserErrorInvalidArgument);
  CHECK(hawserSimDeviceHang(-1) == hawserErrorInvalidArgument);
}
