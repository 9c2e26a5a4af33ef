#include "topology/cost.hpp"

namespace hawser {
namespace {

double in_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

double wire_seconds(const Conditions& c) {
  const double n = c.world_size;
  return 2 * (n - 1) / n * static_cast<double>(c.payload_bytes) / c.bytes_per_second;
}

}  // namespace

double ring_seconds(const Conditions& c) {
  const double hops = 2.0 * (c.world_size - 1);
  return wire_seconds(c) + hops * (in_seconds(c.delay) + in_seconds(c.per_message));
}

double direct_seconds(const Conditions& c) {
  const double messages = 2.0 * (c.world_size - 1);
  return wire_seconds(c) + 2 * in_seconds(c.delay) + messages * in_seconds(c.per_message);
}

}  // namespace hawser
