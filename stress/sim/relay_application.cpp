#include "sim/relay_application.hpp"

#include "sim/world.hpp"

namespace hawser::sim {

void RelayApplication::start(Duration delay) {
  process_.in_process(delay, [this] { connect(); });
}

void RelayApplication::connect() { process_.connect(); }

/// Nobody tells it that it is out of the run: no call of its own ends by that.
void RelayApplication::look() {
  if (!process_.info().connected) return connect();
  process_.in_process(Duration(world_.random.between(1000, 1000000)), [this] { look(); });
}

void RelayApplication::call_ended(const Call&, const CallDone&) {
  process_.in_process(Duration(world_.random.between(1000, 200000)), [this] { look(); });
}

}  // namespace hawser::sim
