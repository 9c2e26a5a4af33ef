#pragma once

#include <cstdint>
#include <string>

#include "sim/random_stranger.hpp"

namespace hawser::sim {

/// Which strangers come: alone, several that agree with each other, or many at once from one address.
///
/// Where no call may fail (FaultProfile::gentle) they leave alone what they may take by the rules: a master that knows
/// no run yet, a view of which they are as many as the members that come back, and a group that has no members.
class StrangerCrowd {
 public:
  explicit StrangerCrowd(World& world) : world_(world) {}

  void come();

 private:
  bool may_come();
  void start(RandomStranger::Role role, const std::string& name, const std::string& host,
             std::shared_ptr<const Plot> plot);
  void single(const std::string& host);
  void plot();
  void flood();
  bool is_first_view_there();
  std::size_t most_that_agree(std::uint32_t group);
  std::string next_name() { return "x" + std::to_string(++started_); }
  std::string next_host() { return "10.9.0." + std::to_string(++hosts_); }

  World& world_;
  std::uint64_t started_ = 0;
  std::uint64_t hosts_ = 0;
};

}  // namespace hawser::sim
