#include "wan/nat_filter.hpp"

#include <iterator>

namespace hawser::wan {

void NatFilter::touch(Order::iterator entry, Instant now) {
  entry->last_use = now;
  by_use_.splice(by_use_.end(), by_use_, entry);
}

void NatFilter::goes_out(Instant now, const Packet& packet) {
  const Key key{packet.to, packet.flow};
  if (const auto known = by_flow_.find(key); known != by_flow_.end()) return touch(known->second, now);
  if (by_flow_.size() >= config_.flows_max) {
    by_flow_.erase(by_use_.front().key);
    by_use_.pop_front();
  }
  by_use_.push_back({.key = key, .last_use = now});
  by_flow_.emplace(key, std::prev(by_use_.end()));
}

bool NatFilter::comes_in(Instant now, const Packet& packet) {
  const Flow inside{
      .protocol = packet.flow.protocol, .from_port = packet.flow.to_port, .to_port = packet.flow.from_port};
  const auto known = by_flow_.find({packet.from, inside});
  if (known == by_flow_.end()) return false;
  if (now - known->second->last_use > config_.idle) {
    by_use_.erase(known->second);
    by_flow_.erase(known);
    return false;
  }
  touch(known->second, now);
  return true;
}

}  // namespace hawser::wan
