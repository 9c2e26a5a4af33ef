#include "sim/coverage.hpp"

#include <algorithm>

namespace hawser::sim {

Counts Coverage::counts() const {
  Counts all = by_name_;
  for (const auto& [name, count] : by_pointer_) all[name] += count;
  return all;
}

void add(Counts& to, const Counts& from) {
  for (const auto& [name, count] : from) to[name] += count;
}

std::string table(const Counts& counts) {
  std::size_t width = 0;
  for (const auto& [name, count] : counts) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, count] : counts) {
    const std::string number = std::to_string(count);
    text += "  " + name + std::string(width - name.size() + 2, ' ');
    text += std::string(number.size() < 12 ? 12 - number.size() : 0, ' ') + number + "\n";
  }
  return text;
}

std::vector<std::string_view> never_seen(const Counts& counts) {
  std::vector<std::string_view> missing;
  for (const std::string_view name : expected_names())
    if (!counts.contains(std::string(name))) missing.push_back(name);
  return missing;
}

}  // namespace hawser::sim
