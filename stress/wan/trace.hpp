#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "base/result.hpp"
#include "wan/network.hpp"

namespace hawser::wan {

/// What passed each access link, and what waits before it, in steps of 20 ms, as CSV: one line for each
/// link and step in which the router had a turn.
class Trace {
 public:
  static Result<Trace> make(const std::string& path);
  /// After each turn of the router; `since` the start.
  void look(Duration since, const Network& network, HostIndex hosts);

 private:
  explicit Trace(std::ofstream file) : file_(std::move(file)) {}

  std::ofstream file_;
  Duration next_{};
  std::vector<std::uint64_t> passed_;  ///< By then.
};

}  // namespace hawser::wan
