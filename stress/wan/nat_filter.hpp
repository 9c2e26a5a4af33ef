#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <utility>

#include "base/instant.hpp"
#include "wan/packet.hpp"

namespace hawser::wan {

/// Of a host behind a NAT or a stateful firewall: packets come in only on flows on which one went out before,
/// and not for longer than the idle bound. Addresses and ports are not translated, so two such hosts that
/// send to each other at once get through, as with a NAT that keeps ports.
class NatFilter {
 public:
  struct Config {
    Duration idle{};
    std::size_t flows_max = 65536;  ///< The flow that was idle longest makes room.
  };
  explicit NatFilter(const Config& config) : config_(config) {}

  void goes_out(Instant now, const Packet& packet);
  /// Whether it may pass.
  bool comes_in(Instant now, const Packet& packet);
  std::size_t flows() const { return by_flow_.size(); }

 private:
  using Key = std::pair<HostIndex, Flow>;  ///< The outside host, and ports as seen from the inside.
  struct Entry {
    Key key;
    Instant last_use;
  };
  using Order = std::list<Entry>;
  void touch(Order::iterator entry, Instant now);

  Config config_;
  Order by_use_;  ///< Idle longest first.
  std::map<Key, Order::iterator> by_flow_;
};

}  // namespace hawser::wan
