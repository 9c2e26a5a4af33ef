// hawser-scenarios [--rewrite] FILE|FOLDER...: plays scenario files and compares what they show with what
// they shall show. With --rewrite it writes down what they show instead.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "script.hpp"
#include "stage.hpp"

namespace {

using namespace hawser::scenarios;  // NOLINT(google-build-using-namespace): the tool's own file.
namespace fs = std::filesystem;

std::vector<std::string> play(Stage& stage, const Block& block) {
  std::vector<std::string> seen;
  for (const std::string& command : block.commands) {
    if (command[0] == '#') continue;
    try {
      stage.perform(command, seen);
    } catch (const ScriptError& error) {
      seen.push_back("error: " + command + ": " + error.what());
    } catch (const std::exception& error) {
      seen.push_back("VIOLATION: " + std::string(error.what()));
    }
  }
  return seen;
}

void print(const char* title, const std::vector<std::string>& lines) {
  std::printf("  %s\n", title);
  for (const std::string& line : lines) std::printf("    %s\n", line.c_str());
}

/// True if the scenario shows what it shall, or was rewritten without a broken promise in it.
bool play_file(const fs::path& file, bool rewrite) {
  Script script = read_script(file);
  Stage stage;
  bool good = true;
  for (Block& block : script.blocks) {
    const std::vector<std::string> seen = play(stage, block);
    const bool broken = std::any_of(seen.begin(), seen.end(), [](const std::string& line) {
      return line.starts_with("VIOLATION") || line.starts_with("error");
    });
    if (broken || (!rewrite && seen != block.expected)) {
      good = false;
      std::printf("%s: after \"%s\"\n", file.c_str(), block.commands.back().c_str());
      print("expected", block.expected);
      print("seen", seen);
    }
    block.expected = seen;
  }
  if (rewrite) write_script(file, script);
  return good;
}

std::vector<fs::path> scenario_files(const std::vector<std::string>& names) {
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    if (!fs::is_directory(name)) {
      files.emplace_back(name);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(name))
      if (entry.path().extension() == ".txt" && entry.path().filename() != "CMakeLists.txt")
        files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  bool rewrite = false;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--rewrite")
      rewrite = true;
    else
      names.emplace_back(argv[i]);
  }
  const auto files = scenario_files(names);
  if (files.empty()) {
    std::puts("usage: hawser-scenarios [--rewrite] FILE|FOLDER...");
    return 2;
  }
  std::size_t failed = 0;
  try {
    for (const fs::path& file : files)
      if (!play_file(file, rewrite)) ++failed;
  } catch (const std::exception& error) {
    std::puts(error.what());
    return 2;
  }
  std::printf("%zu scenarios, %zu failed%s\n", files.size(), failed,
              rewrite ? ", expectations rewritten" : "");
  return failed == 0 ? 0 : 1;
}
