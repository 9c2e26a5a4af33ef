#include "script.hpp"

#include <fstream>
#include <stdexcept>

namespace hawser::scenarios {
namespace {

bool is_prose(const std::string& line) { return line.empty() || line[0] == '#'; }

}  // namespace

Script read_script(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  Script script;
  Block block;
  bool in_output = false;
  const auto finish = [&] {
    if (block.commands.empty()) return;
    script.blocks.push_back(std::move(block));
    block = {};
    in_output = false;
  };
  for (std::string line; std::getline(in, line);) {
    if (line.empty() && !block.commands.empty()) {
      finish();
      block.before.push_back(line);
    } else if (block.commands.empty() && is_prose(line)) {
      block.before.push_back(line);
    } else if (line == "----") {
      in_output = true;
    } else {
      (in_output ? block.expected : block.commands).push_back(line);
    }
  }
  finish();
  script.after = std::move(block.before);
  return script;
}

void write_script(const std::filesystem::path& file, const Script& script) {
  std::ofstream out(file);
  for (const Block& block : script.blocks) {
    for (const auto& line : block.before) out << line << '\n';
    for (const auto& line : block.commands) out << line << '\n';
    if (block.expected.empty()) continue;
    out << "----\n";
    for (const auto& line : block.expected) out << line << '\n';
  }
  for (const auto& line : script.after) out << line << '\n';
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

}  // namespace hawser::scenarios
