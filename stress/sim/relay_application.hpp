#pragma once

#include "sim/process.hpp"

namespace hawser::sim {

/// What a relay's process runs: it connects, and connects again when it is out of the run.
class RelayApplication : public Application {
 public:
  RelayApplication(World& world, Process& process) : world_(world), process_(process) {}

  void start(Duration delay);
  void call_ended(const Call& call, const CallDone& done) override;

 private:
  void connect();
  void look();

  World& world_;
  Process& process_;
};

}  // namespace hawser::sim
