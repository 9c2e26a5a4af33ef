#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hostile/options.hpp"
#include "hostile/stage.hpp"

namespace hawser::hostile {

/// What a flooder told, by name.
using FloodLine = std::map<std::string, std::uint64_t>;

/// 127.1.0.1, 127.1.0.2 and so on: to a master, each is another address.
std::vector<std::string> loopback_sources(std::uint32_t count, std::uint32_t first = 0);

/// A master on the loopback, and members that do nothing.
class LoopbackRun {
 public:
  LoopbackRun(const std::string& log, std::uint32_t idle_members);

  Stage& stage() { return stage_; }
  int master_pid() const { return master_process_->pid(); }
  /// Floods the master. `told`, which must outlive the process, gets what it tells at its end.
  churn::ChildProcess& flood(const FlooderOptions& options, FloodLine& told);

 private:
  Stage stage_;
  std::string master_;
  churn::ChildProcess* master_process_ = nullptr;
};

}  // namespace hawser::hostile
