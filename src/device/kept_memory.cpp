#include "device/kept_memory.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "device/keep_for_ever.hpp"

namespace hawser::device {
namespace {

/// The driver is asked for multiples of it.
constexpr std::size_t kUnit = 64 << 10;
/// Pieces of up to this size serve any need. A larger one serves needs of at least half its size, and others
/// only where the driver has nothing for them.
constexpr std::size_t kAnyBytes = 4 << 20;

}  // namespace

std::shared_ptr<KeptMemory> KeptMemory::on(Devices& devices, int device) {
  return std::shared_ptr<KeptMemory>(new KeptMemory(devices, device));
}

KeptMemory::~KeptMemory() { free(std::move(free_)); }

Result<std::shared_ptr<std::byte>> KeptMemory::take(std::size_t bytes, bool may_trim) {
  struct Taken {
    std::shared_ptr<KeptMemory> owner;
    Pieces one;
    ~Taken() {
      if (!one.empty()) owner->give(one);
    }
  };
  const auto taken = std::make_shared<Taken>(shared_from_this());
  taken->one = take_free(bytes, std::max(2 * bytes, kAnyBytes));
  if (taken->one.empty()) {
    const std::size_t wanted = (std::max<std::size_t>(1, bytes) + kUnit - 1) / kUnit * kUnit;
    auto made = devices_.allocate(device_, wanted);
    // What is kept may be what is missing.
    if (!made.ok() && (may_trim || devices_.frees_at_once(device_))) {
      trim(0);
      made = devices_.allocate(device_, wanted);
    }
    if (made.ok())
      taken->one.push_back({.memory = std::move(*made), .bytes = wanted});
    else
      taken->one = take_free(bytes, std::numeric_limits<std::size_t>::max());
    if (taken->one.empty()) return made.error();
  }
  return std::shared_ptr<std::byte>(taken, taken->one.front().memory->bytes());
}

/// The smallest that fits; none where nothing does.
KeptMemory::Pieces KeptMemory::take_free(std::size_t bytes, std::size_t bytes_most) {
  Pieces found;
  const std::lock_guard lock(mutex_);
  auto best = free_.end();
  for (auto one = free_.begin(); one != free_.end(); ++one)
    if (one->bytes >= bytes && one->bytes <= bytes_most &&
        (best == free_.end() || one->bytes < best->bytes))
      best = one;
  if (best != free_.end()) found.splice(found.end(), free_, best);
  return found;
}

void KeptMemory::give(Pieces& one) noexcept {
  const std::lock_guard lock(mutex_);
  free_.splice(free_.end(), one);
}

void KeptMemory::trim(std::size_t bytes_kept) noexcept {
  Pieces beyond;
  {
    const std::lock_guard lock(mutex_);
    std::size_t kept = 0;
    for (const Piece& one : free_) kept += one.bytes;
    while (kept > bytes_kept) {
      const auto largest = std::max_element(free_.begin(), free_.end(),
                                            [](const Piece& a, const Piece& b) { return a.bytes < b.bytes; });
      kept -= largest->bytes;
      beyond.splice(beyond.end(), free_, largest);
    }
  }
  // Without the mutex: others need not wait for the driver.
  free(std::move(beyond));
}

void KeptMemory::free(Pieces pieces) const noexcept {
  if (!is_lost_) return;
  for (Piece& one : pieces) keep_for_ever(std::move(one.memory));
}

}  // namespace hawser::device
