#include <algorithm>
#include <future>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "device/kept_memory.hpp"
#include "device/memory_pool.hpp"
#include "device/sim_devices.hpp"
#include "device/staged_copies.hpp"
#include "faults/failing_allocations.hpp"

namespace hawser::device {
namespace {

constexpr std::size_t kMost = 16 << 20;

TEST_CASE("a pool of pinned memory divides what was reserved, and takes no more than its bound") {
  const auto devices = SimDevices::make({});
  {
    const auto pool = MemoryPool::pinned(*devices, kMost);
    auto room = pool->reserve(6 << 20);
    const auto pinned = devices->counters().pinned_bytes_most;
    CHECK(pinned == 6 << 20);
    Random random(7);
    std::vector<std::pair<std::byte*, std::size_t>> taken;
    for (int i = 0; i < 3000; ++i) {
      if (!taken.empty() && random.chance(1, 2)) {
        const auto pick = static_cast<std::size_t>(random.below(taken.size()));
        pool->give(taken[pick].first, taken[pick].second);
        taken[pick] = taken.back();
        taken.pop_back();
        continue;
      }
      const auto bytes = static_cast<std::size_t>(random.below(300'000));
      std::byte* const at = pool->take(bytes);
      for (const auto& [other, size] : taken) CHECK((at + bytes <= other || other + size <= at));
      std::fill_n(at, bytes, std::byte{1});
      taken.emplace_back(at, bytes);
    }
    CHECK(devices->counters().pinned_bytes_most == pinned);
    for (const auto& [at, bytes] : taken) pool->give(at, bytes);
    // All of it is one piece again: nothing more is needed.
    room.reset();
    room = pool->reserve(6 << 20);
    CHECK(devices->counters().pinned_bytes_most == pinned);
    std::byte* const whole = pool->take(6 << 20);
    const auto beyond = pool->reserve(64 << 20);
    CHECK(devices->counters().pinned_bytes_most == kMost);
    pool->give(whole, 6 << 20);
  }
}

TEST_CASE("calls at once have room of their own in a pool, and give it back at their end") {
  const auto devices = SimDevices::make({});
  const auto pool = MemoryPool::pinned(*devices, kMost);
  auto first = pool->reserve(6 << 20);
  const auto second = pool->reserve(6 << 20);
  CHECK(devices->counters().pinned_bytes_most == 12 << 20);
  // In place of one that has ended there is nothing more to be had.
  first.reset();
  const auto third = pool->reserve(6 << 20);
  CHECK(devices->counters().pinned_bytes_most == 12 << 20);
  // Up to the bound.
  const auto fourth = pool->reserve(6 << 20);
  CHECK(devices->counters().pinned_bytes_most == kMost);
  {
    const PooledBuffer one = pool->take_reserved(1 << 20);
    one[0] = std::byte{1};
  }
}

TEST_CASE("who takes from a pool does not wait for the driver, which somebody else has asked for more") {
  const auto devices = SimDevices::make({});
  const auto pool = MemoryPool::pinned(*devices, kMost);
  const auto here = pool->reserve(4 << 20);
  const std::uintptr_t stream = devices->make_user_stream(0);
  auto gate = devices->make_gate();
  REQUIRE((gate.ok() && devices->wait_on(0, stream, *gate).ok()));
  devices->wait_for_gates(true);
  auto more = std::async(std::launch::async, [&] { return pool->reserve(8 << 20); });
  std::byte* const taken = pool->take(1 << 20);
  pool->give(taken, 1 << 20);
  CHECK(more.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  (*gate)->open();
  CHECK(more.get() != nullptr);
  CHECK(devices->counters().waited_in_vain == 0);
}

TEST_CASE("memory of a device is kept for others, and goes back to the driver when it is told to") {
  const auto devices = SimDevices::make({.memory_bytes = 1 << 20});
  const auto memory = KeptMemory::on(*devices, 0);
  auto a = memory->take(1 << 19);
  REQUIRE(a.ok());
  std::byte* const at = a->get();
  CHECK(*devices->where(at, 1 << 19) == 0);
  CHECK(memory->take(1 << 20).status() == Status::system);
  const std::uintptr_t stream = devices->make_user_stream(0);
  auto gate = devices->make_gate();
  REQUIRE((gate.ok() && devices->wait_on(0, stream, *gate).ok()));
  devices->wait_for_gates(true);
  // The driver is asked for nothing meanwhile.
  *a = nullptr;
  auto again = memory->take(1 << 18);
  REQUIRE(again.ok());
  CHECK(again->get() == at);
  *again = nullptr;
  CHECK(devices->counters().waited_in_vain == 0);
  (*gate)->open();
  memory->trim(1 << 19);
  CHECK(devices->counters().device_bytes == 1 << 19);
  memory->trim(0);
  CHECK(devices->counters().device_bytes == 0);
  CHECK(memory->take(1 << 20).ok());
}

TEST_CASE("no need of a device's memory fails while a larger piece of it is free") {
  const auto devices = SimDevices::make({.memory_bytes = 24 << 20});
  const auto memory = KeptMemory::on(*devices, 0);
  std::byte* kept = nullptr;
  {
    const auto large = memory->take(20 << 20);
    REQUIRE(large.ok());
    kept = large->get();
  }
  {
    // While the driver has memory, this stays for those who need as much.
    const auto first = memory->take(3 << 20);
    REQUIRE(first.ok());
    CHECK(first->get() != kept);
    const auto second = memory->take(3 << 20);
    REQUIRE(second.ok());
    CHECK(second->get() == kept);
    CHECK(memory->take(3 << 20).status() == Status::system);
  }
  // Who may wait for the driver leaves more to others.
  const auto first = memory->take(5 << 20, true);
  const auto second = memory->take(5 << 20, true);
  REQUIRE((first.ok() && second.ok()));
  CHECK(devices->counters().device_bytes == 10 << 20);
}

TEST_CASE("of memory of a device that hangs nothing goes back to the driver") {
  // Kept: so is what was allocated there.
  static const auto devices = SimDevices::make({});
  {
    const auto memory = KeptMemory::on(*devices, 0);
    const auto pool = MemoryPool::pinned(*devices, kMost);
    REQUIRE(memory->take(1 << 19).ok());
    static_cast<void>(pool->reserve(1 << 20));
    devices->hang_device(0);
    devices->wait_for_gates(true);
    memory->lose();
    pool->lose();
    memory->trim(0);
  }
  CHECK(devices->counters().waited_in_vain == 0);
  CHECK(devices->counters().device_bytes == 1 << 19);
}

TEST_CASE("of memory of a device that hangs nothing goes back for lack of memory to remember it") {
  // Kept: so is what was allocated there.
  static const auto devices = SimDevices::make({});
  {
    const auto memory = KeptMemory::on(*devices, 0);
    const auto pool = MemoryPool::pinned(*devices, kMost);
    StagedCopies copies(*devices, 0, std::chrono::seconds(1));
    REQUIRE((memory->take(1 << 19).ok() && copies.make_ready().ok()));
    static_cast<void>(pool->reserve(1 << 20));
    devices->hang_device(0);
    devices->wait_for_gates(true);
    memory->lose();
    pool->lose();
    test::FailingAllocations::begin(2, 1000);
    copies.lose();
    memory->trim(0);
  }
  test::FailingAllocations::end();
  CHECK(devices->counters().waited_in_vain == 0);
  CHECK(devices->counters().device_bytes == 1 << 19);
}

}  // namespace
}  // namespace hawser::device
