#pragma once

#include <cstdint>
#include <vector>

#include "membership/messages.hpp"

namespace hawser::sim {

class World;

/// Messages that no honest peer would send at that moment, made from what can be overheard, and from nothing.
class Lies {
 public:
  explicit Lies(World& world) : world_(world) {}

  /// Somebody's id: of a member, of one that was lost, of one that waits, or of nobody.
  PeerId any_id();
  std::vector<PeerId> any_ids();
  /// A view that started lately; an empty one before the first.
  View true_view();
  /// A view of these, and of some true members perhaps, that never was.
  View invented_view(const std::vector<Member>& with, std::uint32_t group);
  Epoch any_epoch();
  OpKey any_key();

  PeerMessage linked();
  PeerMessage complaint();
  PeerMessage measured();
  PeerMessage begun();
  PeerMessage report();
  OutcomesPresented outcomes();
  ViewPresented view_presented(std::uint32_t group);
  /// Says that `who` was in that view.
  static Resume resume(const Introduction& who, RunId run, const View& view);

 private:
  World& world_;
};

}  // namespace hawser::sim
