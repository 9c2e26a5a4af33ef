#include "corpus.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace hawser::churn {
namespace {

namespace fs = std::filesystem;

std::uint8_t symbol_of(char c) {
  if (c == '\n') return 0;
  if (c >= 32 && c < 127) return static_cast<std::uint8_t>(c - 31);
  return 1;  // a space
}

void append_file(const fs::path& path, std::vector<std::uint8_t>& symbols) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("can't read the text " + path.string());
  std::transform(std::istreambuf_iterator<char>(in), {}, std::back_inserter(symbols), symbol_of);
}

// Sorted, because directory order differs between machines; symbolic links are second names of the same
// texts.
std::vector<fs::path> texts_below(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error) && !it->is_symlink(error)) found.push_back(it->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> default_texts() {
  std::vector<fs::path> found = texts_below("/usr/share/common-licenses");
  if (!found.empty()) return found;
  found = texts_below("docs");
  if (fs::exists("README.md")) found.emplace_back("README.md");
  return found;
}

}  // namespace

std::vector<std::uint8_t> read_corpus(const std::vector<std::string>& files) {
  std::vector<fs::path> paths(files.begin(), files.end());
  if (paths.empty()) paths = default_texts();
  std::vector<std::uint8_t> symbols;
  for (const fs::path& path : paths) append_file(path, symbols);
  if (symbols.size() < 1000) {
    throw std::runtime_error(
        "fewer than 1000 characters to learn from (looked in /usr/share/common-licenses and docs/; give "
        "--text FILE)");
  }
  return symbols;
}

}  // namespace hawser::churn
