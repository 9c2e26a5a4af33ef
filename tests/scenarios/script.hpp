#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hawser::scenarios {

/// Some commands and what they shall say, as they stand in a scenario file:
///
///     # prose
///     command
///     command
///     ----
///     output
///     output
///
/// A block ends with an empty line. A block without "----" expects no output.
struct Block {
  std::vector<std::string> before;    ///< Prose and empty lines in front, kept as they are.
  std::vector<std::string> commands;  ///< May have prose among them.
  std::vector<std::string> expected;
};

struct Script {
  std::vector<Block> blocks;
  std::vector<std::string> after;  ///< Prose and empty lines at the end.
};

Script read_script(const std::filesystem::path& file);
void write_script(const std::filesystem::path& file, const Script& script);

}  // namespace hawser::scenarios
