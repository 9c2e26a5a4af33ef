#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "sim/fault_driver.hpp"
#include "sim/relay_application.hpp"

/// What happens to relays.
namespace hawser::sim {

void FaultDriver::start_relay(Duration delay) {
  Process::Place place{.group = relays_started_ % world_.profile.groups, .relay = true};
  // Some say what they offer, and plans find it out of the others.
  if (world_.random.chance(1, 2)) place.relay_bytes_per_second = world_.random.next() >> world_.random.between(24, 50);
  Process& relay = world_.start_process("relay" + std::to_string(++relays_started_), place);
  auto application = std::make_unique<RelayApplication>(world_, relay);
  application->start(delay);
  relay.run(std::move(application));
}

/// Mostly one that is at work, if there is one.
Process* FaultDriver::any_relay() {
  std::vector<Process*> relays = world_.living_relays();
  if (relays.empty()) return nullptr;
  const bool at_work = world_.random.chance(3, 4);
  const auto idle = std::stable_partition(relays.begin(), relays.end(),
                                          [](const Process* relay) { return relay->has_relayed_call(); });
  if (at_work && idle != relays.begin()) relays.erase(idle, relays.end());
  return relays[static_cast<std::size_t>(world_.random.below(relays.size()))];
}

void FaultDriver::kill_relay() {
  Process* const relay = any_relay();
  if (relay == nullptr) return;
  world_.coverage.saw("fault: relay killed");
  if (relay->has_relayed_call()) world_.coverage.saw("sim: relay killed with a call under way");
  relay->kill(any_ending());
}

void FaultDriver::cut_relay(Process& relay) {
  Process* const member = any(true);
  switch (world_.random.below(member != nullptr ? 5 : 1)) {
    case 0:
      world_.coverage.saw("fault: relay's control cut");
      return world_.control.cut(relay, CutSeenBy::both);
    case 1:
      world_.coverage.saw("fault: relay's links cut");
      return world_.links.cut_pair(relay, *member);
    case 2:
      world_.coverage.saw("fault: relay is slow");
      return slow_down(relay);
    case 3:
      world_.coverage.saw("fault: relay partitioned");
      world_.links.refuse_dials(relay, *member);
      return world_.links.cut_pair(relay, *member);
    default: world_.coverage.saw("fault: relay blackholed"); return block(relay, *member);
  }
}

void FaultDriver::happen_to_relays(Kind kind) {
  if (kind == Kind::relay_start) {
    if (world_.living_relays().size() >= world_.profile.relays + 1) return;
    world_.coverage.saw("fault: relay started");
    return start_relay(Duration::zero());
  }
  if (kind == Kind::relay_kill) return kill_relay();
  Process* const relay = any_relay();
  if (relay == nullptr || relay->stopped()) return;
  if (kind == Kind::relay_cut) return cut_relay(*relay);
  if (world_.random.chance(1, 3)) return silence(*relay);
  world_.coverage.saw("fault: relay stopped");
  stop(*relay);
}

}  // namespace hawser::sim
