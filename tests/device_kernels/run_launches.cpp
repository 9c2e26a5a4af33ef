#include "run_launches.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "catch.hpp"
#include "device/cuda_devices.hpp"
#include "device/devices.hpp"
#include "device/sim_devices.hpp"
#include "on_host.hpp"

namespace hawser::device_kernels {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{64} << 20;
constexpr std::size_t kAlignment = 256;
constexpr std::size_t kGuardBytes = 256;
constexpr std::byte kGuard{0xa5};
constexpr std::chrono::minutes kBound{2};

/// A stretch of the host's memory, and its copy on the device with a guard before and behind it.
struct Copy {
  std::byte* host = nullptr;
  std::size_t bytes = 0;
  std::byte* device = nullptr;
};

class TestDevice {
 public:
  explicit TestDevice(std::unique_ptr<device::Devices> devices) : devices_(std::move(devices)) {
    auto stream = devices_->make_stream(0);
    auto arena = devices_->allocate(0, kArenaBytes);
    auto pinned = devices_->allocate_pinned(kArenaBytes);
    REQUIRE((stream.ok() && arena.ok() && pinned.ok()));
    stream_ = std::move(*stream);
    arena_ = std::move(*arena);
    pinned_ = std::move(*pinned);
  }

  void run(const std::vector<device::Launch>& launches) {
    const std::map<std::byte*, Copy> copies = place(launches);
    if (copies.empty()) return;
    std::byte* const staged = pinned_->bytes();
    std::fill_n(staged, used_, kGuard);
    for (const auto& [host, copy] : copies) std::copy_n(host, copy.bytes, staged + offset(copy));
    need(stream_->copy(arena_->bytes(), staged, used_));
    for (const device::Launch& launch : launches) need(stream_->launch(translated(launch, copies)));
    need(stream_->copy(staged, arena_->bytes(), used_));
    const auto end = stream_->record();
    REQUIRE(end.ok());
    const auto done = (*end)->wait(kBound);
    INFO((done.ok() ? "it takes longer than two minutes" : done.error().sentence));
    REQUIRE((done.ok() && *done));
    for (const auto& [host, copy] : copies) {
      std::byte* const back = staged + offset(copy);
      REQUIRE(std::all_of(back - kGuardBytes, back, [](std::byte byte) { return byte == kGuard; }));
      REQUIRE(std::all_of(back + copy.bytes, back + copy.bytes + kGuardBytes,
                          [](std::byte byte) { return byte == kGuard; }));
      std::copy_n(back, copy.bytes, host);
    }
  }

 private:
  static void need(const Result<void>& result) {
    if (!result.ok()) FAIL(result.error().sentence);
  }

  std::size_t offset(const Copy& copy) const { return static_cast<std::size_t>(copy.device - arena_->bytes()); }

  /// By address. Memory that overlaps becomes one copy.
  std::map<std::byte*, Copy> place(const std::vector<device::Launch>& launches) {
    std::map<std::byte*, std::size_t> touched;
    for (const device::Launch& launch : launches)
      for (const device::Launch::Memory& memory : launch.memory)
        if (memory.bytes > 0) touched[memory.at] = std::max(touched[memory.at], memory.bytes);
    std::map<std::byte*, Copy> copies;
    for (const auto& [at, bytes] : touched) {
      Copy* const before = copies.empty() ? nullptr : &std::prev(copies.end())->second;
      if (before != nullptr && at <= before->host + before->bytes)
        before->bytes = std::max(before->bytes, static_cast<std::size_t>(at - before->host) + bytes);
      else
        copies[at] = {.host = at, .bytes = bytes, .device = nullptr};
    }
    used_ = 0;
    for (auto& [at, copy] : copies) {
      used_ = (used_ + kGuardBytes + kAlignment - 1) / kAlignment * kAlignment;
      used_ += reinterpret_cast<std::uintptr_t>(at) % kAlignment;
      copy.device = arena_->bytes() + used_;
      used_ += copy.bytes + kGuardBytes;
    }
    REQUIRE(used_ <= kArenaBytes);
    return copies;
  }

  device::Launch translated(device::Launch launch, const std::map<std::byte*, Copy>& copies) const {
    for (device::Launch::Memory& memory : launch.memory) {
      if (memory.at == nullptr) continue;
      // Any place on the device will do for nothing.
      if (memory.bytes == 0) {
        memory.at = arena_->bytes();
        continue;
      }
      const Copy& copy = std::prev(copies.upper_bound(memory.at))->second;
      memory.at = copy.device + (memory.at - copy.host);
    }
    return launch;
  }

  std::unique_ptr<device::Devices> devices_;
  std::unique_ptr<device::Stream> stream_;
  std::unique_ptr<device::Memory> arena_;
  std::unique_ptr<device::Memory> pinned_;
  std::size_t used_ = 0;  ///< Of the arena.
};

/// Null: the host.
std::unique_ptr<TestDevice> find_device() {
  const char* const named = std::getenv("HAWSER_TEST_DEVICE");
  const std::string name = named == nullptr ? "" : named;
  if (name.empty()) return nullptr;
  if (name == "sim") return std::make_unique<TestDevice>(device::SimDevices::make({.delay_most = {}}));
  INFO("HAWSER_TEST_DEVICE is '" << name << "'; it can be cuda or sim, or be left out");
  REQUIRE(name == "cuda");
  auto devices = device::cuda_devices(true);
  if (!devices.ok()) FAIL(devices.error().sentence);
  return std::make_unique<TestDevice>(std::move(*devices));
}

}  // namespace

void run_launches(const std::vector<device::Launch>& launches) {
  static const std::unique_ptr<TestDevice> on = find_device();
  if (on)
    on->run(launches);
  else
    run_on_host(launches);
}

}  // namespace hawser::device_kernels
