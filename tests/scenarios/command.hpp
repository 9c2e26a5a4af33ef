#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/instant.hpp"

namespace hawser::scenarios {

/// The script says something that makes no sense.
class ScriptError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A command line cut into its parts: "reduce a b count=8" has the name reduce, the words a and b, one
/// option.
struct Command {
  explicit Command(const std::string& line);

  std::string name;
  std::vector<std::string> words;
  std::map<std::string, std::string> options;

  std::string option(const std::string& key, const std::string& otherwise) const;
  std::uint64_t number(const std::string& key, std::uint64_t otherwise) const;
  Duration time(const std::string& key, Duration otherwise) const;
  /// The word at this place; ScriptError if there is none.
  const std::string& word(std::size_t place) const;
};

/// "100ms", "2s", "250us".
Duration read_time(const std::string& text);

}  // namespace hawser::scenarios
