#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace hawser::sim {

class Process;
class World;

/// Connections to the data ports of members from whoever is not the peer that it says it is. They know no link's
/// secret, or in runs with keys know it and have another key. None is let in.
class PortStrangers {
 public:
  explicit PortStrangers(World& world) : world_(world) {}

  /// One of them comes, or many of one address.
  void come();

 private:
  void knock(Process& at, const std::string& host);
  std::vector<std::byte> any_words(const Process& at);
  std::vector<std::byte> greeting(const Process& at);
  std::vector<std::byte> stolen_greeting(const Process& at);

  World& world_;
};

}  // namespace hawser::sim
