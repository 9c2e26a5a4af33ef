#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hawser::sim {

/// Names of branches, log events and faults, and how many times each was seen.
using Counts = std::map<std::string, std::uint64_t>;

/// Counts what happens in one simulation: what the machines say (LogEvent::what), what the simulator does to
/// them, and what calls come to. Keys are string literals, so counting costs one hash of a pointer.
class Coverage {
 public:
  void saw(const char* name) { ++by_pointer_[name]; }
  void saw(std::string name) { ++by_name_[std::move(name)]; }
  Counts counts() const;

 private:
  std::unordered_map<const char*, std::uint64_t> by_pointer_;
  Counts by_name_;
};

void add(Counts& to, const Counts& from);
/// A table for people, in the order of names.
std::string table(const Counts& counts);
/// Names that a long sweep must see; those missing are branches that nobody has tested.
const std::vector<std::string_view>& expected_names();
std::vector<std::string_view> never_seen(const Counts& counts);

}  // namespace hawser::sim
