// What the script of a spec does to the network while it runs.
#include <variant>

#include "wan/network.hpp"

namespace hawser::wan {

void Network::apply(FineInstant now, const Event& event) {
  std::visit([&](const auto& what) { change(now, what); }, event.change);
}

// A link that goes down loses what waits before it. What is on its way behind it arrives.
void Network::set_outage(BottleneckIndex index, bool outage) {
  outages_[index] = outage;
  if (outage) tally_.dropped_outage += bottlenecks_[index].flush();
}

void Network::change(FineInstant now, const HostChange& change) {
  for (const HostIndex host : change.hosts) {
    if (change.up_bits_per_s) bottlenecks_[2 * host].set_rate(now, *change.up_bits_per_s);
    if (change.down_bits_per_s) bottlenecks_[2 * host + 1].set_rate(now, *change.down_bits_per_s);
    if (!change.outage) continue;
    set_outage(2 * host, *change.outage);
    set_outage(2 * host + 1, *change.outage);
  }
}

void Network::change(FineInstant now, const PathChange& change) {
  for (const auto& [from, to] : change.pairs) {
    Path& path = paths_[from * spec_.hosts.size() + to];
    if (change.delay) path.spec.delay = *change.delay;
    if (change.jitter) path.spec.jitter = *change.jitter;
    if (change.outage) path.outage = *change.outage;
    if (change.passes_bytes) path.passes_bytes = *change.passes_bytes;
    // The spec's check sees to it that a pair whose rate changes has a link of its own: the second one.
    if (change.bits_per_s) bottlenecks_[path.route[1]].set_rate(now, *change.bits_per_s);
    if (change.loss) {
      path.spec.loss = *change.loss;
      draw_next_loss(path);
    }
  }
}

void Network::change(FineInstant now, const CableChange& change) {
  const BottleneckIndex there = 2 * spec_.host_count() + 2 * change.cable;
  for (const BottleneckIndex index : {there, there + 1}) {
    if (change.bits_per_s) bottlenecks_[index].set_rate(now, *change.bits_per_s);
    if (change.outage) set_outage(index, *change.outage);
  }
}

void Network::change(FineInstant, const Partition& partition) { partition_ = partition; }

void Network::change(FineInstant, const Heal&) {
  partition_.reset();
  for (BottleneckIndex i = 0; i < outages_.size(); ++i) set_outage(i, false);
  for (Path& path : paths_) {
    path.outage = false;
    path.passes_bytes = 0;
  }
}

}  // namespace hawser::wan
