#include "runtime/lanes.hpp"

#include <algorithm>
#include <string>

#include "runtime/io_thread.hpp"
#include "transport/quiet_thread.hpp"
#include "transport/thread_name.hpp"

namespace hawser {
namespace {

/// More share the memory's bandwidth, and processes of one machine its cores.
constexpr unsigned kLanesMost = 4;

thread_local Lanes::Lane* the_lane = nullptr;

}  // namespace

Lanes::Lane* Lanes::current() { return the_lane; }

unsigned lanes_for(unsigned cores) { return cores <= 2 ? 0 : std::min(cores / 2, kLanesMost); }

Result<std::unique_ptr<Lanes>> Lanes::start(unsigned count, std::function<void(const Thrown&)> failed) {
  std::unique_ptr<Lanes> lanes(new Lanes);
  lanes->failed_ = std::move(failed);
  lanes->lanes_.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    Lane& lane = *lanes->lanes_.emplace_back(std::make_unique<Lane>());
    lanes->guards_.emplace_back(lane.io.get_executor());
    auto thread = transport::start_quiet_thread([owner = lanes.get(), &lane, i] {
      the_lane = &lane;
      transport::name_this_thread("hawser-lane" + std::to_string(i));
      run_io(lane.io, [owner](const Thrown& thrown) noexcept { owner->failed_(thrown); });
    });
    if (!thread.ok()) return thread.error();
    lane.thread = std::move(*thread);
  }
  return lanes;
}

Lanes::~Lanes() {
  for (const auto& lane : lanes_) lane->io.stop();
  for (const auto& lane : lanes_)
    if (lane->thread.joinable()) lane->thread.join();
}

void Lanes::leave_behind() noexcept {
  for (const auto& lane : lanes_)
    if (lane->thread.joinable()) lane->thread.detach();
}

}  // namespace hawser
