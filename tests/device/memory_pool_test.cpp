#include <algorithm>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "device/memory_pool.hpp"
#include "device/sim_devices.hpp"

namespace hawser::device {
namespace {

constexpr std::size_t kMost = 16 << 20;

TEST_CASE("a pool of pinned memory divides what was reserved, and takes no more than its bound") {
  const auto devices = SimDevices::make({});
  {
    const auto pool = MemoryPool::pinned(*devices, kMost);
    pool->reserve(6 << 20);
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
    pool->reserve(6 << 20);
    CHECK(devices->counters().pinned_bytes_most == pinned);
    std::byte* const whole = pool->take(6 << 20);
    pool->reserve(64 << 20);
    CHECK(devices->counters().pinned_bytes_most == kMost);
    pool->give(whole, 6 << 20);
  }
}

TEST_CASE("a pool of a device asks the driver where nothing is free, and gives that back") {
  const auto devices = SimDevices::make({.memory_bytes = 1 << 20});
  const auto pool = MemoryPool::on_device(*devices, 0, kMost);
  pool->reserve(1 << 10);
  std::byte* const a = pool->take(1 << 19);
  CHECK(*devices->where(a, 1 << 19) == 0);
  CHECK_THROWS_AS(pool->take(1 << 20), std::bad_alloc);
  pool->give(a, 1 << 19);
  std::byte* const b = pool->take(1 << 20);
  CHECK(*devices->where(b, 1 << 20) == 0);
  pool->give(b, 1 << 20);
}

}  // namespace
}  // namespace hawser::device
