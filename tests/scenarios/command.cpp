#include "command.hpp"

#include <sstream>

namespace hawser::scenarios {

Command::Command(const std::string& line) {
  std::istringstream parts(line);
  parts >> name;
  for (std::string part; parts >> part;) {
    const auto equals = part.find('=');
    if (equals == std::string::npos)
      words.push_back(part);
    else
      options[part.substr(0, equals)] = part.substr(equals + 1);
  }
}

std::string Command::option(const std::string& key, const std::string& otherwise) const {
  const auto found = options.find(key);
  return found == options.end() ? otherwise : found->second;
}

std::uint64_t Command::number(const std::string& key, std::uint64_t otherwise) const {
  const auto found = options.find(key);
  if (found == options.end()) return otherwise;
  try {
    return std::stoull(found->second);
  } catch (const std::exception&) {
    throw ScriptError(key + " wants a number, not \"" + found->second + "\"");
  }
}

Duration Command::time(const std::string& key, Duration otherwise) const {
  const auto found = options.find(key);
  return found == options.end() ? otherwise : read_time(found->second);
}

const std::string& Command::word(std::size_t place) const {
  if (place >= words.size()) throw ScriptError(name + " wants more words");
  return words[place];
}

Duration read_time(const std::string& text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  const std::string unit = text.substr(digits);
  if (digits == 0 || digits > 9) throw ScriptError("\"" + text + "\" is no time; write 100ms or 2s");
  const auto count = std::stoll(text.substr(0, digits));
  if (unit == "s") return seconds(count);
  if (unit == "ms") return milliseconds(count);
  if (unit == "us") return microseconds(count);
  throw ScriptError("\"" + text + "\" is no time; write 100ms or 2s");
}

}  // namespace hawser::scenarios
