#pragma once

#include "sim/lies.hpp"

namespace hawser::sim {

class Process;

/// What a member says to the master besides the truth, and instead of it. Its data path is honest.
class BadMember {
 public:
  /// With `calls` it also tells of calls that it has not made: as any member that calls otherwise than the others it
  /// may cost them a Mismatch or a Timeout that names it.
  BadMember(World& world, Process& process, bool calls) : world_(world), process_(process), calls_(calls) {}

  bool lies_of_calls() const { return calls_; }
  /// Says something more, if it has a connection.
  void speak();
  PeerMessage instead_of(PeerMessage honest);

 private:
  Resume altered(Resume honest);
  OutcomesPresented altered(OutcomesPresented honest);
  PeerMessage any_word();
  PeerMessage call();

  World& world_;
  Process& process_;
  const bool calls_;
  View claimed_;  ///< In its latest Resume, if that was no true one.
};

}  // namespace hawser::sim
