/// Shared state on simulated devices through the C face: run with HAWSER_DEVICE=sim (capi_on_devices).
#include <hawser.h>
#include <hawser_shared_state.h>
#include <hawser_sim_device.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "two_members.hpp"

namespace {

bool has_simulated_devices() {
  const char* const named = std::getenv("HAWSER_DEVICE");
  return named != nullptr && std::string_view(named).starts_with("sim");
}

/// Floats on a device, which a stream writes late.
class OnDevice {
 public:
  OnDevice(std::int32_t device, std::size_t count, float value) : count_(count) {
    REQUIRE(hawserSimDeviceStream(device, &stream_) == hawserSuccess);
    REQUIRE(hawserSimDeviceAllocate(device, 4 * count, &memory_) == hawserSuccess);
    const std::vector<float> values(count, value);
    REQUIRE(hawserSimDeviceWrite(stream_, memory_, values.data(), 4 * count) == hawserSuccess);
  }
  ~OnDevice() { (void)hawserSimDeviceFree(memory_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  void* stream() const { return stream_; }
  void wait() const { REQUIRE(hawserSimDeviceSynchronise(stream_) == hawserSuccess); }
  hawserStateTensor_t tensor(const char* name, std::uint64_t more = 0) const {
    return {name, memory_, count_ + more, hawserFloat32, hawserMemoryByAddress, 0};
  }

 private:
  std::size_t count_;
  void* memory_ = nullptr;
  void* stream_ = nullptr;
};

std::string digest_of(hawserSharedState_t state) {
  char digest[HAWSER_DIGEST_BYTES] = "";
  REQUIRE(hawserSharedStateGetDigest(state, digest) == hawserSuccess);
  return digest;
}

}  // namespace

TEST_CASE("a shared state on devices has the digest of one on the host") {
  if (!has_simulated_devices()) return;
  const OnDevice one(0, 600'000, 1.5f);
  const OnDevice two(1, 10, 2.5f);
  one.wait();
  two.wait();
  const hawserStateTensor_t there[] = {one.tensor("one"), two.tensor("two")};
  std::vector<float> first(600'000, 1.5f), second(10, 2.5f);
  const hawserStateTensor_t here[] = {{"one", first.data(), first.size(), hawserFloat32, hawserMemoryByAddress, 0},
                                      {"two", second.data(), second.size(), hawserFloat32, hawserMemoryByAddress, 0}};
  hawserSharedState_t on_devices = nullptr, on_host = nullptr;
  REQUIRE(hawserSharedStateCreate(there, 2, &on_devices) == hawserSuccess);
  REQUIRE(hawserSharedStateCreate(here, 2, &on_host) == hawserSuccess);
  CHECK(digest_of(on_devices) == digest_of(on_host));
  CHECK(hawserSharedStateDestroy(on_devices) == hawserSuccess);
  CHECK(hawserSharedStateDestroy(on_host) == hawserSuccess);
}

TEST_CASE("a synchronisation comes after the stream in its options, and refuses one of another device") {
  if (!has_simulated_devices()) return;
  TwoMembers members;
  const OnDevice values(0, 100'000, 3.0f);
  const OnDevice elsewhere(1, 1, 0.0f);
  std::vector<float> lacking(100'000);
  const hawserStateTensor_t tensors[] = {values.tensor("values"),
                                         {"values", lacking.data(), lacking.size(), hawserFloat32,
                                          hawserMemoryByAddress, 0}};
  members.run([&](std::size_t who) {
    hawserSharedState_t state = nullptr;
    CHECK(hawserSharedStateCreate(&tensors[who], 1, &state) == hawserSuccess);
    hawserComm_t comm = members.comms[who].handle();
    hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
    if (who == 0) {
      CHECK(hawserSharedStateSetRevision(state, 1) == hawserSuccess);
      options.stream = elsewhere.stream();
      CHECK(hawserSharedStateSync(comm, state, &options, nullptr) == hawserErrorInvalidArgument);
      options.stream = values.stream();
    }
    CHECK(hawserSharedStateSync(comm, state, &options, nullptr) == hawserSuccess);
    CHECK(hawserSharedStateDestroy(state) == hawserSuccess);
  });
  CHECK(lacking == std::vector(100'000, 3.0f));
}

TEST_CASE("a tensor of a shared state that is longer than its memory is refused by name") {
  if (!has_simulated_devices()) return;
  const OnDevice values(1, 100, 0.0f);
  const hawserStateTensor_t tensor = values.tensor("weights", 1);
  hawserSharedState_t state = nullptr;
  CHECK(hawserSharedStateCreate(&tensor, 1, &state) == hawserErrorInvalidArgument);
  CHECK(std::string(hawserGetLastError()).find("\"weights\": 404 bytes reach beyond") != std::string::npos);
}
